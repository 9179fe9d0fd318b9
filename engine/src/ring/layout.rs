//! The format of a record, word by word, and its encoding. The ring and the log hold records in this form.
//!
//! ```text
//!        byte 0              2              4              6           8     words are little endian
//! w0    │ length in bytes, whole record   │ checksum                    │     length: a multiple of 8
//! w1    │ position                                                      │     0 until the record is stamped
//! w2    │ timestamp, Unix time in milliseconds                          │
//! w3    │ revision                                                      │
//! w4    │ back link: ring offset of the stream's previous record        │     all ones: there is none
//! w5    │ key bytes                       │ event type   │ flags        │
//!       ├─ only with EXT ──────────────────────────────────────────────┤
//! w6    │ meta bytes                      │ type bytes   │ 0            │
//!       ├─ only with ID (which implies EXT) ───────────────────────────┤
//! w7-8  │ event id, 16 bytes                                            │
//!       ├──────────────────────────────────────────────────────────────┤
//!       │ key, type name, data, meta: back to back, then zeros up to a multiple of 8
//! ```
//!
//! With PARTS the data is several parts: for each, its length in four bytes, then its bytes. DATA and META distinguish
//! empty data and metadata from absent ones. The length of the data is the record's length minus that of everything
//! else; the number of padding zeros is in the top three bits of the flags.
//!
//! The checksum is CRC-32C of everything from w1 on, seeded with the length and, in a log, the record's offset. It is 0
//! while the record is only in memory, and filled in before the log receives the record.

use crate::event::EventType;
use crate::position::{Revision, RingOffset};
use crate::sync::{AtomicU64, Ordering};

/// The length of the header of every record, in bytes.
pub const HEADER_BYTES: u64 = 48;

/// There is a word for the lengths of metadata and type name.
pub(super) const EXT: u16 = 1;
/// There is an event id.
pub(super) const ID: u16 = 1 << 1;
/// The data is JSON.
pub(super) const JSON: u16 = 1 << 2;
/// The data is several parts, each preceded by its length.
pub(super) const PARTS: u16 = 1 << 3;
/// There is metadata, possibly empty.
pub(super) const META: u16 = 1 << 4;
/// There is data, possibly empty.
pub(super) const DATA: u16 = 1 << 5;
/// The next record belongs to the same command: a log returns both or neither.
pub(super) const MORE: u16 = 1 << 6;
/// The bit at which the number of padding zeros starts in the flags.
pub(super) const PADDING_SHIFT: u32 = 13;
/// The index of the word with key length, type and flags.
pub(super) const KEY_WORD: usize = 5;

/// The data of an event to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// No data, which is different from empty data.
    None,
    /// Bytes.
    One(&'a [u8]),
    /// Several byte strings in order, such as field and value.
    Parts(&'a [&'a [u8]]),
}

/// An event to be recorded: everything but its position, which is assigned at the end of the turn.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The type of the event.
    pub event_type: EventType,
    /// The type's name if the type is [`EventType::Custom`], else empty. At most 65,535 bytes.
    pub custom_type: &'a [u8],
    /// The key, which is also the stream.
    pub key: &'a [u8],
    /// The data.
    pub data: Data<'a>,
    /// The client's metadata.
    pub meta: Option<&'a [u8]>,
    /// The event id, if the client gave one.
    pub id: Option<[u8; 16]>,
    /// Whether the data is JSON.
    pub json: bool,
    /// The position in the stream.
    pub revision: Revision,
    /// The time of the event, Unix time in milliseconds.
    pub timestamp_ms: u64,
    /// The stream's previous record, or [`RingOffset::NONE`].
    pub back_link: RingOffset,
}

/// The size in bytes of a record without metadata, id and custom type whose data is one string or none.
pub fn record_bytes(key_len: usize, data_len: usize) -> u64 {
    (HEADER_BYTES + key_len as u64 + data_len as u64).next_multiple_of(8)
}

/// The size in bytes of a record without metadata, id and custom type whose data is parts of these lengths.
pub fn record_bytes_parts(key_len: usize, parts: impl Iterator<Item = usize>) -> u64 {
    record_bytes(key_len, parts.map(|part| part + 4).sum())
}

