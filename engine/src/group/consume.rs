//! What the members of a group do: read, acknowledge, give back, claim.

use super::changes::Fate;
use super::consumer::ConsumerId;
use super::pending::Entry;
use super::{GROUP_LOOKS_MAX, GROUP_PARKED_MAX, Group, GroupError};
use crate::history::{History, Request};
use crate::log::SegmentError;
use crate::position::Position;
use crate::ring::Record;

/// What a member is given, in the order in which it is given.
pub enum Row<'a> {
    /// Events that are no longer available. Not pending; nothing is to be acknowledged.
    Gap {
        /// The last position that is lost.
        last: Position,
        /// How many are lost; none where the cursor was from an earlier run.
        lost: Option<u64>,
    },
    /// An event, pending from now on.
    Event(&'a Record<'a>),
}

/// What a read or a claim came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupRead {
    /// How many events were given.
    pub events: usize,
    /// How many gaps were told.
    pub gaps: usize,
    /// Whether it stopped before it had looked at everything: who was given nothing reads on.
    pub more: bool,
    /// Whether there are as many entries pending as may be, so that no new events were looked at.
    pub held_back: bool,
}

impl GroupRead {
    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.events == 0 && self.gaps == 0
    }
}

/// What becomes of an entry that a member could not work off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nack {
    /// Whoever reads next gets it.
    Retry,
    /// It is parked.
    Park,
    /// It is dropped, as if acknowledged.
    Skip,
}

/// One read or claim under way.
struct Delivery<S> {
    consumer: ConsumerId,
    now_ms: u64,
    /// No further event once the rows have cost this much.
    bytes: u64,
    cost: u64,
    /// A run of entries whose records are gone, to be told as one row: the last of them, and how many.
    lost: Option<(Position, u64)>,
    read: GroupRead,
    sink: S,
}

impl<S: FnMut(Row<'_>) -> u64> Delivery<S> {
    fn new(consumer: ConsumerId, now_ms: u64, bytes: u64, sink: S) -> Delivery<S> {
        Delivery { consumer, now_ms, bytes, cost: 0, lost: None, read: GroupRead::default(), sink }
    }

    /// Whether no further event fits; one is given in any case.
    fn is_full(&self) -> bool {
        self.cost >= self.bytes && !self.read.is_empty()
    }

    fn tell_gap(&mut self, last: Position, lost: Option<u64>) {
        self.read.gaps += 1;
        self.cost += (self.sink)(Row::Gap { last, lost });
    }

    fn tell_lost(&mut self) {
        if let Some((last, count)) = self.lost.take() {
            self.tell_gap(last, Some(count));
        }
    }

    fn give(&mut self, record: &Record<'_>) {
        self.tell_lost();
        self.read.events += 1;
        self.cost += (self.sink)(Row::Event(record));
    }

    /// Gives the event of an entry; tells whether its record is still there.
    fn give_again(
        &mut self,
        position: Position,
        entry: &mut Entry,
        history: &mut History,
    ) -> Result<bool, SegmentError> {
        if history.is_older(position) {
            return Ok(history.visit_older(position, |record| self.give(record))?.is_some());
        }
        if entry.place.is_none() {
            entry.place = history.find(position)?;
        }
        let Some((shard, offset)) = entry.place else { return Ok(false) };
        let given = history.record_at(shard, offset, |record| {
            let is_it = record.position() == position;
            if is_it {
                self.give(record);
            }
            is_it
        })?;
        Ok(given == Some(true))
    }
}

