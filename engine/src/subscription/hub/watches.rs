//! Those who wait until there is something to read, as a blocked read does. A watcher is told nothing but that it should
//! read; until then it costs nothing, for the shards look for what it wants as they do for subscriptions.
//!
//! ```text
//!   watch ─► rests ──────────────────────────────► woken ─► reads the history ─► watches again, or ends
//!              │ an event of its interest, a flush;  ▲
//!              │ a hole in what the shards have sent │ found
//!              └─► reads, polls ─────────────────────┘ where the interest is demoted: as subscriptions do
//! ```
//!
//! # Why no event is missed
//!
//! A watcher has read everything before its position `at`. An interest is *sound from* the position from which on each
//! event that it wants is noted when it is merged: where all shards look for it, and not before what was merged when the
//! last of them said so, for that may have passed what a shard had not sent yet. There are three cases:
//!
//! * `at` is before that position: the watcher is woken, and reads on.
//! * The interest has noted an event at `at` or behind it: the same. That is so where the watcher read up to a frontier
//!   that is lower than the one by which was merged: see `sequencer.rs`.
//! * Otherwise nothing that it wants lies between `at` and what is merged, and whatever is merged later wakes it.
//!
//! An interest that is not live yet is looked at again when it is; where shards have lost something, all of its watchers
//! give it up and read.

use super::{Hub, Reading};
use crate::history::{History, Scan};
use crate::interest::Interest;
use crate::limits::{DEMOTED_SLICE_RECORDS, SLICE_BYTES};
use crate::position::{Position, ShardId};
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Who waits; what it means is known to the hub's user only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatcherId(pub u64);

/// The watchers of one hub.
#[derive(Default)]
pub(super) struct Watches {
    all: HashMap<WatcherId, Watch>,
    /// Those who should read, in the order in which they were woken.
    woken: Vec<WatcherId>,
    /// Those of demoted interests, which read the history with the time for that.
    line: VecDeque<WatcherId>,
    /// Those of them that have read all that is merged.
    pollers: Vec<WatcherId>,
    /// The last flush that was merged: everyone wants it.
    flushed: Option<Position>,
}

struct Watch {
    interest: u32,
    /// Its place among the watchers of the interest.
    place: u32,
    /// Where it was when it began to wait.
    from: Position,
    /// Nothing that it wants lies between `from` and this.
    at: Position,
    state: State,
    /// Whether it relies on its interest being live.
    is_joined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An event has to come first, or the shards' answers.
    Rests,
    /// It was told to read.
    Woken,
    /// It is in the line of those that read the history.
    Reads,
    /// It reads on when more is merged.
    Polls,
}

impl Watches {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether somebody reads the history here.
    pub fn has_readers(&self) -> bool {
        !self.line.is_empty()
    }

    /// Whether somebody waits for something to be published that no shard will tell of.
    pub fn has_pollers(&self) -> bool {
        !self.pollers.is_empty()
    }