impl<'a> Draft<'a> {
    /// A draft without metadata, id and custom type.
    pub fn new(event_type: EventType, key: &'a [u8], data: Data<'a>) -> Draft<'a> {
        Draft {
            event_type,
            custom_type: b"",
            key,
            data,
            meta: None,
            id: None,
            json: false,
            revision: Revision(0),
            timestamp_ms: 0,
            back_link: RingOffset::NONE,
        }
    }

    /// The size of the record in bytes: a multiple of 8.
    pub fn record_bytes(&self) -> u64 {
        self.shape().length
    }

    #[inline]
    pub(super) fn shape(&self) -> Shape {
        let (data_len, mut flags) = match self.data {
            Data::None => (0, 0),
            Data::One(data) => (data.len() as u64, DATA),
            Data::Parts(parts) => (parts.iter().map(|part| part.len() as u64 + 4).sum(), DATA | PARTS),
        };
        if self.json {
            flags |= JSON;
        }
        let mut length = HEADER_BYTES + self.key.len() as u64 + data_len;
        if self.meta.is_some() || self.id.is_some() || !self.custom_type.is_empty() {
            flags |= EXT;
            length += 8 + self.custom_type.len() as u64;
            if let Some(meta) = self.meta {
                flags |= META;
                length += meta.len() as u64;
            }
            if self.id.is_some() {
                flags |= ID;
                length += 16;
            }
        }
        let padded = length.next_multiple_of(8);
        Shape { length: padded, flags: flags | ((padded - length) as u16) << PADDING_SHIFT }
    }
}

/// Sizes and flags, computed before a record is written.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) length: u64,
    flags: u16,
}

/// Writes the record into exactly `shape.length / 8` words. The caller has checked that the length fits into 32 bits.
#[inline]
pub(super) fn encode(draft: &Draft<'_>, shape: Shape, words: &[AtomicU64]) {
    let header = [
        shape.length,
        0,
        draft.timestamp_ms,
        draft.revision.0,
        draft.back_link.0,
        draft.key.len() as u64 | (draft.event_type.code() as u64) << 32 | (shape.flags as u64) << 48,
    ];
    let (header_words, words) = words.split_at(header.len());
    store_all(header_words, header.into_iter());
    let mut packer = Packer { words, carry: 0, bits: 0 };
    if shape.flags & EXT != 0 {
        let meta_len = draft.meta.map_or(0, <[u8]>::len) as u64;
        packer.word(meta_len | (draft.custom_type.len() as u64) << 32);
        if let Some(id) = draft.id {
            packer.bytes(&id);
        }
    }
    packer.bytes(draft.key);
    if shape.flags & EXT != 0 {
        packer.bytes(draft.custom_type);
    }
    match draft.data {
        Data::None => {}
        Data::One(data) => packer.bytes(data),
        Data::Parts(parts) => {
            for part in parts {
                packer.short(part.len() as u64, 4);
                packer.bytes(part);
            }
        }
    }
    if let Some(meta) = draft.meta {
        packer.bytes(meta);
    }
    packer.finish();
}

#[inline(always)]
fn store_all(words: &[AtomicU64], values: impl Iterator<Item = u64>) {
    for (word, value) in words.iter().zip(values) {
        // Relaxed: the words are published by the release store of the tail, see `words.rs` (W3).
        word.store(value, Ordering::Relaxed);
    }
}

/// Packs byte strings of any length one after another into words, storing each word once.
struct Packer<'w> {
    /// The words not stored yet.
    words: &'w [AtomicU64],
    /// The bytes of the incomplete word; zero above `bits`.
    carry: u64,
    /// The number of bits used in `carry`: 0 to 56, a multiple of 8.
    bits: u32,
}

