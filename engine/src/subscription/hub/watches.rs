//! Watchers: commands that wait for an event, such as a blocked read. A watcher is woken when there may be an event of its
//! interest, and its command then reads the history. While it waits it costs nothing: its interest is live on the shards,
//! like that of a subscription.
//!
//! ```text
//!   watch ─► waiting ────────────────────────────► woken ─► reads the history ─► watches again, or ends
//!              │ an event of its interest, a flush;  ▲
//!              │ records that a shard has skipped    │ found
//!              └─► reading, polling ─────────────────┘ where the interest is demoted: as subscriptions do
//! ```
//!
//! # Why no event is missed
//!
//! A watcher has read everything before its position `at`. An interest is *sound from* a position if each event of it from
//! there on is noted when it is merged. That position is the one from which on all shards match the interest, but not below
//! the merged position at the last shard's answer: an event that was merged before may not have been noted. There are three
//! cases:
//!
//! * `at` is before that position: the watcher is woken, and reads on.
//! * The interest has noted an event at or behind `at`: the same. It happens where the watcher has read up to a frontier
//!   below the merged position: see `sequencer.rs`.
//! * Otherwise no event of the interest lies between `at` and the merged position, and the next one to be merged wakes the
//!   watcher.
//!
//! If the interest is not live yet, the cases are examined again once it is. If a shard has skipped records, all watchers of
//! its interests leave them and read.

use super::{Hub, Reading};
use crate::history::{History, Scan};
use crate::interest::Interest;
use crate::limits::{DEMOTED_SLICE_RECORDS, SLICE_BYTES};
use crate::position::{Position, ShardId};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// The id of a watcher. Only the hub's user knows what the number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatcherId(pub u64);

/// The watchers of one hub.
#[derive(Default)]
pub(super) struct Watches {
    all: HashMap<WatcherId, Watch>,
    /// The watchers whose commands should read, in the order in which they were woken.
    woken: Vec<WatcherId>,
    /// The watchers of demoted interests: the hub reads the history for them, see [`Reading::Demoted`].
    ready: VecDeque<WatcherId>,
    /// The watchers of demoted interests that have read up to the merged position.
    pollers: Vec<WatcherId>,
    /// The position of the last merged flush, which all watchers want.
    flushed: Option<Position>,
}

struct Watch {
    interest: u32,
    /// Its place among the watchers of the interest.
    place: u32,
    /// The position from which on it began to wait.
    from: Position,
    /// No event of its interest lies between `from` and this position.
    at: Position,
    state: State,
    /// Whether it relies on its interest being live.
    is_joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It waits for an event, or for the shards' answers.
    Waiting,
    /// Its command is to read.
    Woken,
    /// The hub reads the history for it.
    Reading,
    /// The hub reads on for it when more is merged.
    Polling,
}

impl Watches {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether the hub has history to read for a watcher.
    pub fn has_readers(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a watcher waits for publications that no shard will send a batch for.
    pub fn has_pollers(&self) -> bool {
        !self.pollers.is_empty()
    }

    /// Makes the polling watchers ready, after more was merged.
    pub fn poll(&mut self) {
        for id in std::mem::take(&mut self.pollers) {
            if let Some(watch) = self.all.get_mut(&id).filter(|watch| watch.state == State::Polling) {
                watch.state = State::Reading;
                self.ready.push_back(id);
            }
        }
    }

    fn wake(&mut self, id: WatcherId, at: Position) {
        if let Some(watch) = self.all.get_mut(&id) {
            watch.at = watch.at.max(at);
            watch.state = State::Woken;
            self.woken.push(id);
        }
    }
}

impl Hub {
    /// Wakes `id` as soon as there may be an event of `interest` at or behind `from`; its command has read everything before
    /// `from`. A watcher that already waits for the same interest continues from there. Returns the interest as all with the
    /// same interest share it. [`Hub::take_woken`] returns the woken watchers; some may find nothing to read.
    pub fn watch(&mut self, id: WatcherId, interest: Arc<Interest>, from: Position) -> Arc<Interest> {
        let known = self.watches.all.get(&id).is_some_and(|watch| self.interests.row(watch.interest).is_of(&interest));
        if !known {
            self.unwatch(id);
            let number = self.interests.number_of(interest);
            let watchers = &mut self.interests.row_mut(number).watchers;
            let place = watchers.len() as u32;
            watchers.push(id);
            let watch = Watch { interest: number, place, from, at: from, state: State::Woken, is_joined: false };
            self.watches.all.insert(id, watch);
        }
        if let Some(watch) = self.watches.all.get_mut(&id) {
            (watch.from, watch.at) = (from, from);
        }
        self.settle(id);
        let number = self.watches.all.get(&id).map(|watch| watch.interest);
        match number {
            Some(number) => self.interests.row(number).interest.clone(),
            None => unreachable!("the watcher was just inserted"),
        }
    }