impl Group {
    /// Gives `consumer`, which is made where it is new, at most `count` events: first those that are due again, in
    /// the order of their positions, then new ones. `sink` answers what a row cost it, in bytes; once they have cost
    /// `bytes` no further event is given, but one is in any case. Gaps do not count as events.
    ///
    /// # Errors
    /// A name that is too long, or too many consumers.
    pub fn read(
        &mut self,
        consumer: &[u8],
        count: usize,
        bytes: u64,
        now_ms: u64,
        history: &mut History,
        sink: impl FnMut(Row<'_>) -> u64,
    ) -> Result<GroupRead, GroupError> {
        let consumer = self.member(consumer, now_ms)?;
        let mut delivery = Delivery::new(consumer, now_ms, bytes, sink);
        self.redeliver(count, history, &mut delivery);
        if delivery.read.events < count && !delivery.is_full() && !delivery.read.more {
            self.deliver_new(count, history, &mut delivery)?;
        }
        Ok(delivery.read)
    }

    /// The consumer of this name, which has just been heard of.
    fn member(&mut self, name: &[u8], now_ms: u64) -> Result<ConsumerId, GroupError> {
        if let Some(over) = self.no_room.filter(|_| self.consumers.id(name).is_none()) {
            return Err(over.into());
        }
        let (id, is_new) = self.consumers.seen(name, now_ms)?;
        if is_new {
            self.changes.consumer(id, name, now_ms);
        }
        Ok(id)
    }

    fn redeliver<S>(&mut self, count: usize, history: &mut History, delivery: &mut Delivery<S>)
    where
        S: FnMut(Row<'_>) -> u64,
    {
        self.pending.make_due(delivery.now_ms);
        let mut in_vain = 0;
        while delivery.read.events < count && !delivery.is_full() {
            let Some(position) = self.pending.first_due() else { break };
            if in_vain == GROUP_LOOKS_MAX {
                delivery.read.more = true;
                break;
            }
            let Some(entry) = self.pending.get(position).copied() else { unreachable!("what is due is pending") };
            if !self.is_spent(&entry) {
                in_vain += usize::from(!self.deliver_again(position, entry, history, delivery));
                continue;
            }
            in_vain += 1;
            if !self.park(position) {
                // No room: it stays pending.
                self.put_off(position, entry, delivery.now_ms);
            }
        }
        delivery.tell_lost();
    }

    /// Gives a pending entry, which then belongs to the consumer, or drops it where its record is gone; tells whether it
    /// was given.
    fn deliver_again<S>(
        &mut self,
        position: Position,
        mut entry: Entry,
        history: &mut History,
        delivery: &mut Delivery<S>,
    ) -> bool
    where
        S: FnMut(Row<'_>) -> u64,
    {
        match delivery.give_again(position, &mut entry, history) {
            Ok(true) => {
                self.changes.entry(Fate::Redelivered(delivery.consumer, delivery.now_ms), position);
                self.note_redelivered(position, entry, delivery.consumer, delivery.now_ms);
                true
            }
            Ok(false) => {
                self.changes.entry(Fate::Lost, position);
                self.note_lost(position);
                let before = delivery.lost.map_or(0, |(_, count)| count);
                delivery.lost = Some((position, before + 1));
                false
            }
            Err(damage) => {
                // It is there, and may be read once the disk is well: until then it stays pending.
                tracing::error!(%position, %damage, "history cannot be read");
                self.put_off(position, entry, delivery.now_ms);
                false
            }
        }
    }

    /// Lets a pending entry be looked at again when it would be due again.
    fn put_off(&mut self, position: Position, entry: Entry, now_ms: u64) {
        let due_ms = now_ms.saturating_add(self.options.idle_ms.max(1));
        self.pending.put(position, entry, Some(due_ms));
    }

    pub(super) fn note_redelivered(&mut self, position: Position, entry: Entry, consumer: ConsumerId, now_ms: u64) {
        let deliveries = entry.deliveries.saturating_add(1);
        let entry = Entry { consumer: Some(consumer), deliveries, delivered_ms: now_ms, ..entry };
        self.pending.put(position, entry, Some(now_ms.saturating_add(self.options.idle_ms)));
        self.counts.redelivered += 1;
    }

    pub(super) fn note_lost(&mut self, position: Position) {
        self.pending.remove(position);
        self.counts.lost += 1;
    }

    fn deliver_new<S>(
        &mut self,
        count: usize,
        history: &mut History,
        delivery: &mut Delivery<S>,
    ) -> Result<(), GroupError>
    where
        S: FnMut(Row<'_>) -> u64,
    {
        let room = self.options.max_pending.saturating_sub(self.pending.len());
        if room == 0 || self.no_room.is_some() {
            delivery.read.held_back = true;
            return Ok(());
        }
        let Group { interest, pending, parked, options, counts, changes, .. } = self;
        let given_before = delivery.read;
        let due_ms = Some(delivery.now_ms.saturating_add(options.idle_ms));
        let request = Request {
            cursor: self.cursor,
            count: room.min(count - delivery.read.events),
            bytes: delivery.bytes.saturating_sub(delivery.cost),
            filter: &interest.filter,
        };
        let mut gap_told = false;
        let older_end = history.older_end();
        let page = history.read_after_gap(&request, |gap, shard, record| {
            let cost = delivery.cost;
            if let Some(gap) = gap.filter(|_| !std::mem::replace(&mut gap_told, true)) {
                delivery.tell_gap(gap.last, gap.lost);
            }
            let position = record.position();
            // The cursor was set back: what is pending or parked from before goes its own way.
            if pending.get(position).is_none() && !parked.contains_key(&position) {
                delivery.give(record);
                counts.delivered += 1;
                let entry = Entry {
                    place: (position >= older_end).then(|| (shard, record.offset())),
                    consumer: Some(delivery.consumer),
                    deliveries: 1,
                    delivered_ms: delivery.now_ms,
                };
                pending.put(position, entry, due_ms);
                changes.entry(Fate::Delivered(delivery.consumer, delivery.now_ms), position);
            }
            delivery.cost - cost
        })?;
        if let Some(gap) = page.gap.filter(|_| !gap_told) {
            delivery.tell_gap(gap.last, gap.lost);
        }
        self.cursor = page.next;
        // After what it delivered, and in the same frame: on disk, too, the cursor passes only what is pending there.
        self.changes.read_to(page.next, delivery.read != given_before);
        delivery.read.more = !page.at_end;
        Ok(())
    }

    /// Whether an entry has been delivered as often as it may.
    fn is_spent(&self, entry: &Entry) -> bool {
        self.options.max_deliveries != 0 && entry.deliveries >= self.options.max_deliveries
    }

    /// Parks a pending entry; tells whether there was one, and room.
    fn park(&mut self, position: Position) -> bool {
        let parked = self.parked.len() < GROUP_PARKED_MAX && self.note_parked(position);
        if parked {
            self.changes.entry(Fate::Parked, position);
        }
        parked
    }

    pub(super) fn note_parked(&mut self, position: Position) -> bool {
        let Some(entry) = self.pending.remove(position) else { return false };
        self.parked.insert(position, entry);
        self.counts.parked += 1;
        true
    }

    /// Acknowledges events, whoever has them; those parked meanwhile are worked off as well. Answers how many entries
    /// that removed: what is unknown, already acknowledged, or a gap counts for nothing.
    pub fn ack(&mut self, positions: impl IntoIterator<Item = Position>) -> usize {
        let mut removed = 0;
        for position in positions {
            if self.note_acknowledged(position) {
                self.changes.entry(Fate::Acknowledged, position);
                removed += 1;
            }
        }
        removed
    }

    pub(super) fn note_acknowledged(&mut self, position: Position) -> bool {
        let known = self.pending.remove(position).is_some() || self.parked.remove(&position).is_some();
        self.counts.acknowledged += u64::from(known);
        known
    }

    /// Gives pending entries up, whoever has them. Answers how many were pending and became what was asked: an entry
    /// for which there is no room among the parked ones stays pending with its holder.
    pub fn nack(&mut self, nack: Nack, positions: impl IntoIterator<Item = Position>) -> usize {
        match nack {
            Nack::Skip => self.ack(positions),
            Nack::Park => positions.into_iter().filter(|position| self.park(*position)).count(),
            Nack::Retry => {
                let mut given_back = 0;
                for position in positions {
                    if self.give_back(position) {
                        self.changes.entry(Fate::GivenBack, position);
                        given_back += 1;
                    }
                }
                given_back
            }
        }
    }

    /// Makes a pending entry one that nobody holds and whoever reads next gets; tells whether it was pending.
    pub(super) fn give_back(&mut self, position: Position) -> bool {
        let Some(entry) = self.pending.get(position).copied() else { return false };
        self.pending.put(position, Entry { consumer: None, ..entry }, None);
        true
    }

    /// Gives `consumer`, which is made where it is new, those of the entries that are pending and have been idle for
    /// `min_idle_ms` or are held by nobody, in the order of `positions`. It is a delivery like any other: it counts,
    /// entries that had too many are parked, and lost ones are told. Answers what was given; `more` where `bytes` were
    /// spent before the last.
    ///
    /// # Errors
    /// A name that is too long, or too many consumers.
    #[expect(clippy::too_many_arguments, reason = "each is one argument of the command")]
    pub fn claim(
        &mut self,
        consumer: &[u8],
        min_idle_ms: u64,
        positions: impl IntoIterator<Item = Position>,
        bytes: u64,
        now_ms: u64,
        history: &mut History,
        sink: impl FnMut(Row<'_>) -> u64,
    ) -> Result<GroupRead, GroupError> {
        let consumer = self.member(consumer, now_ms)?;
        let mut delivery = Delivery::new(consumer, now_ms, bytes, sink);
        for position in positions {
            let Some(entry) = self.pending.get(position).copied() else { continue };
            if entry.consumer.is_some() && entry.idle_ms(now_ms) < min_idle_ms {
                continue;
            }
            if delivery.is_full() {
                delivery.read.more = true;
                break;
            }
            if self.is_spent(&entry) {
                self.park(position);
            } else {
                self.deliver_again(position, entry, history, &mut delivery);
            }
        }
        delivery.tell_lost();
        Ok(delivery.read)
    }
}
