//! Where the fields of a block are, and how wide each of them is.
//!
//! ```text
//!  narrow │ flags 2 │ last 5            │ key length 1 │ key │ value length 0/1/2 │ revision 1/2/4/8 │ expiry 0/5/8 │ value
//!  wide   │ flags 2 │ 0 2 │ key length 4 │ last 8       │ key │ …
//! ```
//!
//! The key stands at a fixed offset, so that a look-up decodes nothing. `last` counts units of 8 bytes in its narrow form,
//! the expiry milliseconds since 2020 in its form of 5 bytes. Numbers are little-endian.

use crate::collection::{HashValue, ListValue, RedisStreamValue, SetValue, SortedValue};
use crate::position::RingOffset;

/// Fields of the flags: codes for the widths of the revision and of the expiry, what eviction knows of the key, the width
/// of the value's length in bytes, the encoding, whether a row of the queue of absent keys refers to the key, whether the
/// block is wide.
const REVISION: u16 = 0b11;
const EXPIRY_SHIFT: u32 = 2;
const EXPIRY: u16 = 0b11;
const ACCESS_SHIFT: u32 = 4;
const ACCESS: u16 = 0xF;
const LENGTH_SHIFT: u32 = 8;
const LENGTH: u16 = 0b11;
const ENCODING_SHIFT: u32 = 10;
const ENCODING: u16 = 0xF;
const QUEUED: u16 = 1 << 14;
const WIDE: u16 = 1 << 15;

/// The widths of an expiry by its code, four bits for each.
const EXPIRY_WIDTHS: u32 = 0x850;

/// 2020-01-01 in Unix milliseconds.
const EXPIRY_EPOCH_MS: u64 = 1_577_836_800_000;

/// `last` in its narrow form if there is no record.
const NO_RECORD: u64 = (1 << 40) - 1;

/// The alignment of a value that is more than bytes.
pub(super) const VALUE_ALIGN: usize = 8;

const _: () = assert!(align_of::<Vec<u8>>() <= VALUE_ALIGN && align_of::<HashValue>() <= VALUE_ALIGN);
const _: () = assert!(align_of::<ListValue>() <= VALUE_ALIGN && align_of::<SetValue>() <= VALUE_ALIGN);
const _: () = assert!(align_of::<SortedValue>() <= VALUE_ALIGN && align_of::<RedisStreamValue>() <= VALUE_ALIGN);

/// The longest value in the block itself, in bytes.
pub(super) const INLINE_MAX: usize = u16::MAX as usize;

/// What the value's bytes in the block are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Encoding {
    /// There is no value.
    None = 0,
    /// A string.
    Raw = 1,
    /// A `Vec<u8>` that has the string.
    String = 2,
    /// A `HashValue`.
    Hash = 3,
    /// A `ListValue`.
    List = 4,
    /// A `SetValue`.
    Set = 5,
    /// A `SortedValue`.
    Sorted = 6,
    /// A packed hash.
    PackedHash = 7,
    /// A packed list.
    PackedList = 8,
    /// A packed set.
    PackedSet = 9,
    /// A set of integers.
    Integers = 10,
    /// A packed sorted set.
    PackedSorted = 11,
    /// A `RedisStreamValue`.
    RedisStream = 12,
    /// A `HashValue` whose fields have TTLs, or have had.
    TimedHash = 13,
}

impl Encoding {
    #[inline]
    fn from_flags(flags: u16) -> Encoding {
        match flags >> ENCODING_SHIFT & ENCODING {
            1 => Encoding::Raw,
            2 => Encoding::String,
            3 => Encoding::Hash,
            4 => Encoding::List,
            5 => Encoding::Set,
            6 => Encoding::Sorted,
            7 => Encoding::PackedHash,
            8 => Encoding::PackedList,
            9 => Encoding::PackedSet,
            10 => Encoding::Integers,
            11 => Encoding::PackedSorted,
            12 => Encoding::RedisStream,
            13 => Encoding::TimedHash,
            _ => Encoding::None,
        }
    }

    /// Whether it is a collection whose bytes are in the block.
    #[inline]
    pub(crate) fn is_small(self) -> bool {
        self as u8 >= Encoding::PackedHash as u8 && self as u8 <= Encoding::PackedSorted as u8
    }

