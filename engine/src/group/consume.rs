//! The operations of a group's consumers: read, acknowledge, release, claim.

use super::changes::Fate;
use super::consumer::ConsumerId;
use super::distribute::is_before;
use super::pending::Entry;
use super::{GROUP_FRUITLESS_MAX, GROUP_PARKED_MAX, Group, GroupError, add};
use crate::history::{Gap, History, Page, ReadError, Scan};
use crate::interest::Interest;
use crate::limits::SCAN_RECORDS_MAX;
use crate::log::SegmentError;
use crate::position::{Position, ShardId};
use crate::ring::Record;

/// A row of the answer to a read or claim.
pub enum Row<'a> {
    /// Events that are no longer available. They are not pending and need no acknowledgement.
    Gap {
        /// The last lost position.
        last: Position,
        /// The number of lost events; none where the cursor is from an earlier run, which makes it unknown.
        lost: Option<u64>,
    },
    /// An event, pending from now on.
    Event(&'a Record<'a>),
}

/// The summary of a read or claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupRead {
    /// The number of events that were delivered.
    pub events: usize,
    /// The number of gaps that were reported.
    pub gaps: usize,
    /// Whether it stopped at a limit: a consumer that got nothing should read again at once.
    pub more: bool,
    /// Whether new events were held back because the maximum of entries is pending.
    pub held_back: bool,
}

impl GroupRead {
    /// Whether no row was delivered.
    pub fn is_empty(&self) -> bool {
        self.events == 0 && self.gaps == 0
    }
}

/// Visits the events of a group from a cursor on: at most `count`, and none once they have cost `bytes`. Each event is
/// visited with the gap before the first.
///
/// # Errors
/// Where the cursor is beyond the head, or the log cannot be read there.
pub(super) fn scan_new(
    history: &mut History,
    interest: &Interest,
    cursor: Position,
    (count, bytes): (usize, u64),
    visit: impl FnMut(Option<Gap>, ShardId, &Record<'_>) -> u64,
) -> Result<Page, ReadError> {
    history.check_cursor(cursor)?;
    let Interest { source, filter } = interest;
    let page =
        history.scan(&Scan { cursor, until: None, count, bytes, records: SCAN_RECORDS_MAX, source, filter }, visit);
    match history.damage() {
        Some(damage) if page.is_damaged => Err(damage.clone().into()),
        _ => Ok(page),
    }
}

/// What to do with an entry that a consumer could not process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nack {
    /// Deliver it to the next consumer that reads.
    Retry,
    /// Park it.
    Park,
    /// Drop it, as if acknowledged.
    Skip,
}

/// One read or claim under way.
struct Delivery<S> {
    consumer: ConsumerId,
    now_ms: u64,
    /// The budget: no further event is delivered once `cost` has reached it.
    bytes: u64,
    cost: u64,
    /// Consecutive entries whose records are gone, to be reported as one gap: the last position, and their number.
    lost: Option<(Position, u64)>,
    read: GroupRead,
    sink: S,
}

impl<S: FnMut(Row<'_>) -> u64> Delivery<S> {
    fn new(consumer: ConsumerId, now_ms: u64, bytes: u64, sink: S) -> Delivery<S> {
        Delivery { consumer, now_ms, bytes, cost: 0, lost: None, read: GroupRead::default(), sink }
    }

    /// Whether the budget is exhausted; never before the first row.
    fn is_full(&self) -> bool {
        self.cost >= self.bytes && !self.read.is_empty()
    }

    fn push_gap(&mut self, last: Position, lost: Option<u64>) {
        self.read.gaps += 1;
        self.cost += (self.sink)(Row::Gap { last, lost });
    }

    fn push_lost(&mut self) {
        if let Some((last, count)) = self.lost.take() {
            self.push_gap(last, Some(count));
        }
    }

    fn push_event(&mut self, record: &Record<'_>) {
        self.push_lost();
        self.read.events += 1;
        self.cost += (self.sink)(Row::Event(record));
    }

    /// Delivers the event of an entry. False where its record is gone.
    fn push_entry(
        &mut self,
        position: Position,
        entry: &mut Entry,
        history: &mut History,
    ) -> Result<bool, SegmentError> {
        if history.is_older(position) {
            return Ok(history.visit_older(position, |record| self.push_event(record))?.is_some());
        }
        if entry.place.is_none() {
            entry.place = history.find(position)?;
        }
        let Some((shard, offset)) = entry.place else { return Ok(false) };
        let given = history.record_at(shard, offset, |record| {
            let is_it = record.position() == position;
            if is_it {
                self.push_event(record);
            }
            is_it
        })?;
        Ok(given == Some(true))
    }
}

