//! Giving a group's events to the consumers that are attached to it: first entries that are due, in the order of their
//! positions, then new events. What has to wait for its consumer is kept as an entry that is due, so that events behind it
//! may go to others.

use super::changes::Fate;
use super::consume::scan_new;
use super::consumer::ConsumerId;
use super::pending::{Entry, Pin};
use super::seats::{GROUP_SEATS_MAX, Round, Seats, pin_of};
use super::spec::GroupSpec;
use super::{GROUP_FRUITLESS_MAX, Group, GroupError, GroupOptions, Start, add};
use crate::event::EventType;
use crate::history::History;
use crate::interest::Source;
use crate::log::SegmentError;
use crate::position::{Position, RingOffset, ShardId};
use crate::ring::Record;

/// An attached consumer gets an entry again after this many milliseconds at the least.
pub const GROUP_PUSH_IDLE_MS_MIN: u64 = 1_000;

/// An event that is given to an attached consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its position.
    pub position: Position,
    /// The place of its record; none where it is of an older generation of the log.
    pub place: Option<(ShardId, RingOffset)>,
    /// The number of its deliveries, with this one.
    pub deliveries: u32,
}

/// What has come of giving events out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distributed {
    /// The number of events that were given.
    pub given: usize,
    /// Whether it stopped at a limit: there is more to give at once.
    pub more: bool,
    /// Whether it has given everything there is, and consumers have room for what comes.
    pub is_waiting: bool,
    /// Whether new events were held back for want of memory.
    pub held_back: bool,
    /// The last position that was lost before any consumer had processed it, if one was found.
    pub lost: Option<Position>,
}

/// Where the round stands.
struct Hand<'h, F> {
    round: Round,
    now_ms: u64,
    bytes: u64,
    cost: u64,
    done: Distributed,
    given: Vec<(ConsumerId, Position)>,
    history: &'h mut History,
    give: F,
}

impl<F: FnMut(ConsumerId, Given)> Hand<'_, F> {
    fn is_over(&self) -> bool {
        self.round.left() == 0 || self.cost >= self.bytes
    }

    fn give(&mut self, consumer: ConsumerId, given: Given, cost: u64) {
        self.cost += cost;
        self.done.given += 1;
        self.given.push((consumer, given.position));
        (self.give)(consumer, given);
    }
}

/// The record behind an entry.
enum Found {
    Here { pin: Option<Pin>, cost: u64 },
    Gone,
}

impl Group {
    /// Attaches a consumer, which is given events from now on: up to `window` at a time that it has not acknowledged. A name
    /// is attached once.
    ///
    /// # Errors
    /// Where as many are attached as the group permits, or the consumer cannot be added.
    pub fn attach(&mut self, name: &[u8], window: usize, now_ms: u64) -> Result<ConsumerId, GroupError> {
        let max = match self.spec.push.max_seats {
            0 => GROUP_SEATS_MAX,
            max => GROUP_SEATS_MAX.min(max as usize),
        };
        if self.seats.len() >= max {
            return Err(GroupError::TooManySeats { max });
        }
        let id = self.seen_consumer(name, now_ms)?;
        if !self.attached.insert(id) {
            return Err(GroupError::Attached);
        }
        self.changes.attached(id);
        self.seats.add(id, window.max(1));
        Ok(id)
    }

    /// Removes an attached consumer and releases its entries. Returns their number.
    pub fn detach(&mut self, consumer: ConsumerId) -> usize {
        let Some(mut given) = self.seats.remove(consumer) else { return 0 };
        given.sort_unstable();
        given.dedup();
        given.retain(|position| self.pending.get(*position).is_some_and(|entry| entry.consumer == Some(consumer)));
        self.release_all(&given);
        self.changes.consumer_removed(consumer);
        self.note_consumer_removed(consumer);
        given.len()
    }

