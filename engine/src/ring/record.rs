//! A view of a record in the form that [`layout`](super::layout) draws, in the ring's scratch space or in a mapped
//! segment. Lengths are checked once, at construction; invalid bytes give `None` and never a panic.

use super::checksum::{Checksum, checksum};
pub(crate) use super::layout::HEADER_BYTES;
use super::layout::{DATA, EXT, ID, JSON, KEY_WORD, META, MORE, PADDING_SHIFT, PARTS};
use crate::event::EventType;
use crate::position::{Position, Revision, RingOffset};

/// One record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// Exactly the record.
    bytes: &'a [u8],
    offset: RingOffset,
    flags: u16,
    type_len: u16,
    key_start: u32,
    key_len: u32,
    data_len: u32,
    meta_len: u32,
}

/// The data of a record.
#[derive(Clone, Debug)]
pub enum RecordData<'a> {
    /// Bytes.
    One(&'a [u8]),
    /// Several byte strings, in order.
    Parts(DataParts<'a>),
}

/// The parts of a record's data, in order.
#[derive(Clone, Debug)]
pub struct DataParts<'a> {
    rest: &'a [u8],
}

/// The length in a record's first word; 0 if there is no whole word.
pub(crate) fn length(bytes: &[u8]) -> u64 {
    bytes.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as u64)
}

/// The position of the record at the start of `bytes`; `None` if there are too few bytes.
#[inline]
pub(crate) fn position(bytes: &[u8]) -> Option<Position> {
    bytes.get(8..)?.first_chunk::<8>().map(|word| Position(u64::from_le_bytes(*word)))
}

impl<'a> Record<'a> {
    /// The record at the start of `bytes`, whose offset in its shard's history is `offset`. `None` if the bytes do not
    /// start with a whole record.
    #[inline]
    pub fn parse(bytes: &'a [u8], offset: RingOffset) -> Option<Record<'a>> {
        let length = length(bytes);
        if length < HEADER_BYTES || !length.is_multiple_of(8) {
            return None;
        }
        let bytes = bytes.get(..length as usize)?;
        let mut record = Record {
            bytes,
            offset,
            flags: (word(bytes, KEY_WORD) >> 48) as u16,
            type_len: 0,
            key_start: HEADER_BYTES as u32,
            key_len: word(bytes, KEY_WORD) as u32,
            data_len: 0,
            meta_len: 0,
        };
        if record.flags & EXT != 0 {
            let ext = u64::from_le_bytes(*bytes.get(48..)?.first_chunk::<8>()?);
            (record.meta_len, record.type_len) = (ext as u32, (ext >> 32) as u16);
            record.key_start += 8 + if record.flags & ID != 0 { 16 } else { 0 };
        }
        let others = record.key_start as u64
            + record.key_len as u64
            + record.type_len as u64
            + record.meta_len as u64
            + (record.flags >> PADDING_SHIFT) as u64;
        record.data_len = length.checked_sub(others)? as u32;
        Some(record)
    }

    /// Its offset.
    pub fn offset(&self) -> RingOffset {
        self.offset
    }

    /// The offset of the next record.
    pub fn end(&self) -> RingOffset {
        RingOffset(self.offset.0 + self.bytes.len() as u64)
    }

    /// Its position in the order of all events; 0 until its turn is stamped.
    pub fn position(&self) -> Position {
        Position(word(self.bytes, 1))
    }

    /// The time of the event, Unix time in milliseconds.
    pub fn timestamp_ms(&self) -> u64 {
        word(self.bytes, 2)
    }

    /// Its revision in its stream.
    pub fn revision(&self) -> Revision {
        Revision(word(self.bytes, 3))
    }

    /// The stream's previous record in the same ring, or [`RingOffset::NONE`]. It may have been overwritten.
    pub fn back_link(&self) -> RingOffset {
        RingOffset(word(self.bytes, 4))
    }

    /// The event's type; [`EventType::Custom`] for a type that a client named.
    pub fn event_type(&self) -> EventType {
        EventType::from_code(self.type_code())
    }

    /// The raw code of the type, which may belong to a later version and be unknown to this one.
    pub(crate) fn type_code(&self) -> u16 {
        (word(self.bytes, KEY_WORD) >> 32) as u16
    }

    /// The type's name, built-in or the client's.
    pub fn type_name(&self) -> &'a [u8] {
        match self.event_type().name() {
            Some(name) => name.as_bytes(),
            None => self.part(self.key_start + self.key_len, self.type_len as u32),
        }
    }