impl Group {
    /// Delivers at most `count` events to `consumer`, which is added if it is new: first entries that are due again, in the
    /// order of their positions, then new events. `sink` returns the cost of a row in bytes. Once the rows have cost
    /// `bytes`, no further event is delivered, but the first row always is. Gaps do not count as events.
    ///
    /// # Errors
    /// Where the name is too long, or there are too many consumers.
    pub fn read(
        &mut self,
        consumer: &[u8],
        count: usize,
        bytes: u64,
        now_ms: u64,
        history: &mut History,
        sink: impl FnMut(Row<'_>) -> u64,
    ) -> Result<GroupRead, GroupError> {
        let consumer = self.seen_consumer(consumer, now_ms)?;
        let mut delivery = Delivery::new(consumer, now_ms, bytes, sink);
        self.redeliver(count, history, &mut delivery);
        if delivery.read.events < count && !delivery.is_full() && !delivery.read.more {
            self.deliver_new(count, history, &mut delivery)?;
        }
        Ok(delivery.read)
    }

    /// The consumer of this name, added if it is new, and noted as seen now.
    pub(super) fn seen_consumer(&mut self, name: &[u8], now_ms: u64) -> Result<ConsumerId, GroupError> {
        if let Some(over) = self.over_limit.filter(|_| self.consumers.id(name).is_none()) {
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
        let mut fruitless = 0;
        while delivery.read.events < count && !delivery.is_full() {
            let Some(position) = self.pending.first_due() else { break };
            if fruitless == GROUP_FRUITLESS_MAX {
                delivery.read.more = true;
                break;
            }
            let Some(entry) = self.pending.get(position).copied() else { unreachable!("a due entry is pending") };
            if !self.is_exhausted(&entry) {
                fruitless += usize::from(!self.deliver_again(position, entry, history, delivery));
                continue;
            }
            fruitless += 1;
            if !self.park(position) {
                // Without room to park it, the entry stays pending.
                self.postpone(position, entry, delivery.now_ms);
            }
        }
        delivery.push_lost();
    }

    /// Delivers a pending entry, which the consumer then holds, or drops it where its record is gone. Returns whether it was
    /// delivered.
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
        match delivery.push_entry(position, &mut entry, history) {
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
                // The record may become readable once the disk is repaired: until then the entry stays pending.
                tracing::error!(%position, %damage, "history cannot be read");
                self.postpone(position, entry, delivery.now_ms);
                false
            }
        }
    }

    /// Makes a pending entry due again only after the idle time.
    pub(super) fn postpone(&mut self, position: Position, entry: Entry, now_ms: u64) {
        let due_ms = now_ms.saturating_add(self.options.idle_ms.max(1));
        self.pending.put(position, entry, Some(due_ms));
    }

    pub(super) fn note_redelivered(&mut self, position: Position, entry: Entry, consumer: ConsumerId, now_ms: u64) {
        let deliveries = entry.deliveries.saturating_add(1);
        let given = Entry { consumer: Some(consumer), deliveries, delivered_ms: now_ms, ..entry };
        self.pending.put(position, given, Some(now_ms.saturating_add(self.options.idle_ms)));
        let total = if entry.is_new() { &mut self.counts.delivered } else { &mut self.counts.redelivered };
        add(total, 1);
    }

