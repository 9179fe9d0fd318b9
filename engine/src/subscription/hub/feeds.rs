//! The batches that the shards have sent, merged in the order of positions.

use crate::fanout::{Fanned, FannedEvent};
use crate::position::{Position, RingOffset, ShardId};
use std::collections::VecDeque;
use std::ops::Range;

/// The batches from all shards.
pub(super) struct Feeds {
    shards: Vec<Feed>,
    /// A batch whose events have all been taken. A shard reuses its memory.
    spent: Option<Box<Fanned>>,
}

#[derive(Default)]
struct Feed {
    batches: VecDeque<Box<Fanned>>,
    /// The index of the next event in the first batch, and where that event's interests begin.
    at: usize,
    numbers_at: u32,
    /// The shard has matched its records before this offset.
    scanned: RingOffset,
    /// The shard's records from `scanned` on have at least this position.
    next: Position,
}

/// The next event in the order of positions.
pub(super) struct NextEvent {
    pub shard: ShardId,
    pub event: FannedEvent,
    numbers: Range<u32>,
}

impl Feeds {
    pub fn new(shards: u16) -> Feeds {
        Feeds { shards: (0..shards).map(|_| Feed::default()).collect(), spent: None }
    }

    /// Queues a batch. Without an interest that `is_live` on the shard, drops the events of this batch and of those before.
    pub fn push(&mut self, shard: ShardId, batch: Box<Fanned>, is_live: bool) {
        let feed = &mut self.shards[shard.0 as usize];
        (feed.scanned, feed.next) = (batch.scanned, batch.next);
        if !is_live {
            *feed = Feed { scanned: feed.scanned, next: feed.next, ..Feed::default() };
        } else if !batch.events.is_empty() {
            feed.batches.push_back(batch);
        }
    }

    /// The position below which the received batches are complete: every event below it, of any shard with live interests
    /// according to `live_on`, has been received.
    ///
    /// The frontier is read first, then each shard's published tail with `tail`. So all records below the frontier are
    /// before the tails, and a shard whose batches cover its tail has sent everything below the frontier. A shard that has
    /// published records and not sent their batch yet is complete below its batches' `next`. An idle shard holds nothing
    /// back.
    ///
    /// To be called with a `frontier` that was read after the batches were received.
    pub fn bound(&self, live_on: &[u32], frontier: Position, tail: impl Fn(usize) -> RingOffset) -> Position {
        let mut bound = frontier;
        for (index, feed) in self.shards.iter().enumerate() {
            if live_on[index] > 0 && tail(index) > feed.scanned {
                bound = bound.min(feed.next);
            }
        }
        bound
    }

    /// Takes the next event below `bound`.
    #[inline]
    pub fn next(&mut self, bound: Position) -> Option<NextEvent> {
        self.drop_taken();
        let heads = self.shards.iter().enumerate().filter_map(|(index, feed)| Some((feed.head()?.position, index)));
        let (position, index) = heads.min()?;
        if position >= bound {
            return None;
        }
        let feed = &mut self.shards[index];
        let event = *feed.head()?;
        let numbers = feed.numbers_at..event.numbers_end;
        feed.at += 1;
        feed.numbers_at = event.numbers_end;
        Some(NextEvent { shard: ShardId(index as u16), event, numbers })
    }

    /// Drops the batches whose events have all been taken, and keeps the memory of one.
    #[inline]
    fn drop_taken(&mut self) {
        for feed in &mut self.shards {
            while feed.batches.front().is_some_and(|batch| batch.events.len() == feed.at) {
                self.spent = feed.batches.pop_front();
                (feed.at, feed.numbers_at) = (0, 0);
            }
        }
    }

    /// A batch that is used up, for its memory.
    pub fn take_spent(&mut self) -> Option<Box<Fanned>> {
        self.spent.take()
    }

    /// The interests that want an event. To be called before the next event is taken.
    #[inline]
    pub fn numbers(&self, next: &NextEvent) -> &[u32] {
        let feed = &self.shards[next.shard.0 as usize];
        feed.batches.front().map_or(&[], |batch| &batch.numbers[next.numbers.start as usize..next.numbers.end as usize])
    }

    /// The position of the next event, whether or not it is complete.
    pub fn first(&mut self) -> Option<Position> {
        self.drop_taken();
        self.shards.iter().filter_map(|feed| Some(feed.head()?.position)).min()
    }
}

impl Feed {
    #[inline]
    fn head(&self) -> Option<&FannedEvent> {
        self.batches.front()?.events.get(self.at)
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use crate::ring::words::Words;
    use crate::sequencer::Sequencer;
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    /// A shard's ring, and its lane to the core with subscribers: the position that it has sent, 0 before.
    struct Shard {
        words: Words,
        lane: AtomicU64,
    }

    /// Receives from the lanes, as a turn does, then checks that everything below the bound was received.
    fn check(sequencer: &Sequencer, shards: &[Shard]) {
        let mut feeds = Feeds::new(shards.len() as u16);
        let mut received = Vec::new();
        for (index, shard) in shards.iter().enumerate() {
            let mut batch = Fanned { next: sequencer.first(), ..Fanned::default() };
            // Acquire, as a lane's count: a core that sees the batch sees the publication before it.
            let sent = shard.lane.load(Ordering::Acquire);
            if sent > 0 {
                received.push(sent);
                (batch.scanned, batch.next) = (RingOffset(8), Position(sent + 1));
            }
            feeds.push(ShardId(index as u16), Box::new(batch), true);
        }
        let live_on = vec![1; shards.len()];
        let bound = feeds.bound(&live_on, sequencer.frontier(), |index| shards[index].words.tail());
        for position in sequencer.first().0..bound.0 {
            assert!(received.contains(&position), "{position} is below {bound} and was not received");
        }
    }

    #[test]
    fn loom_all_events_below_the_bound_were_received() {
        loom::model(|| {
            let sequencer = Arc::new(Sequencer::new(Position(1), 2));
            let shard = || Shard { words: Words::new(64).unwrap(), lane: AtomicU64::new(0) };
            let shards = Arc::new([shard(), shard()]);
            let writers: Vec<_> = [0u16, 1]
                .map(|number| {
                    let (sequencer, shards) = (sequencer.clone(), shards.clone());
                    thread::spawn(move || {
                        let shard = &shards[number as usize];
                        let position = sequencer.reserve(ShardId(number), 1);
                        shard.words.store(RingOffset(0), &[position.0]);
                        shard.words.publish(RingOffset(8));
                        sequencer.clear(ShardId(number));
                        // Release, as a lane's count.
                        shard.lane.store(position.0, Ordering::Release);
                    })
                })
                .into();
            check(&sequencer, &*shards);
            check(&sequencer, &*shards);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            check(&sequencer, &*shards);
        });
    }
}