    /// The key, which is also the stream.
    pub fn key(&self) -> &'a [u8] {
        self.part(self.key_start, self.key_len)
    }

    /// The data, or `None` if the event has none (which is different from empty data).
    pub fn data(&self) -> Option<RecordData<'a>> {
        if self.flags & DATA == 0 {
            return None;
        }
        let bytes = self.data_bytes();
        Some(if self.flags & PARTS != 0 {
            RecordData::Parts(DataParts { rest: bytes })
        } else {
            RecordData::One(bytes)
        })
    }

    /// The data as stored: parts with four bytes of length before each.
    pub fn data_bytes(&self) -> &'a [u8] {
        self.part(self.key_start + self.key_len + self.type_len as u32, self.data_len)
    }

    /// The client's metadata.
    pub fn meta(&self) -> Option<&'a [u8]> {
        let start = self.key_start + self.key_len + self.type_len as u32 + self.data_len;
        (self.flags & META != 0).then(|| self.part(start, self.meta_len))
    }

    /// The event id, if the client gave one.
    pub fn id(&self) -> Option<[u8; 16]> {
        if self.flags & (EXT | ID) != EXT | ID {
            return None;
        }
        self.bytes.get(56..)?.first_chunk::<16>().copied()
    }

    /// Whether the data is JSON.
    pub fn is_json(&self) -> bool {
        self.flags & JSON != 0
    }

    /// Whether the next record belongs to the same command.
    pub fn has_more(&self) -> bool {
        self.flags & MORE != 0
    }

    /// Whether the checksum fits. Only records of a log and rows of a snapshot have one.
    #[inline]
    pub fn is_intact(&self, made_of: Checksum) -> bool {
        let place = match made_of {
            Checksum::Alone => None,
            Checksum::Placed => Some(self.offset),
        };
        checksum(self.bytes, place) == (word(self.bytes, 0) >> 32) as u32
    }

    /// The whole record as stored, a multiple of 8 bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `parse` has checked that all parts are within the record: their ends fit, and so does their sum.
    #[inline]
    fn part(&self, start: u32, len: u32) -> &'a [u8] {
        &self.bytes[start as usize..][..len as usize]
    }
}

/// A word of the header, whose presence `parse` has checked.
#[inline(always)]
fn word(bytes: &[u8], index: usize) -> u64 {
    bytes[index * 8..].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record")
            .field("offset", &self.offset)
            .field("position", &self.position())
            .field("revision", &self.revision())
            .field("type", &String::from_utf8_lossy(self.type_name()))
            .field("key", &String::from_utf8_lossy(self.key()))
            .field("data", &String::from_utf8_lossy(self.data_bytes()))
            .finish_non_exhaustive()
    }
}

impl<'a> Iterator for DataParts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (len, rest) = self.rest.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        self.rest = rest;
        Some(part)
    }
}

/// Adjacent records in one run of bytes.
#[derive(Clone, Debug)]
pub(super) struct RecordRun<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: RingOffset,
}

impl<'a> Iterator for RecordRun<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let record = Record::parse(self.bytes, self.offset)?;
        self.bytes = &self.bytes[record.bytes.len()..];
        self.offset = record.end();
        Some(record)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A header of zeros with this length and sixth word, and `more` bytes after it.
    fn bytes(first: u64, lengths: u64, more: usize) -> Vec<u8> {
        let mut bytes = vec![0; 48 + more];
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        bytes[40..48].copy_from_slice(&lengths.to_le_bytes());
        bytes
    }

    #[test]
    fn bytes_that_are_no_record_are_refused() {
        let parse = |bytes: &[u8]| Record::parse(bytes, RingOffset(0)).is_some();
        assert!(parse(&bytes(48, 0, 0)) && parse(&bytes(56, 8, 8)));
        assert!(!parse(&[]) && !parse(&[48, 0, 0, 0]));
        assert!(!parse(&bytes(40, 0, 0)), "shorter than a header");
        assert!(!parse(&bytes(52, 0, 8)), "not whole words");
        assert!(!parse(&bytes(64, 0, 8)), "cut off");
        assert!(!parse(&bytes(56, 9, 8)), "a key beyond the end");
        assert!(!parse(&bytes(56, u64::MAX, 8)), "lengths that would overflow");
        assert!(!parse(&bytes(48, (EXT as u64) << 48, 0)), "no room for what a flag promises");
        assert!(!parse(&bytes(56, ((EXT | ID) as u64) << 48, 8)), "no room for the id");
        assert!(!parse(&bytes(56, 8 | 1 << (48 + PADDING_SHIFT), 8)), "no room for the zeros at its end");
    }

    #[test]
    fn parts_end_where_their_lengths_stop_making_sense() {
        let parts = DataParts { rest: b"\x01\0\0\0a\x00\0\0\0\xff\0\0\0bc" };
        assert_eq!(parts.collect::<Vec<_>>(), [b"a".as_slice(), b""]);
    }
}
