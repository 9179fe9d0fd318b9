//! What outlives the process of a core's groups: every change of a turn as one frame, and groups made of frames again.
//!
//! ```text
//!   frame:  length, 4 bytes │ CRC-32C of length and changes, 4 bytes │ changes, `length` bytes      little-endian
//! ```
//!
//! A journal is the whole state, a frame for each group, and then a frame for each turn that changed something. Frames
//! are whole or nothing: what a turn delivered and how far the cursor moved for it stand or fall together, so that no
//! crash lets the cursor pass what nobody was given. A frame that is not what it was ends the journal; what comes behind
//! it is lost, which for a frame that was being written is what its clients were never told.
//!
//! Kept are options, cursor, pending and parked entries, consumers and what was counted. When a consumer was last heard
//! of is kept only as its last delivery; and a cursor that passes over events that are not for the group only now and
//! then, for they can be passed over again.

use super::Group;
use super::changes::{Tag, Urgency};
use super::codec::{Damaged, Input, distance, put_bytes, put_number};
use super::pending::Entry;
use super::table::{GroupTable, NamedGroup};
use crate::position::Position;

/// The changes of a table that no group has noted itself, and which groups may have noted some.
#[derive(Default)]
pub(super) struct Journal {
    /// Groups created and destroyed.
    bytes: Vec<u8>,
    touched: Vec<u64>,
}

const FRAME_HEADER_BYTES: usize = 8;

impl Journal {
    pub(super) fn created(&mut self, number: u64, created: &mut NamedGroup) {
        put_group(&mut self.bytes, number, (&created.key_pattern, &created.name), &created.group);
        created.group.changes.start(created.group.cursor);
    }

    pub(super) fn destroyed(&mut self, number: u64) {
        self.bytes.push(Tag::Destroyed as u8);
        put_number(&mut self.bytes, number);
    }

    pub(super) fn touched(&mut self, number: u64) {
        if self.touched.last() != Some(&number) {
            self.touched.push(number);
        }
    }
}

impl GroupTable {
    /// Keeps from now on what changes, to be taken by [`GroupTable::write_changes`].
    pub fn start_journal(&mut self) {
        self.journal = Some(Journal::default());
        for named in self.groups.values_mut() {
            named.group.changes.start(named.group.cursor);
        }
    }

    /// Writes what has changed since this was called last behind `out`, as one frame, and tells how soon it must be
    /// where no crash loses it; none where nothing has changed.
    pub fn write_changes(&mut self, out: &mut Vec<u8>) -> Option<Urgency> {
        let GroupTable { journal, groups, .. } = self;
        let journal = journal.as_mut().filter(|journal| !journal.touched.is_empty() || !journal.bytes.is_empty())?;
        let start = begin_frame(out);
        let mut urgency = if journal.bytes.is_empty() { Urgency::Soon } else { Urgency::Now };
        // Numbers are given once, so what groups have noted may stand behind all that were created and destroyed.
        out.append(&mut journal.bytes);
        for number in journal.touched.drain(..) {
            // One that was destroyed needs nothing.
            if let Some(named) = groups.get_mut(&number) {
                urgency = urgency.max(named.group.changes.take(number, out));
            }
        }
        end_frame(out, start).then_some(urgency)
    }

    /// Notes where all groups read on, which [`GroupTable::write_changes`] then writes: for a server that stops.
    pub fn note_cursors(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        for (number, named) in &mut self.groups {
            named.group.changes.read_to(named.group.cursor, true);
            journal.touched(*number);
        }
    }

    /// Writes all groups behind `out`: what a journal starts with. To be called when the changes have been written.
    pub fn write_state(&self, out: &mut Vec<u8>) {
        debug_assert!(self.journal.as_ref().is_none_or(|journal| journal.bytes.is_empty()));
        for (number, named) in &self.groups {
            debug_assert!(named.group.changes.is_empty());
            let start = begin_frame(out);
            put_group(out, *number, (&named.key_pattern, &named.name), &named.group);
            end_frame(out, start);
        }
    }

    /// Makes of frames what they were made of, on top of what the table has; answers how many of the bytes were frames.
    /// The first that is none ends it.
    pub fn replay(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some((changes, behind)) = split_frame(rest) {
            if self.apply(changes).is_err() {
                break;
            }
            rest = behind;
        }
        bytes.len() - rest.len()
    }