    /// Whether it is a collection that is not.
    #[inline]
    pub(super) fn is_collection_outside(self) -> bool {
        matches!(
            self,
            Encoding::Hash
                | Encoding::TimedHash
                | Encoding::List
                | Encoding::Set
                | Encoding::Sorted
                | Encoding::RedisStream
        )
    }

    /// Whether the block has all of the value, if there is one.
    #[inline]
    pub(super) fn is_inside(self) -> bool {
        self != Encoding::String && !self.is_collection_outside()
    }

    /// The length of the value's bytes where it is always the same; `None` if the block says it.
    #[inline]
    pub(super) fn fixed_length(self) -> Option<usize> {
        match self {
            Encoding::None => Some(0),
            Encoding::Raw
            | Encoding::PackedHash
            | Encoding::PackedList
            | Encoding::PackedSet
            | Encoding::Integers
            | Encoding::PackedSorted => None,
            Encoding::String => Some(size_of::<Vec<u8>>()),
            Encoding::Hash | Encoding::TimedHash => Some(size_of::<HashValue>()),
            Encoding::List => Some(size_of::<ListValue>()),
            Encoding::Set => Some(size_of::<SetValue>()),
            Encoding::Sorted => Some(size_of::<SortedValue>()),
            Encoding::RedisStream => Some(size_of::<RedisStreamValue>()),
        }
    }
}

/// The fields of a block besides key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The stream's latest record.
    pub(crate) last: RingOffset,
    /// The revision of the stream's next event.
    pub(crate) next_revision: u64,
    /// The value's expiry, Unix time in milliseconds; 0 = never.
    pub(crate) expire_at_ms: u64,
    /// Whether a row of the queue of absent keys refers to the key.
    pub(crate) is_queued: bool,
    /// What eviction knows of the key, 4 bits.
    pub(crate) access: u8,
}

/// `last` in its narrow form, if it has one.
#[inline]
fn narrow(last: RingOffset) -> Option<u64> {
    match last {
        RingOffset::NONE => Some(NO_RECORD),
        RingOffset(offset) if offset & 7 == 0 && offset >> 3 < NO_RECORD => Some(offset >> 3),
        RingOffset(_) => None,
    }
}

/// The places of a block's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    flags: u16,
    key_length: u32,
    value_length: u32,
}

impl Shape {
    /// The shape of a block with these fields, each as narrow as it may be.
    pub(super) fn of(key_length: usize, facts: &Facts, encoding: Encoding, value_length: usize) -> Shape {
        debug_assert!(encoding.fixed_length().is_none_or(|length| length == value_length));
        // The width is 1 << code.
        let revision_code = match facts.next_revision {
            0..=0xFF => 0,
            0x100..=0xFFFF => 1,
            0x1_0000..=0xFFFF_FFFF => 2,
            _ => 3,
        };
        let expiry_code = match facts.expire_at_ms {
            0 => 0,
            at_ms if at_ms >= EXPIRY_EPOCH_MS && at_ms - EXPIRY_EPOCH_MS < 1 << 40 => 1,
            _ => 2,
        };
        let length_width = match encoding.fixed_length() {
            Some(_) => 0,
            None if value_length <= 0xFF => 1,
            None => 2,
        };
        let mut flags = revision_code
            | expiry_code << EXPIRY_SHIFT
            | u16::from(facts.access & ACCESS as u8) << ACCESS_SHIFT
            | length_width << LENGTH_SHIFT
            | (encoding as u16) << ENCODING_SHIFT;
        if facts.is_queued {
            flags |= QUEUED;
        }
        if key_length > 0xFF || narrow(facts.last).is_none() {
            flags |= WIDE;
        }
        // Clients send no key of 4 GiB, and no value in a block is longer than `INLINE_MAX`.
        Shape { flags, key_length: key_length as u32, value_length: value_length as u32 }
    }

    /// Decodes the first 16 bytes of a block. The length of a value in the block is still 0: see
    /// [`Shape::with_value_length`].
    #[inline]
    pub(super) fn of_start(start: &[u8; 16]) -> Shape {
        let first = number(&start[..8]);
        let flags = first as u16;
        let key_length = if flags & WIDE == 0 { (first >> 56) as u32 } else { (first >> 32) as u32 };
        Shape { flags, key_length, value_length: 0 }
    }