    pub(super) fn note_lost(&mut self, position: Position) {
        self.pending.remove(position);
        add(&mut self.counts.lost, 1);
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
        if room == 0 || self.over_limit.is_some() {
            delivery.read.held_back = true;
            return Ok(());
        }
        let first_revision = self.first_revision();
        let Group { interest, pending, parked, options, counts, changes, last_seen, .. } = self;
        let read_before = delivery.read;
        let due_ms = Some(delivery.now_ms.saturating_add(options.idle_ms));
        let count = room.min(count - delivery.read.events);
        let bytes = delivery.bytes.saturating_sub(delivery.cost);
        let mut is_gap_pushed = false;
        let older_end = history.older_end();
        let page = scan_new(history, interest, self.cursor, (count, bytes), |gap, shard, record| {
            let cost = delivery.cost;
            if let Some(gap) = gap.filter(|_| !std::mem::replace(&mut is_gap_pushed, true)) {
                delivery.push_gap(gap.last, gap.lost);
            }
            let position = record.position();
            // After the cursor was set back, pending and parked entries are not delivered as new events.
            let is_open = pending.get(position).is_some() || parked.contains_key(&position);
            if !is_open && !is_before(first_revision, record) {
                *last_seen = Some((position, record.revision()));
                delivery.push_event(record);
                add(&mut counts.delivered, 1);
                let entry = Entry {
                    place: (position >= older_end).then(|| (shard, record.offset())),
                    consumer: Some(delivery.consumer),
                    deliveries: 1,
                    delivered_ms: delivery.now_ms,
                    pin: None,
                };
                pending.put(position, entry, due_ms);
                changes.entry(Fate::Delivered(delivery.consumer, delivery.now_ms), position);
            }
            delivery.cost - cost
        })?;
        if let Some(gap) = page.gap.filter(|_| !is_gap_pushed) {
            delivery.push_gap(gap.last, gap.lost);
        }
        self.cursor = page.next;
        // The cursor is noted behind the deliveries and in the same frame: on disk, too, it passes only events that are
        // pending there.
        self.changes.read_to(page.next, delivery.read != read_before);
        delivery.read.more = !page.at_end;
        Ok(())
    }

    /// Whether an entry has reached the maximum of deliveries.
    pub(super) fn is_exhausted(&self, entry: &Entry) -> bool {
        self.options.max_deliveries != 0 && entry.deliveries >= self.options.max_deliveries
    }

    /// Parks a pending entry. False where it is not pending, or there is no room among the parked ones.
    pub(super) fn park(&mut self, position: Position) -> bool {
        let parked = self.parked.len() < GROUP_PARKED_MAX && self.note_parked(position);
        if parked {
            self.changes.entry(Fate::Parked, position);
        }
        parked
    }

    pub(super) fn note_parked(&mut self, position: Position) -> bool {
        let Some(entry) = self.pending.remove(position) else { return false };
        self.parked.insert(position, entry);
        add(&mut self.counts.parked, 1);
        true
    }

    /// Acknowledges pending or parked entries, whichever consumer holds them. Returns the number of entries removed:
    /// positions without an entry do not count.
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
        add(&mut self.counts.acknowledged, u64::from(known));
        known
    }

    /// Rejects pending entries, whichever consumer holds them. Returns how many were treated as `nack` says: without room
    /// among the parked ones, an entry stays pending with its holder.
    pub fn nack(&mut self, nack: Nack, positions: impl IntoIterator<Item = Position>) -> usize {
        match nack {
            Nack::Skip => self.ack(positions),
            Nack::Park => positions.into_iter().filter(|position| self.park(*position)).count(),
            Nack::Retry => {
                let mut released = 0;
                for position in positions {
                    if self.release(position) {
                        self.changes.entry(Fate::Released, position);
                        released += 1;
                    }
                }
                released
            }
        }
    }

    /// Releases a pending entry: no consumer holds it, and the next one that reads gets it. False where it is not pending.
    pub(super) fn release(&mut self, position: Position) -> bool {
        let Some(entry) = self.pending.get(position).copied() else { return false };
        self.pending.put(position, Entry { consumer: None, ..entry }, None);
        true
    }

    /// Delivers pending entries to `consumer`, which is added if it is new: those at `positions`, in that order, that no
    /// consumer holds or that have been idle for `min_idle_ms`. A claim is a delivery like any other: it counts, exhausted
    /// entries are parked, and lost ones are reported. [`GroupRead::more`] says whether the budget `bytes` ended it early.
    ///
    /// # Errors
    /// Where the name is too long, or there are too many consumers.
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
        let consumer = self.seen_consumer(consumer, now_ms)?;
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
            if self.is_exhausted(&entry) {
                self.park(position);
            } else {
                self.deliver_again(position, entry, history, &mut delivery);
            }
        }
        delivery.push_lost();
        Ok(delivery.read)
    }
}