    /// Lets those who have read all that was merged go on.
    pub fn poll(&mut self) {
        for id in std::mem::take(&mut self.pollers) {
            if let Some(watch) = self.all.get_mut(&id).filter(|watch| watch.state == State::Polls) {
                watch.state = State::Reads;
                self.line.push_back(id);
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
    /// Has `id` woken as soon as there may be something that it wants at `from` or behind it; it has read everything
    /// before. Who is known already and wants the same goes on waiting, from there. Answers the interest, which all who
    /// want the same share. [`Hub::take_woken`] tells who was woken; who was may have been woken for nothing.
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
            None => unreachable!("it was just put there"),
        }
    }

    /// Ends the wait of a watcher; does nothing where there is none.
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
            // Nobody is left who would look at these.
            self.watches = Watches { flushed: self.watches.flushed, ..Watches::default() };
        }
    }

    /// From where a watcher waits, and up to where, exclusive, nothing that it wants has happened: there it may read on.
    pub fn passed(&self, id: WatcherId) -> Option<Range<Position>> {
        let watch = self.watches.all.get(&id)?;
        let sound_from = self.interests.row(watch.interest).sound_from;
        let is_sound = watch.state == State::Rests && sound_from.is_some_and(|from| from <= watch.at);
        Some(watch.from..if is_sound { watch.at.max(self.merged) } else { watch.at })
    }

    /// Those who should read now, each of whom waits no longer until it watches again.
    pub fn take_woken(&mut self) -> Vec<WatcherId> {
        std::mem::take(&mut self.watches.woken)
    }

    /// Finds out how a watcher waits.
    fn settle(&mut self, id: WatcherId) {
        let Hub { watches, interests, .. } = self;
        let Some(watch) = watches.all.get_mut(&id) else { return };
        if interests.row(watch.interest).is_demoted {
            watch.state = State::Reads;
            watches.line.push_back(id);
            return;
        }
        if !std::mem::replace(&mut watch.is_joined, true) {
            interests.join(watch.interest);
        }
        let row = interests.row(watch.interest);
        let has_missed = |event: Option<Position>| event.is_some_and(|event| event >= watch.at);
        let reads = row.sound_from.is_some_and(|from| from > watch.at) || has_missed(row.noted);
        // As long as the shards have not answered, it is their answers that it waits for.
        if reads && row.sound_from.is_some() || has_missed(watches.flushed) {
            let at = watch.at;
            watches.wake(id, at);
        } else {
            watch.state = State::Rests;
        }
    }

    /// All shards look for an interest from now on.
    pub(super) fn settle_watchers(&mut self, number: u32) {
        for id in self.interests.row(number).watchers.clone() {
            if self.watches.all.get(&id).is_some_and(|watch| watch.state == State::Rests) {
                self.settle(id);
            }
        }
    }

    /// Notes the events of the chunk that an interest wants, and wakes those who wait for one of them.
    pub(super) fn wake_watchers(&mut self, number: u32, events: &[u32]) {
        let Hub { interests, watches, chunk, .. } = self;
        let position = |event: &u32| chunk.position(*event);
        let Some(last) = events.last().map(position) else { return };
        let row = interests.row_mut(number);
        row.noted = row.noted.max(Some(last));
        let Some(sound_from) = row.sound_from else { return };
        for id in &row.watchers {
            let Some(watch) = watches.all.get(id).filter(|watch| watch.state == State::Rests) else { continue };
            if watch.at > last || watch.at < sound_from {
                continue;
            }
            let first = events.partition_point(|event| position(event) < watch.at);
            let at = events.get(first).map_or(watch.at, position);
            watches.wake(*id, at);
        }
    }

    /// A flush was merged, which everyone wants.
    pub(super) fn wake_all_watchers(&mut self, flushed: Position) {
        self.watches.flushed = Some(flushed);
        let resting = self.watches.all.iter().filter(|(_, watch)| watch.state == State::Rests && watch.at <= flushed);
        let resting: Vec<WatcherId> = resting.map(|(id, _)| *id).collect();
        for id in resting {
            let at = self.passed(id).map_or(Position(0), |passed| passed.end.min(flushed));
            self.watches.wake(id, at);
        }
    }

    /// A shard has given an interest up: its watchers read the history.
    pub(super) fn demote_watchers(&mut self, number: u32) {
        for id in self.interests.row(number).watchers.clone() {
            if self.give_up(id) {
                self.settle(id);
            }
        }
    }

    /// What a shard has sent has a hole: those who rely on it read, and have the shards asked again.
    pub(super) fn wake_watchers_on(&mut self, shard: ShardId) {
        let looks = |watch: &Watch| watch.is_joined && self.interests.looks_on(watch.interest, shard);
        let all = self.watches.all.iter().filter(|(_, watch)| looks(watch));
        let all: Vec<WatcherId> = all.map(|(id, _)| *id).collect();
        for id in all {
            if self.give_up(id) {
                self.watches.wake(id, Position(0));
            }
        }
    }

    /// Lets a watcher rely on its interest no longer; tells whether it rested.
    fn give_up(&mut self, id: WatcherId) -> bool {
        let at = self.passed(id).map(|passed| passed.end);
        let Some(watch) = self.watches.all.get_mut(&id) else { return false };
        watch.at = watch.at.max(at.unwrap_or_default());
        let (interest, rested) = (watch.interest, watch.state == State::Rests);
        if std::mem::take(&mut watch.is_joined) {
            self.interests.part(interest);
        }
        rested
    }

    /// Lets the first of those who read the history read a piece of it; see [`Reading::Demoted`].
    pub(super) fn run_watcher(&mut self, history: &mut History) {
        let Hub { watches, interests, merged, .. } = self;
        let Some(id) = watches.line.pop_front() else { return };
        let Some(watch) = watches.all.get_mut(&id).filter(|watch| watch.state == State::Reads) else { return };
        if watch.at >= *merged {
            watch.state = State::Polls;
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
        // What is in the way is told to whoever reads on from there.
        if page.gap.is_some() || page.is_too_long || page.is_damaged {
            let at = if page.gap.is_some() { watch.at } else { page.next };
            watches.wake(id, at);
        } else if let Some(found) = found {
            watches.wake(id, found);
        } else {
            watch.at = page.next;
            watches.line.push_back(id);
        }
    }

    /// Whether there is anything for [`Hub::run_watcher`] or for subscriptions to read with this share of the time.
    pub(super) fn has_readers(&self, reading: Reading) -> bool {
        match reading {
            Reading::CatchUp => !self.line.is_empty(),
            Reading::Demoted => !self.demoted_line.is_empty() || self.watches.has_readers(),
        }
    }
}