    /// With the length of the value, which `bytes`, the block up to [`Shape::revision_at`] at least, tells.
    #[inline]
    pub(super) fn with_value_length(self, bytes: &[u8]) -> Shape {
        let at = self.key_end();
        let value_length = match self.length_width() {
            1 => u32::from(bytes[at]),
            0 => self.encoding().fixed_length().unwrap_or(0) as u32,
            _ => u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])),
        };
        Shape { value_length, ..self }
    }

    #[inline]
    pub(super) fn encoding(self) -> Encoding {
        Encoding::from_flags(self.flags)
    }

    /// Whether it is a string of up to 255 bytes in a narrow block, as most are: the length of the value is the byte at
    /// [`Shape::short_length_at`].
    #[inline]
    pub(super) fn is_short(self) -> bool {
        const OF_SHORT: u16 = WIDE | ENCODING << ENCODING_SHIFT | LENGTH << LENGTH_SHIFT;
        const SHORT: u16 = (Encoding::Raw as u16) << ENCODING_SHIFT | 1 << LENGTH_SHIFT;
        self.flags & OF_SHORT == SHORT
    }

    /// Where the length of a short string is.
    #[inline]
    pub(super) fn short_length_at(self) -> usize {
        8 + self.key_length()
    }

    #[inline]
    pub(super) fn is_queued(self) -> bool {
        self.flags & QUEUED != 0
    }

    #[inline]
    pub(super) fn key_at(self) -> usize {
        if self.flags & WIDE == 0 { 8 } else { 16 }
    }

    #[inline]
    pub(super) fn key_length(self) -> usize {
        self.key_length as usize
    }

    #[inline]
    fn key_end(self) -> usize {
        self.key_at() + self.key_length()
    }

    #[inline]
    fn length_width(self) -> usize {
        (self.flags >> LENGTH_SHIFT & LENGTH) as usize
    }

    #[inline]
    pub(super) fn revision_at(self) -> usize {
        self.key_end() + self.length_width()
    }

    #[inline]
    fn revision_width(self) -> usize {
        1 << (self.flags & REVISION)
    }

    #[inline]
    fn expiry_at(self) -> usize {
        self.revision_at() + self.revision_width()
    }

    #[inline]
    fn expiry_width(self) -> usize {
        (EXPIRY_WIDTHS >> (4 * (self.flags >> EXPIRY_SHIFT & EXPIRY)) & 0xF) as usize
    }

    /// Whether there is an expiry.
    #[inline]
    pub(super) fn expires(self) -> bool {
        self.flags >> EXPIRY_SHIFT & EXPIRY != 0
    }

    /// The end of the fields before the value.
    #[inline]
    pub(super) fn fields_end(self) -> usize {
        self.expiry_at() + self.expiry_width()
    }

    /// Where the value begins: right behind the fields, or aligned if it is more than bytes.
    #[inline]
    pub(super) fn value_at(self) -> usize {
        match self.encoding() {
            Encoding::String
            | Encoding::Hash
            | Encoding::TimedHash
            | Encoding::List
            | Encoding::Set
            | Encoding::Sorted
            | Encoding::RedisStream => self.fields_end().next_multiple_of(VALUE_ALIGN),
            _ => self.fields_end(),
        }
    }

    #[inline]
    pub(super) fn value_length(self) -> usize {
        self.value_length as usize
    }

    /// The number of bytes of the block.
    #[inline]
    pub(super) fn total(self) -> usize {
        self.value_at() + self.value_length()
    }

    #[inline]
    pub(super) fn last(self, start: &[u8; 16]) -> RingOffset {
        if self.flags & WIDE != 0 {
            return RingOffset(number(&start[8..16]));
        }
        match number(&start[..8]) << 8 >> 24 {
            NO_RECORD => RingOffset::NONE,
            units => RingOffset(units << 3),
        }
    }

    #[inline]
    pub(super) fn next_revision(self, bytes: &[u8]) -> u64 {
        let at = self.revision_at();
        match self.revision_width() {
            1 => u64::from(bytes[at]),
            2 => u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]])),
            4 => number_of_4(&bytes[at..at + 4]),
            width => number(&bytes[at..at + width]),
        }
    }

    #[inline]
    pub(super) fn expire_at_ms(self, bytes: &[u8]) -> u64 {
        let at = self.expiry_at();
        match self.expiry_width() {
            0 => 0,
            5 => {
                let (low, high) = (number_of_4(&bytes[at..]), u64::from(bytes[at + 4]));
                (low | high << 32) + EXPIRY_EPOCH_MS
            }
            _ => number(&bytes[at..at + 8]),
        }
    }

    /// The fields in these bytes, the whole memory of the block.
    pub(super) fn facts(self, bytes: &[u8]) -> Facts {
        Facts {
            last: self.last(bytes.first_chunk().unwrap_or(&[0; 16])),
            next_revision: self.next_revision(bytes),
            expire_at_ms: self.expire_at_ms(bytes),
            is_queued: self.is_queued(),
            access: self.access(),
        }
    }

    /// Writes everything but key and value. The shape is that of these facts.
    pub(super) fn write(self, bytes: &mut [u8], facts: &Facts) {
        bytes[..2].copy_from_slice(&self.flags.to_le_bytes());
        if self.flags & WIDE == 0 {
            put_number(&mut bytes[2..7], narrow(facts.last).unwrap_or(NO_RECORD));
            bytes[7] = self.key_length as u8;
        } else {
            bytes[2..4].fill(0);
            put_number(&mut bytes[4..8], u64::from(self.key_length));
            put_number(&mut bytes[8..16], facts.last.0);
        }
        let (at, end) = (self.key_end(), self.revision_at());
        put_number(&mut bytes[at..end], u64::from(self.value_length));
        put_number(&mut bytes[end..self.expiry_at()], facts.next_revision);
        let expiry = match self.expiry_width() {
            5 => facts.expire_at_ms - EXPIRY_EPOCH_MS,
            _ => facts.expire_at_ms,
        };
        put_number(&mut bytes[self.expiry_at()..self.fields_end()], expiry);
    }

    /// Writes the stream's head where both numbers fit as wide as they are; returns whether they did.
    #[inline(always)]
    pub(super) fn write_head(self, bytes: &mut [u8], next_revision: u64, last: RingOffset) -> bool {
        let width = self.revision_width();
        if width < 8 && next_revision >> (8 * width) != 0 {
            return false;
        }
        if self.flags & WIDE != 0 {
            put_number(&mut bytes[8..16], last.0);
        } else {
            let Some(units) = narrow(last) else { return false };
            bytes[2..7].copy_from_slice(&units.to_le_bytes()[..5]);
        }
        let at = self.revision_at();
        match width {
            1 => bytes[at] = next_revision as u8,
            2 => bytes[at..at + 2].copy_from_slice(&(next_revision as u16).to_le_bytes()),
            4 => bytes[at..at + 4].copy_from_slice(&(next_revision as u32).to_le_bytes()),
            _ => put_number(&mut bytes[at..at + width], next_revision),
        }
        true
    }

    /// This shape with another length of the value, if all else stays where it is.
    #[inline]
    pub(super) fn with_length(self, value_length: usize) -> Option<Shape> {
        let fits = match self.length_width() {
            1 => value_length <= 0xFF,
            2 => value_length > 0xFF && value_length <= INLINE_MAX,
            _ => false,
        };
        fits.then_some(Shape { value_length: value_length as u32, ..self })
    }

    /// Writes the length of the value, as wide as it is.
    #[inline]
    pub(super) fn write_length(self, bytes: &mut [u8]) {
        let at = self.key_end();
        match self.length_width() {
            1 => bytes[at] = self.value_length as u8,
            _ => bytes[at..at + 2].copy_from_slice(&(self.value_length as u16).to_le_bytes()),
        }
    }

    /// What eviction knows of the key.
    #[inline]
    pub(super) fn access(self) -> u8 {
        (self.flags >> ACCESS_SHIFT & ACCESS) as u8
    }

    /// The flags with other knowledge for eviction.
    #[inline]
    pub(super) fn with_access(self, access: u8) -> u16 {
        self.flags & !(ACCESS << ACCESS_SHIFT) | (u16::from(access) & ACCESS) << ACCESS_SHIFT
    }

    /// The flags with another answer to whether the key is queued.
    pub(super) fn with_queued(self, is_queued: bool) -> u16 {
        if is_queued { self.flags | QUEUED } else { self.flags & !QUEUED }
    }
}

/// A number of 8 bytes, or of fewer.
#[inline]
pub(super) fn number(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => number_of_few(bytes),
    }
}

#[cold]
fn number_of_few(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(whole)
}

#[inline]
fn number_of_4(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from(u32::from_le_bytes(*bytes)))
}

/// Writes the lowest bytes of a number, as many as there is room for, at most 8.
#[inline]
pub(super) fn put_number(bytes: &mut [u8], value: u64) {
    bytes.copy_from_slice(&value.to_le_bytes()[..bytes.len()]);
}