    fn apply(&mut self, changes: &[u8]) -> Result<(), Damaged> {
        let mut input = Input(changes);
        let mut number = None;
        while !input.is_empty() {
            let tag = Tag::of(input.byte()?).ok_or(Damaged)?;
            match tag {
                Tag::Group => self.apply_group(&mut input)?,
                Tag::Destroyed => self.remove_numbered(input.number()?),
                Tag::Of => number = Some(input.number()?),
                Tag::Cursor
                | Tag::Consumer
                | Tag::ConsumerRemoved
                | Tag::Delivered
                | Tag::Redelivered
                | Tag::Acknowledged
                | Tag::Parked
                | Tag::Replayed
                | Tag::GivenBack
                | Tag::Lost => {
                    let named = number.and_then(|number| self.groups.get_mut(&number)).ok_or(Damaged)?;
                    named.group.apply(tag, &mut input)?;
                }
            }
        }
        Ok(())
    }

    /// Lets the groups go on with another history, of which their positions say nothing: all that was pending or parked
    /// counts as lost, and the next read of each begins with a gap.
    pub fn forget_positions(&mut self) {
        self.groups.values_mut().for_each(|named| named.group.forget_positions());
    }

    /// Sets cursors back that are beyond the position that the next event gets.
    pub fn hold_below(&mut self, next: Position) {
        self.groups.values_mut().for_each(|named| named.group.cursor = named.group.cursor.min(next));
    }
}

pub(super) fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    start
}

/// Ends a frame, or takes it away where it is empty; tells whether there is one.
pub(super) fn end_frame(out: &mut Vec<u8>, start: usize) -> bool {
    let changes = start + FRAME_HEADER_BYTES;
    if out.len() == changes {
        out.truncate(start);
        return false;
    }
    // A million entries take 20 MiB.
    let length = u32::try_from(out.len() - changes).expect("a turn's changes are far less than 4 GiB").to_le_bytes();
    let sum = crc32c::crc32c_append(crc32c::crc32c(&length), &out[changes..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..changes].copy_from_slice(&sum.to_le_bytes());
    true
}

/// The changes of the first frame, and what comes behind it; none where it is not whole.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let (changes, behind) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let is_whole = crc32c::crc32c_append(crc32c::crc32c(length), changes) == u32::from_le_bytes(*sum);
    (is_whole && !changes.is_empty()).then_some((changes, behind))
}

/// A group, whole: see `apply_group` in `restore` for how it is read.
pub(super) fn put_group(out: &mut Vec<u8>, number: u64, (key_pattern, name): (&[u8], &[u8]), group: &Group) {
    let (options, counts) = (&group.options, &group.counts);
    out.push(Tag::Group as u8);
    put_number(out, number);
    put_bytes(out, key_pattern);
    put_bytes(out, name);
    let numbers = [
        options.idle_ms,
        u64::from(options.max_deliveries),
        options.max_pending as u64,
        group.cursor.0,
        counts.delivered,
        counts.redelivered,
        counts.acknowledged,
        counts.lost,
        counts.parked,
        group.consumers.next(),
        group.consumers.len() as u64,
    ];
    numbers.into_iter().for_each(|number| put_number(out, number));
    for (id, consumer) in group.consumers.iter() {
        put_number(out, id.0);
        put_bytes(out, &consumer.name);
        put_number(out, consumer.seen_ms);
    }
    put_entries(out, group.pending.len(), group.pending.iter());
    put_entries(out, group.parked.len(), group.parked.iter().map(|(position, entry)| (*position, entry)));
}

fn put_entries<'a>(out: &mut Vec<u8>, count: usize, entries: impl Iterator<Item = (Position, &'a Entry)>) {
    put_number(out, count as u64);
    let (mut last, mut last_ms) = (0, 0);
    for (position, entry) in entries {
        put_number(out, position.0.wrapping_sub(last));
        put_number(out, entry.consumer.map_or(0, |consumer| consumer.0 + 1));
        put_number(out, u64::from(entry.deliveries));
        put_number(out, distance(last_ms, entry.delivered_ms));
        (last, last_ms) = (position.0, entry.delivered_ms);
    }
}
