//! The shard's side of live subscriptions: records that a turn has published are run once through all live interests,
//! and each subscriber core gets one batch of what its clients want, with how far was looked.
//!
//! Nothing is looked at while nobody is live.

pub mod batch;

pub use batch::{Ask, Fanned, FannedEvent, Notice};

use crate::event::EventType;
use crate::matcher::Matcher;
use crate::position::{RingOffset, ShardId};
use crate::shard::Shard;
use crate::turn::Published;

/// Which interests are live on one shard, for which cores. One per shard, on its core.
pub struct Fanout {
    matcher: Matcher,
    /// Whose the matcher's numbers are; none for those that are free.
    owners: Vec<Option<Owner>>,
    free: Vec<u32>,
    cores: Vec<Subscriber>,
    /// How far the ring was looked at; means nothing while nobody is live.
    scanned: RingOffset,
    /// What the cores have asked since the last turn.
    asks: Vec<(ShardId, Ask)>,
    found: Vec<u32>,
    demoted: Vec<u32>,
    /// Memory for a batch.
    spare: Option<Box<Fanned>>,
}

/// How many records before it is matched the memory is asked for that a record will need.
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
    /// Of a shard of a server with so many cores, with nobody live.
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

    /// Keeps what a core asks for the next turn.
    pub fn ask(&mut self, core: ShardId, ask: Ask) {
        self.asks.push((core, ask));
    }

    /// Keeps the memory of a batch that is used up for the next one.
    pub fn keep(&mut self, mut batch: Box<Fanned>) {
        batch.clear();
        self.spare = Some(batch);
    }

    /// Whether there is nothing to do whatever the shard publishes.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.matcher.is_empty() && self.asks.is_empty() && self.cores.iter().all(|core| core.batch.is_none())
    }

    /// Whether a batch waits for a lane that was full: it leaves with a later turn, which nothing else may bring.
    pub fn has_unsent(&self) -> bool {
        self.cores.iter().any(|core| core.batch.is_some())
    }

    /// Looks at what the shard has published since the last turn, does what was asked, and answers each core's batch. To
    /// be called after the shard's commit. A core whose lane is full, as `is_full` tells, is sent nothing: it will be
    /// told that it has lost events, so that what waits for it stays bounded.
    pub fn turn(&mut self, shard: &mut Shard, is_full: impl Fn(ShardId) -> bool) -> Vec<(ShardId, Box<Fanned>)> {
        // Nothing is asked of a shard that does not record.
        let Some(published) = shard.published() else { return Vec::new() };
        if !self.matcher.is_empty() && published.tail != self.scanned {
            self.scan(shard, published, &is_full);
        }
        self.scanned = published.tail;
        for (core, ask) in std::mem::take(&mut self.asks) {
            self.answer(shard, published, core, ask);
        }
        for batch in self.cores.iter_mut().filter_map(|core| core.batch.as_mut()) {
            (batch.scanned, batch.next) = (published.tail, published.next);
        }
        let cores = (0..).map(ShardId).zip(&mut self.cores);
        cores.filter(|(core, _)| !is_full(*core)).filter_map(|(id, core)| Some((id, core.batch.take()?))).collect()
    }

    /// Runs the records that are published and were not looked at through all live interests.
    fn scan(&mut self, shard: &mut Shard, published: Published, is_full: &impl Fn(ShardId) -> bool) {
        let Fanout { matcher, owners, cores, scanned, found, demoted, spare, .. } = self;
        let Some(records) = shard.published_from(*scanned) else { return };
        // Where a shard was away for long, or a turn has published more than the ring holds.
        let is_lapped = published.head > *scanned;
        for (core, subscriber) in cores.iter_mut().enumerate().filter(|(_, core)| core.live > 0) {
            let batch = subscriber.batch.get_or_insert_with(|| spare.take().unwrap_or_default());
            if is_lapped || is_full(ShardId(core as u16)) {
                batch.lose();
            }
        }
        let mut ahead = matcher.looks_ahead().then(|| records.clone());
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
                // Demoted meanwhile, maybe.
                let Some(place) = subscriber.numbers.get_mut(number as usize).and_then(Option::take) else { return };
                subscriber.live -= 1;
                self.matcher.remove(place);
                self.owners[place as usize] = None;
                self.free.push(place);
            }
            // What is not published yet has its revision already and no position: the next turn knows.
            Ask::Revision { .. } if shard.turn().is_dirty() => self.asks.push((core, ask)),
            Ask::Revision { subscription, stream } => {
                let batch = subscriber.batch.get_or_insert_default();
                let (next, from) = (shard.next_revision(&stream), published.next);
                batch.notices.push(Notice::Revision { subscription, next, from });
            }
        }
    }
}
