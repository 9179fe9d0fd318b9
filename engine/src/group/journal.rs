//! What outlives the process of a core's groups: every change of a turn as one frame, and groups made of frames again.
//!
//! ```text
//!   frame:  length, 4 bytes │ checksum, 4 bytes │ changes, `length` bytes      little-endian
//! ```
//!
//! The checksum is CRC-32C of length and changes; in a file it is combined (exclusive or) with that of the byte at which
//! the frame begins: so a frame that is missing makes all behind it none. Frames are made without their place and
//! [placed](place_frames) where they are written.
//!
//! A journal is the whole state, a frame for each group, and then a frame for each turn that changed something. Frames
//! are whole or nothing: what a turn delivered and how far the cursor moved for it stand or fall together, so that no
//! crash lets the cursor pass what nobody was given. A frame that is not what it was ends the journal. Where nothing that
//! is a frame comes behind it, it was being written, and its clients were never told. Where something does, it is damage:
//! [`GroupTable::salvage`] makes of such a journal what is sure.
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
use std::collections::BTreeMap;
use std::ops::Range;

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

    /// Makes of frames what they were made of, on top of what the table has. The first that is none ends it. The frames
    /// begin at byte `place` of their file; none where they are not placed.
    pub fn replay(&mut self, bytes: &[u8], place: Option<u64>) -> Replayed {
        let mut replayed = Replayed::default();
        while let Some((changes, behind)) = split_frame(bytes, replayed.bytes, place) {
            replayed.is_ended = changes == ENDED;
            if !replayed.is_ended && self.apply(changes).is_err() {
                break;
            }
            replayed.bytes = behind;
            replayed.frames += 1;
        }
        replayed
    }

    /// Makes of damaged frames what is sure, on top of what the table has; answers the bytes that were no frames. Groups
    /// that were there before the damage are as they were then, for it may have changed any of them: what they were given
    /// later is delivered again. Groups that were created behind it are as they were at the end.
    pub fn salvage(&mut self, bytes: &[u8], place: Option<u64>) -> Vec<Range<usize>> {
        let (mut at, mut lost) = (0, Vec::new());
        // By number, each group as it was before the first damage that it has met.
        let mut held: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        while at < bytes.len() {
            let frame = split_frame(bytes, at, place);
            if let Some((changes, behind)) = frame
                && (changes == ENDED || self.apply(changes).is_ok())
            {
                at = behind;
                continue;
            }
            for (number, named) in &self.groups {
                held.entry(*number).or_insert_with(|| {
                    let mut state = Vec::new();
                    put_group(&mut state, *number, (&named.key_pattern, &named.name), &named.group);
                    state
                });
            }
            let from = at;
            at = frame.map_or_else(|| first_frame(bytes, at + 1, place).unwrap_or(bytes.len()), |(_, behind)| behind);
            lost.push(from..at);
        }
        for (number, state) in held {
            if self.groups.contains_key(&number) && self.apply(&state).is_err() {
                debug_assert!(false, "what was just written can be read");
            }
        }
        lost
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

/// What was made of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many bytes they were.
    pub bytes: usize,
    /// How many frames.
    pub frames: usize,
    /// Whether the last of them says that the server stopped in order.
    pub is_ended: bool,
}

/// The changes of the frame that says that the server stopped in order. No change has this tag.
const ENDED: &[u8] = &[0xff];

/// Writes the frame behind `out` that says that nothing follows.
pub fn write_end(out: &mut Vec<u8>) {
    let start = begin_frame(out);
    out.extend_from_slice(ENDED);
    end_frame(out, start);
}

/// Has the checksums of frames tell where each begins, the first at byte `place` of its file. To be called once for
/// frames that were just made.
pub fn place_frames(frames: &mut [u8], place: u64) {
    let mut at = 0;
    while let Some(length) = frames.get(at..).and_then(<[u8]>::first_chunk::<4>).copied() {
        let Some(sum) = frames.get_mut(at + 4..at + FRAME_HEADER_BYTES) else { return };
        for (byte, placed) in sum.iter_mut().zip(placed([0; 4], place + at as u64)) {
            *byte ^= placed;
        }
        at += FRAME_HEADER_BYTES + u32::from_le_bytes(length) as usize;
    }
}

/// The sum of a frame that begins at byte `place` of its file, of its sum without it.
fn placed(sum: [u8; 4], place: u64) -> [u8; 4] {
    let place = crc32c::crc32c(&place.to_le_bytes()).to_le_bytes();
    std::array::from_fn(|at| sum[at] ^ place[at])
}

/// The changes of the frame that begins at byte `at`, and where the next one does; none where it is not whole.
pub(super) fn split_frame(bytes: &[u8], at: usize, place: Option<u64>) -> Option<(&[u8], usize)> {
    let (length, rest) = bytes.get(at..)?.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let changes = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let expected = crc32c::crc32c_append(crc32c::crc32c(length), changes).to_le_bytes();
    let expected = place.map_or(expected, |place| placed(expected, place + at as u64));
    (expected == *sum && !changes.is_empty()).then_some((changes, at + FRAME_HEADER_BYTES + changes.len()))
}

/// Where the first whole frame begins at byte `from` or later; none where there is none. The arguments are those of
/// [`GroupTable::replay`].
pub fn first_frame(bytes: &[u8], from: usize, place: Option<u64>) -> Option<usize> {
    /// Sums at most so many bytes of what may be frames. What takes more was made to look like frames, and counts as such.
    const SUMMED_BYTES_MAX: usize = 1 << 30;
    let mut summed = 0;
    (from..bytes.len().saturating_sub(FRAME_HEADER_BYTES)).find(|at| {
        let frame = &bytes[*at..];
        let length = frame.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize);
        let first = frame[FRAME_HEADER_BYTES];
        let is_plausible =
            (1..=frame.len() - FRAME_HEADER_BYTES).contains(&length) && (Tag::of(first).is_some() || ENDED == [first]);
        if is_plausible {
            summed += length;
        }
        is_plausible && (summed > SUMMED_BYTES_MAX || split_frame(bytes, *at, place).is_some())
    })
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