    /// Ends the wait of a watcher; does nothing for an unknown one.
    pub fn unwatch(&mut self, id: WatcherId) {
        let Some(watch) = self.watches.all.remove(&id) else { return };
        if watch.is_joined {
            self.interests.part(watch.interest);
        }
        let watchers = &mut self.interests.row_mut(watch.interest).watchers;
        watchers.swap_remove(watch.place as usize);
        if let Some(moved) = watchers.get(watch.place as usize).and_then(|moved| self.watches.all.get_mut(moved)) {
            moved.place = watch.place;
        }
        self.interests.free_unused(watch.interest);
        if self.watches.is_empty() {
            // What is left in these queues is of watchers that are gone.
            self.watches = Watches { flushed: self.watches.flushed, ..Watches::default() };
        }
    }

    /// The positions that have no event for a watcher, from the one where it began to wait: it may read on behind them.
    pub fn passed(&self, id: WatcherId) -> Option<Range<Position>> {
        let watch = self.watches.all.get(&id)?;
        let sound_from = self.interests.row(watch.interest).sound_from;
        let is_sound = watch.state == State::Waiting && sound_from.is_some_and(|from| from <= watch.at);
        Some(watch.from..if is_sound { watch.at.max(self.merged) } else { watch.at })
    }

    /// Takes the watchers whose commands should read now. Each waits again only after another [`Hub::watch`].
    pub fn take_woken(&mut self) -> Vec<WatcherId> {
        std::mem::take(&mut self.watches.woken)
    }

    /// Decides how a watcher waits: see the three cases above.
    fn settle(&mut self, id: WatcherId) {
        let Hub { watches, interests, .. } = self;
        let Some(watch) = watches.all.get_mut(&id) else { return };
        if interests.row(watch.interest).is_demoted {
            watch.state = State::Reading;
            watches.ready.push_back(id);
            return;
        }
        if !std::mem::replace(&mut watch.is_joined, true) {
            interests.join(watch.interest);
        }
        let row = interests.row(watch.interest);
        let has_missed = |event: Option<Position>| event.is_some_and(|event| event >= watch.at);
        let reads = row.sound_from.is_some_and(|from| from > watch.at) || has_missed(row.noted);
        // Before all shards have answered, the watcher waits for their answers.
        if reads && row.sound_from.is_some() || has_missed(watches.flushed) {
            let at = watch.at;
            watches.wake(id, at);
        } else {
            watch.state = State::Waiting;
        }
    }

    /// Settles the watchers of an interest that is now live on all its shards.
    pub(super) fn settle_watchers(&mut self, number: u32) {
        for id in self.interests.row(number).watchers.clone() {
            if self.watches.all.get(&id).is_some_and(|watch| watch.state == State::Waiting) {
                self.settle(id);
            }
        }
    }

