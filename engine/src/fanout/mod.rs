//! The shard's side of live subscriptions: the records that a turn has published are matched once against all live
//! interests, and each core with subscribers gets one batch with its clients' events and the offset matched so far.
//!
//! Without live interests nothing is matched.

pub mod batch;

pub use batch::{Ask, Fanned, FannedEvent, Notice};

use crate::event::EventType;
use crate::matcher::Matcher;
use crate::position::{RingOffset, ShardId};
use crate::shard::Shard;
use crate::turn::Published;

/// The live interests of one shard, by core. One per shard, on its core.
pub struct Fanout {
    matcher: Matcher,
    /// The owners of the matcher's numbers; `None` for free ones.
    owners: Vec<Option<Owner>>,
    free: Vec<u32>,
    cores: Vec<Subscriber>,
    /// The ring was matched up to here; meaningless without live interests.
    scanned: RingOffset,
    /// The cores' requests since the last turn.
    asks: Vec<(ShardId, Ask)>,
    found: Vec<u32>,
    demoted: Vec<u32>,
    /// Memory for a batch.
    spare: Option<Box<Fanned>>,
}

/// How many records before a record is matched the memory that it needs is prefetched.
const RECORDS_AHEAD: usize = 4;

/// An interest of a core, by that core's number for it.
#[derive(Clone, Copy)]
struct Owner {
    core: ShardId,
    number: u32,
}

/// A core with subscribers.
#[derive(Default)]
struct Subscriber {
    /// The matcher's number for each of the core's.
    numbers: Vec<Option<u32>>,
    live: usize,
    batch: Option<Box<Fanned>>,
}

impl Fanout {
    /// For a shard of a server with this many cores, without live interests.
    pub fn new(shard: ShardId, cores: u16) -> Fanout {
        Fanout {
            matcher: Matcher::new(shard),
            owners: Vec::new(),
            free: Vec::new(),
            cores: (0..cores).map(|_| Subscriber::default()).collect(),
            scanned: RingOffset(0),
            asks: Vec::new(),
            found: Vec::new(),
            demoted: Vec::new(),
            spare: None,
        }
    }

    /// Queues a core's request for the next turn.
    pub fn ask(&mut self, core: ShardId, ask: Ask) {
        self.asks.push((core, ask));
    }

    /// Keeps the memory of a consumed batch for the next one.
    pub fn keep(&mut self, mut batch: Box<Fanned>) {
        batch.clear();
        self.spare = Some(batch);
    }