    /// Removes all attached consumers, also those of an earlier run.
    pub fn detach_all(&mut self) {
        let is_theirs = |entry: &Entry| entry.consumer.is_some_and(|consumer| self.attached.contains(&consumer));
        let held = self.pending.iter().filter(|(_, entry)| is_theirs(entry));
        let held: Vec<Position> = held.map(|(position, _)| position).collect();
        self.release_all(&held);
        self.seats = Seats::default();
        for consumer in self.attached.clone() {
            self.changes.consumer_removed(consumer);
            self.note_consumer_removed(consumer);
        }
    }

    fn release_all(&mut self, positions: &[Position]) {
        for position in positions {
            if self.release(*position) {
                self.changes.entry(Fate::Released, *position);
            }
        }
    }

    /// Whether any consumer is attached.
    pub fn has_attached(&self) -> bool {
        self.seats.len() > 0
    }

    /// How many consumers are attached.
    pub fn attached_count(&self) -> usize {
        self.seats.len()
    }

    /// Notes whether an attached consumer takes more events at the moment. After each round in which it got some it takes
    /// none until it is said so.
    pub fn set_open(&mut self, consumer: ConsumerId, is_open: bool) {
        self.seats.set_open(consumer, is_open);
    }

    /// The number of entries in flight to a consumer, and how many more it has room for.
    pub fn slots(&self, consumer: ConsumerId) -> (usize, usize) {
        let in_flight = self.pending.in_flight(consumer);
        (in_flight, self.seats.window(consumer).unwrap_or(0).saturating_sub(in_flight))
    }

    /// Gives events to attached consumers, as many as they have room for, until the events have `bytes` bytes. `give` gets
    /// each of them in order; the places of their records are current.
    ///
    /// # Errors
    /// Where the history cannot be read at the group's cursor. What was given until then is in `give`.
    pub fn distribute(
        &mut self,
        bytes: u64,
        now_ms: u64,
        history: &mut History,
        give: impl FnMut(ConsumerId, Given),
    ) -> Result<Distributed, GroupError> {
        // What is due is in flight no more, so its consumer has room.
        self.pending.make_due(now_ms);
        let round = self.seats.begin(self.spec.push.dispatch, &self.pending);
        let (done, given) = (Distributed::default(), Vec::new());
        let mut hand = Hand { round, now_ms, bytes, cost: 0, done, given, history, give };
        let outcome = match self.give_due(&mut hand) {
            true => self.give_new(&mut hand),
            false => Ok(()),
        };
        self.seats.end(&hand.round);
        for (consumer, position) in &hand.given {
            self.seats.set_open(*consumer, false);
            self.seats.note_given(*consumer, *position, &self.pending);
        }
        outcome.map(|()| hand.done)
    }

    /// Delivers the entries that are due. Returns whether it reached the last of them, so that new events may follow.
    fn give_due<F: FnMut(ConsumerId, Given)>(&mut self, hand: &mut Hand<'_, F>) -> bool {
        let mut from = Position(0);
        for _ in 0..GROUP_FRUITLESS_MAX {
            let Some(position) = self.pending.due_from(from) else { return true };
            if hand.is_over() {
                hand.done.more |= hand.round.left() > 0;
                return false;
            }
            from = position.next();
            let Some(mut entry) = self.pending.get(position).copied() else { unreachable!("a due entry is pending") };
            if self.is_exhausted(&entry) {
                if !self.park(position) {
                    self.postpone(position, entry, hand.now_ms);
                }
                continue;
            }
            match self.look_at(position, &mut entry, hand.history) {
                Ok(Found::Here { pin, cost }) => self.give_entry(position, Entry { pin, ..entry }, cost, hand),
                Ok(Found::Gone) => {
                    self.changes.entry(Fate::Lost, position);
                    self.note_lost(position);
                    hand.done.lost = hand.done.lost.max(Some(position));
                }
                Err(damage) => {
                    tracing::error!(%position, %damage, "history cannot be read");
                    self.postpone(position, entry, hand.now_ms);
                }
            }
        }
        hand.done.more |= hand.done.given > 0 || hand.done.lost.is_some();
        false
    }