    /// Notes an interest's events of the chunk, and wakes the watchers that wait for one of them.
    pub(super) fn wake_watchers(&mut self, number: u32, events: &[u32]) {
        let Hub { interests, watches, chunk, .. } = self;
        let position = |event: &u32| chunk.position(*event);
        let Some(last) = events.last().map(position) else { return };
        let row = interests.row_mut(number);
        row.noted = row.noted.max(Some(last));
        let Some(sound_from) = row.sound_from else { return };
        for id in &row.watchers {
            let Some(watch) = watches.all.get(id).filter(|watch| watch.state == State::Waiting) else { continue };
            if watch.at > last || watch.at < sound_from {
                continue;
            }
            let first = events.partition_point(|event| position(event) < watch.at);
            let at = events.get(first).map_or(watch.at, position);
            watches.wake(*id, at);
        }
    }

    /// Wakes the watchers before a flush that was merged: all of them want it.
    pub(super) fn wake_all_watchers(&mut self, flushed: Position) {
        self.watches.flushed = Some(flushed);
        let waiting = self.watches.all.iter().filter(|(_, watch)| watch.state == State::Waiting && watch.at <= flushed);
        let waiting: Vec<WatcherId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            let at = self.passed(id).map_or(Position(0), |passed| passed.end.min(flushed));
            self.watches.wake(id, at);
        }
    }

    /// Lets the watchers of an interest read the history, after a shard has demoted it.
    pub(super) fn demote_watchers(&mut self, number: u32) {
        for id in self.interests.row(number).watchers.clone() {
            if self.leave_interest(id) {
                self.settle(id);
            }
        }
    }

    /// Wakes the watchers that rely on a shard, after it has skipped records. Their interests are made live anew.
    pub(super) fn wake_watchers_on(&mut self, shard: ShardId) {
        let relies = |watch: &Watch| watch.is_joined && self.interests.covers(watch.interest, shard);
        let all = self.watches.all.iter().filter(|(_, watch)| relies(watch));
        let all: Vec<WatcherId> = all.map(|(id, _)| *id).collect();
        for id in all {
            if self.leave_interest(id) {
                self.watches.wake(id, Position(0));
            }
        }
    }

    /// Ends a watcher's reliance on its interest being live. Returns whether it was waiting.
    fn leave_interest(&mut self, id: WatcherId) -> bool {
        let at = self.passed(id).map(|passed| passed.end);
        let Some(watch) = self.watches.all.get_mut(&id) else { return false };
        watch.at = watch.at.max(at.unwrap_or_default());
        let (interest, was_waiting) = (watch.interest, watch.state == State::Waiting);
        if std::mem::take(&mut watch.is_joined) {
            self.interests.part(interest);
        }
        was_waiting
    }

    /// Reads a slice of the history for the first watcher in the queue; see [`Reading::Demoted`].
    pub(super) fn run_watcher(&mut self, history: &mut History) {
        let Hub { watches, interests, merged, .. } = self;
        let Some(id) = watches.ready.pop_front() else { return };
        let Some(watch) = watches.all.get_mut(&id).filter(|watch| watch.state == State::Reading) else { return };
        if watch.at >= *merged {
            watch.state = State::Polling;
            watches.pollers.push(id);
            return;
        }
        let interest = &interests.row(watch.interest).interest;
        let scan = Scan {
            cursor: watch.at,
            until: Some(*merged),
            count: 1,
            bytes: SLICE_BYTES,
            records: DEMOTED_SLICE_RECORDS,
            source: &interest.source,
            filter: &interest.filter,
        };
        let mut found = None;
        let page = history.scan(&scan, |_, _, record| {
            found = Some(record.position());
            u64::MAX
        });
        // The woken command meets the gap or the damage itself when it reads on from there.
        if page.gap.is_some() || page.is_too_long || page.is_damaged {
            let at = if page.gap.is_some() { watch.at } else { page.next };
            watches.wake(id, at);
        } else if let Some(found) = found {
            watches.wake(id, found);
        } else {
            watch.at = page.next;
            watches.ready.push_back(id);
        }
    }

    /// Whether a subscription or a watcher has something to read of this kind.
    pub(super) fn has_readers(&self, reading: Reading) -> bool {
        match reading {
            Reading::CatchUp => !self.ready.is_empty(),
            Reading::Demoted => !self.demoted_ready.is_empty() || self.watches.has_readers(),
        }
    }
}
