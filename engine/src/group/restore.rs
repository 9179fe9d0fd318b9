//! Applies the changes of a journal to a table, which restores its groups.

use super::changes::{Fate, Tag};
use super::codec::{Damaged, Input, at_distance};
use super::consumer::ConsumerId;
use super::pending::Entry;
use super::table::GroupTable;
use super::{Group, GroupCounts, GroupOptions};
use crate::position::Position;

impl GroupTable {
    /// Applies the complete state of a group.
    pub(super) fn apply_group(&mut self, input: &mut Input<'_>) -> Result<(), Damaged> {
        let (number, key_pattern, name) = (input.count()?, input.bytes()?, input.bytes()?);
        let options = GroupOptions {
            idle_ms: input.number()?,
            max_deliveries: u32::try_from(input.number()?).map_err(|_| Damaged)?,
            max_pending: usize::try_from(input.number()?).map_err(|_| Damaged)?,
        };
        let mut group = Group::empty(key_pattern, options).map_err(|_| Damaged)?;
        group.cursor = input.position()?;
        group.counts = GroupCounts {
            delivered: input.count()?,
            redelivered: input.count()?,
            acknowledged: input.count()?,
            lost: input.count()?,
            parked: input.count()?,
        };
        group.consumers.continue_from(input.count()?);
        for _ in 0..input.number()? {
            group.apply(Tag::Consumer, input)?;
        }
        entries(input, |position, entry| {
            // A released entry is due at once.
            let due_ms = entry.consumer.map(|_| entry.delivered_ms.saturating_add(options.idle_ms));
            group.pending.put(position, entry, due_ms);
        })?;
        entries(input, |position, entry| {
            group.parked.insert(position, entry);
        })?;
        self.put(number, key_pattern, name, group);
        Ok(())
    }
}

impl GroupTable {
    /// Limits all times to `now_ms`, Unix milliseconds: a clock that was set back between two runs then does not delay
    /// redelivery.
    pub fn bound_times(&mut self, now_ms: u64) {
        for group in self.groups.values_mut().map(|named| &mut named.group) {
            let is_later = |entry: &Entry| entry.delivered_ms > now_ms;
            let later: Vec<_> = group.pending.iter().filter(|(_, entry)| is_later(entry)).collect();
            let later: Vec<_> = later.into_iter().map(|(position, entry)| (position, *entry)).collect();
            for (position, entry) in later {
                let due_ms = entry.consumer.map(|_| now_ms.saturating_add(group.options.idle_ms));
                group.pending.put(position, Entry { delivered_ms: now_ms, ..entry }, due_ms);
            }
            group.parked.values_mut().for_each(|entry| entry.delivered_ms = entry.delivered_ms.min(now_ms));
            group.consumers.bound_times(now_ms);
        }
    }
}

/// Entries as `put_entries` in `journal` writes them.
fn entries(input: &mut Input<'_>, mut put: impl FnMut(Position, Entry)) -> Result<(), Damaged> {
    let (mut last, mut last_ms) = (0_u64, 0);
    for _ in 0..input.number()? {
        last = last.wrapping_add(input.number()?);
        let consumer = input.number()?.checked_sub(1).map(ConsumerId);
        let deliveries = u32::try_from(input.number()?).map_err(|_| Damaged)?;
        last_ms = at_distance(last_ms, input.number()?);
        put(Position(last), Entry { place: None, consumer, deliveries, delivered_ms: last_ms });
    }
    Ok(())
}

impl Group {
    /// Applies one change.
    pub(super) fn apply(&mut self, tag: Tag, input: &mut Input<'_>) -> Result<(), Damaged> {
        let mut delivery = || Ok::<_, Damaged>((ConsumerId(input.count()?), input.number()?));
        let fate = match tag {
            Tag::Group | Tag::Destroyed | Tag::Select => return Err(Damaged),
            Tag::Cursor => {
                self.cursor = input.position()?;
                return Ok(());
            }
            Tag::Consumer => {
                let (id, name, seen_ms) = (ConsumerId(input.count()?), input.bytes()?, input.number()?);
                self.consumers.put(id, name, seen_ms);
                return Ok(());
            }
            Tag::ConsumerRemoved => {
                self.note_consumer_removed(ConsumerId(input.number()?));
                return Ok(());
            }
            Tag::Delivered => delivery().map(|(consumer, at_ms)| Fate::Delivered(consumer, at_ms))?,
            Tag::Redelivered => delivery().map(|(consumer, at_ms)| Fate::Redelivered(consumer, at_ms))?,
            Tag::Acknowledged => Fate::Acknowledged,
            Tag::Parked => Fate::Parked,
            Tag::Replayed => Fate::Replayed,
            Tag::Released => Fate::Released,
            Tag::Lost => Fate::Lost,
        };
        if let Fate::Delivered(consumer, at_ms) | Fate::Redelivered(consumer, at_ms) = fate {
            self.consumers.set_seen(consumer, at_ms);
        }
        let mut last = Position(0);
        while let Some(distance) = input.number()?.checked_sub(1) {
            last = Position(at_distance(last.0, distance));
            self.apply_entry(fate, last);
        }
        Ok(())
    }

    fn apply_entry(&mut self, fate: Fate, position: Position) {
        match fate {
            Fate::Delivered(consumer, at_ms) => {
                let entry = Entry { place: None, consumer: Some(consumer), deliveries: 1, delivered_ms: at_ms };
                self.pending.put(position, entry, Some(at_ms.saturating_add(self.options.idle_ms)));
                self.counts.delivered += 1;
            }
            Fate::Redelivered(consumer, at_ms) => {
                if let Some(entry) = self.pending.get(position).copied() {
                    self.note_redelivered(position, entry, consumer, at_ms);
                }
            }
            Fate::Acknowledged => {
                self.note_acknowledged(position);
            }
            Fate::Parked => {
                self.note_parked(position);
            }
            Fate::Replayed => {
                if let Some(entry) = self.parked.remove(&position) {
                    self.note_replayed(position, entry);
                }
            }
            Fate::Released => {
                self.release(position);
            }
            Fate::Lost => self.note_lost(position),
        }
    }

    /// See [`GroupTable::forget_positions`].
    pub(super) fn forget_positions(&mut self) {
        self.counts.lost += (self.pending.len() + self.parked.len()) as u64;
        self.pending = Default::default();
        self.parked.clear();
        self.cursor = self.cursor.min(Position(1));
    }
}