    fn give_entry<F>(&mut self, position: Position, entry: Entry, cost: u64, hand: &mut Hand<'_, F>)
    where
        F: FnMut(ConsumerId, Given),
    {
        let holder = entry.pin.and_then(|pin| self.pending.holder(pin));
        let Some(consumer) = hand.round.choose(entry.pin, holder) else {
            // It waits; what was found of it need not be looked for again.
            self.pending.put(position, entry, None);
            return;
        };
        let deliveries = entry.deliveries.saturating_add(1);
        hand.give(consumer, Given { position, place: entry.place, deliveries }, cost);
        self.changes.entry(Fate::Redelivered(consumer, hand.now_ms), position);
        self.note_redelivered(position, entry, consumer, hand.now_ms);
        // Not before the shortest time, so that a group without any does not give the same again and again.
        let due_ms = hand.now_ms.saturating_add(self.push_idle_ms());
        if let Some(given) = self.pending.get(position).copied() {
            self.pending.put(position, given, Some(due_ms));
        }
    }

    fn push_idle_ms(&self) -> u64 {
        self.options.idle_ms.max(GROUP_PUSH_IDLE_MS_MIN)
    }

    /// Looks at the record of an entry.
    fn look_at(&self, position: Position, entry: &mut Entry, history: &mut History) -> Result<Found, SegmentError> {
        let dispatch = self.spec.push.dispatch;
        let seen =
            |record: &Record<'_>| Found::Here { pin: pin_of(dispatch, record), cost: record.bytes().len() as u64 };
        if history.is_older(position) {
            return Ok(history.visit_older(position, seen)?.unwrap_or(Found::Gone));
        }
        if entry.place.is_none() {
            entry.place = history.find(position)?;
        }
        let Some((shard, offset)) = entry.place else { return Ok(Found::Gone) };
        let found = history.record_at(shard, offset, |record| match record.position() == position {
            true => seen(record),
            false => Found::Gone,
        })?;
        Ok(found.unwrap_or(Found::Gone))
    }

    fn give_new<F: FnMut(ConsumerId, Given)>(&mut self, hand: &mut Hand<'_, F>) -> Result<(), GroupError> {
        if hand.is_over() || self.over_limit.is_some() {
            let has_room = hand.round.left() > 0;
            hand.done.held_back = has_room && self.over_limit.is_some();
            hand.done.more |= has_room && !hand.done.held_back;
            return Ok(());
        }
        let due_ms = Some(hand.now_ms.saturating_add(self.push_idle_ms()));
        let room = self.options.max_pending.saturating_sub(self.pending.len());
        let dispatch = self.spec.push.dispatch;
        // Each event is given, or it waits.
        let count = match dispatch.is_pinned() {
            true => self.spec.push.ahead.saturating_sub(self.pending.due()).max(1).min(room),
            false => hand.round.left().min(room),
        };
        if count == 0 || dispatch.is_pinned() && self.pending.due() >= self.spec.push.ahead {
            return Ok(());
        }
        let first_revision = self.first_revision();
        let (cursor, bytes) = (self.cursor, hand.bytes - hand.cost);
        let Hand { round, now_ms, cost: all_cost, done, given, history, give, .. } = hand;
        let Group { interest, pending, parked, counts, changes, last_seen, suspected, .. } = self;
        let older_end = history.older_end();
        let mut lost = None;
        let mut has_changed = false;
        let is_stream = matches!(interest.source, Source::Stream(_));
        let page = scan_new(history, interest, cursor, (count, bytes), |gap, shard, record| {
            let position = record.position();
            if pending.get(position).is_some() || parked.contains_key(&position) {
                return 0;
            }
            if is_before(first_revision, record) {
                return 0;
            }
            has_changed = true;
            // Other streams' events may be all that was lost: the revisions of this one tell.
            let gap = gap.map(|gap| gap.last).filter(|last| is_stream && cursor.0 > 0 && *last >= cursor);
            if let Some(gap) = suspected.take().max(gap).filter(|_| record.event_type() != EventType::FlushDb) {
                // Without one that came before, nobody knows how many.
                let missing = last_seen.map(|(_, before)| record.revision().0.saturating_sub(before.0 + 1));
                if missing != Some(0) && record.revision().0 > 0 {
                    lost = Some(gap);
                    add(&mut counts.lost, missing.unwrap_or(0));
                }
            }
            *last_seen = Some((position, record.revision()));
            let pin = pin_of(dispatch, record);
            let place = (position >= older_end).then(|| (shard, record.offset()));
            let entry = Entry { place, consumer: None, deliveries: 0, delivered_ms: 0, pin };
            let Some(consumer) = round.choose(pin, pin.and_then(|pin| pending.holder(pin))) else {
                pending.put(position, entry, None);
                changes.entry(Fate::Waiting, position);
                return 0;
            };
            let entry = Entry { consumer: Some(consumer), deliveries: 1, delivered_ms: *now_ms, ..entry };
            pending.put(position, entry, due_ms);
            changes.entry(Fate::Delivered(consumer, *now_ms), position);
            add(&mut counts.delivered, 1);
            done.given += 1;
            given.push((consumer, position));
            give(consumer, Given { position, place, deliveries: 1 });
            let cost = record.bytes().len() as u64;
            *all_cost += cost;
            cost
        })?;
        done.lost = done.lost.max(lost);
        // One that begins at the first event there is has lost nothing.
        if let Some(gap) = page.gap.filter(|gap| cursor.0 > 0 && gap.last >= cursor) {
            if !is_stream {
                done.lost = done.lost.max(Some(gap.last));
                add(&mut counts.lost, gap.lost.unwrap_or(0));
            } else if !has_changed {
                self.suspected = Some(gap.last);
            }
        }
        self.cursor = page.next;
        self.changes.read_to(page.next, has_changed);
        let is_ahead = dispatch.is_pinned() && self.pending.due() >= self.spec.push.ahead;
        let goes_on = hand.round.left() > 0 && !is_ahead;
        hand.done.more |= !page.at_end && goes_on;
        hand.done.is_waiting = page.at_end && goes_on;
        Ok(())
    }

    /// The first revision that is wanted, as long as the group has got no event.
    pub(super) fn first_revision(&self) -> Option<u64> {
        let first = self.spec.selection.as_ref().map_or(0, |selection| selection.first_revision.0);
        let has_got_none = self.counts.delivered == 0 && self.pending.len() == 0;
        let is_stream = matches!(self.interest.source, Source::Stream(_));
        (first > 0 && has_got_none && is_stream).then_some(first)
    }

    /// Replaces the options and what the group is made of but its events. Entries that are in flight are released, and
    /// attached consumers are removed. A group that has got no event starts at `start`.
    ///
    /// # Errors
    /// Where the start is beyond the head of the history. Nothing has changed then.
    pub(super) fn update(
        &mut self,
        start: Start,
        options: GroupOptions,
        mut spec: GroupSpec,
        history: &History,
    ) -> Result<(), GroupError> {
        spec.check()?;
        let cursor = start.cursor(history)?;
        if let (Some(new), Some(old)) = (&mut spec.selection, &self.spec.selection) {
            (new.source, new.filter) = (old.source.clone(), old.filter.clone());
        } else {
            spec.selection = self.spec.selection.clone();
        }
        self.detach_all();
        let held: Vec<Position> = self.pending.iter().map(|(position, _)| position).collect();
        for position in held {
            self.release(position);
        }
        if self.counts.delivered == 0 && self.pending.len() == 0 {
            self.cursor = cursor;
        }
        (self.options, self.spec) = (options, spec);
        Ok(())
    }
}

/// Whether an event is of a revision before the first that is wanted. A flush has none.
pub(super) fn is_before(first: Option<u64>, record: &Record<'_>) -> bool {
    first.is_some_and(|first| record.revision().0 < first && record.event_type() != EventType::FlushDb)
}