    /// Whether there is nothing to do, whatever the shard publishes.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.matcher.is_empty() && self.asks.is_empty() && self.cores.iter().all(|core| core.batch.is_none())
    }

    /// The memory of the live interests, in bytes: see [`Interest::memory_bytes`](crate::interest::Interest).
    #[inline]
    pub fn memory_bytes(&self) -> u64 {
        self.matcher.memory_bytes()
    }

    /// Whether a batch waits because a lane was full: it is sent in a later turn, which nothing else may cause.
    pub fn has_unsent(&self) -> bool {
        self.cores.iter().any(|core| core.batch.is_some())
    }

    /// Matches the records that the shard has published since the last turn, handles requests, and returns each core's
    /// batch. To be called after the shard's commit. A core whose lane is full, according to `is_full`, is sent nothing
    /// and will learn that it has lost events, so that what waits for it stays bounded.
    pub fn turn(&mut self, shard: &mut Shard, is_full: impl Fn(ShardId) -> bool) -> Vec<(ShardId, Box<Fanned>)> {
        // A shard that does not record gets no requests.
        let Some(published) = shard.published() else { return Vec::new() };
        if !self.matcher.is_empty() && published.tail != self.scanned {
            self.scan(shard, published, &is_full);
        }
        self.scanned = published.tail;
        for (core, ask) in std::mem::take(&mut self.asks) {
            self.answer(shard, published, core, ask);
        }
        self.matcher.free_removed();
        for batch in self.cores.iter_mut().filter_map(|core| core.batch.as_mut()) {
            (batch.scanned, batch.next) = (published.tail, published.next);
        }
        let cores = (0..).map(ShardId).zip(&mut self.cores);
        cores.filter(|(core, _)| !is_full(*core)).filter_map(|(id, core)| Some((id, core.batch.take()?))).collect()
    }

    /// Matches the newly published records against all live interests.
    fn scan(&mut self, shard: &mut Shard, published: Published, is_full: &impl Fn(ShardId) -> bool) {
        let Fanout { matcher, owners, cores, scanned, found, demoted, spare, .. } = self;
        let Some(records) = shard.published_from(*scanned) else { return };
        // The shard was lent for long, or a turn published more than the ring holds.
        let is_lapped = published.head > *scanned;
        for (core, subscriber) in cores.iter_mut().enumerate().filter(|(_, core)| core.live > 0) {
            let batch = subscriber.batch.get_or_insert_with(|| spare.take().unwrap_or_default());
            if is_lapped || is_full(ShardId(core as u16)) {
                batch.lose();
            }
        }
        let mut ahead = matcher.prefetch_pays().then(|| records.clone());
        ahead.iter_mut().for_each(|ahead| _ = ahead.nth(RECORDS_AHEAD - 1));
        for record in records {
            if let Some(later) = ahead.as_mut().and_then(Iterator::next) {
                matcher.prefetch(&later);
            }
            if record.event_type() == EventType::FlushDb {
                let subscribed = cores.iter_mut().filter(|core| core.live > 0);
                subscribed.filter_map(|core| core.batch.as_mut()).for_each(|batch| batch.flush(&record));
                continue;
            }
            matcher.find(&record, found);
            for &place in found.iter() {
                if let Some(owner) = owners[place as usize]
                    && let Some(batch) = &mut cores[owner.core.0 as usize].batch
                {
                    batch.event(&record, owner.number);
                }
            }
        }
        matcher.end_turn(demoted);
        for place in demoted.drain(..) {
            if let Some(owner) = owners[place as usize].take() {
                let core = &mut cores[owner.core.0 as usize];
                core.numbers[owner.number as usize] = None;
                core.live -= 1;
                let batch = core.batch.get_or_insert_default();
                batch.notices.push(Notice::Demoted { number: owner.number });
                self.free.push(place);
            }
        }
    }

    fn answer(&mut self, shard: &Shard, published: Published, core: ShardId, ask: Ask) {
        let subscriber = &mut self.cores[core.0 as usize];
        match ask {
            Ask::Add { number, token, interest } => {
                let place = self.free.pop().unwrap_or_else(|| {
                    self.owners.push(None);
                    self.owners.len() as u32 - 1
                });
                self.owners[place as usize] = Some(Owner { core, number });
                if subscriber.numbers.len() <= number as usize {
                    subscriber.numbers.resize(number as usize + 1, None);
                }
                subscriber.numbers[number as usize] = Some(place);
                subscriber.live += 1;
                self.matcher.add(place, interest);
                let batch = subscriber.batch.get_or_insert_default();
                batch.notices.push(Notice::Live { number, token, from: published.next });
            }
            Ask::Remove { number } => {
                // It may have been demoted meanwhile.
                let Some(place) = subscriber.numbers.get_mut(number as usize).and_then(Option::take) else { return };
                subscriber.live -= 1;
                self.matcher.remove(place);
                self.owners[place as usize] = None;
                self.free.push(place);
            }
            // Unpublished events have a revision already but no position yet: answered in the next turn.
            Ask::Revision { .. } if shard.turn().is_dirty() => self.asks.push((core, ask)),
            Ask::Revision { subscription, stream } => {
                let batch = subscriber.batch.get_or_insert_default();
                let (next, from) = (shard.next_revision(&stream), published.next);
                batch.notices.push(Notice::Revision { subscription, next, from });
            }
        }
    }
}