impl Packer<'_> {
    #[inline(always)]
    fn word(&mut self, value: u64) {
        if let Some((word, rest)) = self.words.split_first() {
            // Relaxed, like the header.
            word.store(value, Ordering::Relaxed);
            self.words = rest;
        }
    }

    /// Shifts only at the ends: once the incomplete word is full, each word of the ring is a word of `bytes`, wherever
    /// in `bytes` it starts.
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
            return self.short(short_from_le_bytes(bytes), bytes.len() as u32);
        };
        let mut taken = 0;
        if self.bits > 0 {
            self.word(self.carry | u64::from_le_bytes(*first) << self.bits);
            taken = 8 - self.bits as usize / 8;
        }
        let (chunks, rest) = bytes[taken..].as_chunks::<8>();
        // The shape includes these bytes. Split once, so that the loop needs no bounds check of its own.
        let (words, words_rest) = self.words.split_at(chunks.len());
        self.words = words_rest;
        // Four at a time: the compiler does not unroll loops over atomics.
        let ((word_fours, words), (chunk_fours, chunks)) = (words.as_chunks::<4>(), chunks.as_chunks::<4>());
        for (words, chunks) in word_fours.iter().zip(chunk_fours) {
            store_all(words, chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)));
        }
        store_all(words, chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)));
        self.bits = rest.len() as u32 * 8;
        self.carry = if rest.is_empty() { 0 } else { u64::from_le_bytes(*last) >> (64 - self.bits) };
    }

    /// Appends the lowest `count` bytes of `value`, at most 7; the others are zero.
    #[inline(always)]
    fn short(&mut self, value: u64, count: u32) {
        let bits = self.bits + 8 * count;
        self.carry |= value << self.bits;
        if bits < 64 {
            self.bits = bits;
        } else {
            self.word(self.carry);
            // Not shifted by 64: without bits from before, seven bytes do not fill the word.
            self.carry = value >> (64 - self.bits);
            self.bits = bits - 64;
        }
    }

    #[inline(always)]
    fn finish(&mut self) {
        if self.bits > 0 {
            self.word(self.carry);
        }
        debug_assert!(self.words.is_empty(), "the record is as long as its shape says");
    }
}

/// Up to seven bytes as a number, by two or three possibly overlapping loads instead of a loop.
#[inline(always)]
fn short_from_le_bytes(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << (8 * (len - 4))
        }
        _ if len == 0 => 0,
        _ => bytes[0] as u64 | (bytes[len / 2] as u64) << (8 * (len / 2)) | (bytes[len - 1] as u64) << (8 * (len - 1)),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn up_to_seven_bytes_become_a_number() {
        for len in 0..8 {
            let bytes: Vec<u8> = (0..len).map(|i| 0x81 + i as u8 * 0x11).collect();
            let mut whole = [0; 8];
            whole[..len].copy_from_slice(&bytes);
            assert_eq!(short_from_le_bytes(&bytes), u64::from_le_bytes(whole), "{len}");
        }
    }

    #[test]
    fn computed_sizes_are_those_of_the_encoded_records() {
        for (key, data) in [(0, 0), (1, 7), (13, 64), (8, 8)] {
            let (key_bytes, data_bytes) = (vec![1; key], vec![2; data]);
            let one = Draft::new(EventType::Set, &key_bytes, Data::One(&data_bytes));
            assert_eq!(one.record_bytes(), record_bytes(key, data));
            let parts = [data_bytes.as_slice(), b"value"];
            let several = Draft::new(EventType::HSet, &key_bytes, Data::Parts(&parts));
            assert_eq!(several.record_bytes(), record_bytes_parts(key, parts.iter().map(|part| part.len())));
        }
    }

    #[test]
    fn a_record_has_the_format_of_existing_logs() {
        let words: Vec<AtomicU64> = (0..11).map(|_| AtomicU64::new(u64::MAX)).collect();
        let draft = Draft {
            custom_type: b"Paid",
            meta: Some(b"m"),
            id: Some([7; 16]),
            json: true,
            revision: Revision(3),
            timestamp_ms: 2,
            back_link: RingOffset(64),
            ..Draft::new(EventType::Custom, b"key", Data::One(b"{}"))
        };
        let shape = draft.shape();
        assert_eq!(shape.length, 88);
        encode(&draft, shape, &words);
        // The record ends with six zeros.
        let flags = (EXT | ID | JSON | META | DATA | 6 << PADDING_SHIFT) as u64;
        let words: Vec<u64> = words.into_iter().map(AtomicU64::into_inner).collect();
        assert_eq!(&words[..7], &[88, 0, 2, 3, 64, 3 | flags << 48, 1 | 4 << 32]);
        assert_eq!(&words[7..9], &[0x0707_0707_0707_0707; 2]);
        assert_eq!(words[9].to_le_bytes(), *b"keyPaid{");
        assert_eq!(words[10].to_le_bytes(), *b"}m\0\0\0\0\0\0");
    }
}
