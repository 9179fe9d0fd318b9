//! Reads values in any form.

use super::compact::{integers, listpack, ziplist, zipmap};
use super::lzf;
use super::stream;
use crate::collection::{Bytes, HashValue, Thresholds};
use crate::keyspace::{Kind, Value};
use crate::limits::DUMP_BYTES_MAX;
use crate::number::{parse_f64, score_text};

pub const STRING: u8 = 0;
pub const LIST: u8 = 1;
pub const SET: u8 = 2;
pub const SORTED_BY_TEXT: u8 = 3;
pub const HASH: u8 = 4;
pub const SORTED: u8 = 5;
pub const HASH_ZIPMAP: u8 = 9;
pub const LIST_ZIPLIST: u8 = 10;
pub const SET_INTEGERS: u8 = 11;
pub const SORTED_ZIPLIST: u8 = 12;
pub const HASH_ZIPLIST: u8 = 13;
pub const LIST_OF_ZIPLISTS: u8 = 14;
pub const HASH_LISTPACK: u8 = 16;
pub const SORTED_LISTPACK: u8 = 17;
pub const LIST_OF_LISTPACKS: u8 = 18;
pub const SET_LISTPACK: u8 = 20;
pub const HASH_TTLS: u8 = 24;
pub const HASH_TTLS_LISTPACK: u8 = 25;

/// A type and its value, which are all of these bytes.
pub fn value(bytes: &[u8], thresholds: &Thresholds) -> Option<Value> {
    let (form, rest) = bytes.split_first()?;
    let mut reader = Reader { rest, left: DUMP_BYTES_MAX };
    let value = match *form {
        stream::FIRST | stream::SECOND | stream::THIRD => {
            Value::RedisStream(stream::read(*form, &mut reader, thresholds)?)
        }
        form => composed(form, &mut reader, thresholds)?,
    };
    (reader.rest.is_empty() && !value.is_empty_collection()).then_some(value)
}

/// A value of parts that are read first.
fn composed(form: u8, reader: &mut Reader<'_>, thresholds: &Thresholds) -> Option<Value> {
    let (mut value, parts) = match form {
        HASH_TTLS | HASH_TTLS_LISTPACK => (Value::Hash(HashValue::timed()), timed_hash(form, reader)?),
        form => {
            let (kind, parts) = parts(form, reader)?;
            (Value::empty(kind), parts)
        }
    };
    value.add_parts_within(parts.iter().map(Bytes::as_slice), thresholds).then_some(value)
}

/// A string that is all of these bytes.
pub fn text(bytes: &[u8]) -> Option<Bytes> {
    let mut reader = Reader { rest: bytes, left: DUMP_BYTES_MAX };
    reader.string().filter(|_| reader.rest.is_empty())
}

/// The kind of a value and its parts, as [`Value::add_parts`] takes them.
fn parts(form: u8, reader: &mut Reader<'_>) -> Option<(Kind, Vec<Bytes>)> {
    Some(match form {
        STRING => (Kind::String, vec![reader.string()?]),
        LIST => (Kind::List, reader.strings(1)?),
        SET => (Kind::Set, reader.strings(1)?),
        HASH => (Kind::Hash, reader.strings(2)?),
        SORTED_BY_TEXT => (Kind::Sorted, reader.scored(Reader::score_text)?),
        SORTED => (Kind::Sorted, reader.scored(Reader::score)?),
        HASH_ZIPMAP => (Kind::Hash, zipmap(&reader.string()?)?),
        LIST_ZIPLIST => (Kind::List, ziplist(&reader.string()?)?),
        SET_INTEGERS => (Kind::Set, integers(&reader.string()?)?),
        SORTED_ZIPLIST => (Kind::Sorted, swapped(ziplist(&reader.string()?)?)?),
        HASH_ZIPLIST => (Kind::Hash, ziplist(&reader.string()?)?),
        LIST_OF_ZIPLISTS => {
            let mut elements = Vec::new();
            for _ in 0..reader.count(1)? {
                elements.extend(ziplist(&reader.string()?)?);
            }
            (Kind::List, elements)
        }
        HASH_LISTPACK => (Kind::Hash, listpack(&reader.string()?)?),
        SORTED_LISTPACK => (Kind::Sorted, swapped(listpack(&reader.string()?)?)?),
        SET_LISTPACK => (Kind::Set, listpack(&reader.string()?)?),
        LIST_OF_LISTPACKS => {
            let mut elements = Vec::new();
            for _ in 0..reader.count(2)? {
                match reader.length()? {
                    1 => elements.push(reader.string()?),
                    2 => elements.extend(listpack(&reader.string()?)?),
                    _ => return None,
                }
            }
            (Kind::List, elements)
        }
        _ => return None,
    })
}

/// The parts of a hash whose fields have TTLs: field, value, end of the TTL or 0, …. The first end stands before all.
fn timed_hash(form: u8, reader: &mut Reader<'_>) -> Option<Vec<Bytes>> {
    let first = u64::from_le_bytes(reader.array()?);
    if form == HASH_TTLS_LISTPACK {
        return listpack(&reader.string()?);
    }
    let mut words = Vec::new();
    for _ in 0..reader.count(3)? {
        let end = match reader.length()? {
            0 => 0,
            // Counted from the first one, which is 1.
            behind => first.checked_add(behind as u64 - 1)?,
        };
        words.extend([reader.string()?, reader.string()?]);
        words.push(Bytes::from_slice(itoa::Buffer::new().format(end).as_bytes()));
    }
    Some(words)
}

/// Scores before their members.
fn swapped(mut words: Vec<Bytes>) -> Option<Vec<Bytes>> {
    for pair in words.chunks_mut(2) {
        pair.get(1).filter(|score| parse_f64(score).is_some())?;
        pair.swap(0, 1);
    }
    Some(words)
}

/// What is left of a payload, and how many bytes may come out of it.
pub struct Reader<'p> {
    rest: &'p [u8],
    left: usize,
}

/// A length, or a form of a string that has none.
enum Length {
    Is(u64),
    Form(u8),
}

/// What the first byte of a length says.
pub enum LengthForm {
    /// The length.
    Is(u64),
    /// What is above the 8 bits of the next byte.
    High(u64),
    /// It is in the next 4 bytes.
    Four,
    /// It is in the next 8 bytes.
    Eight,
    /// There is none: a string has this form.
    String(u8),
}

/// What a byte says with which a length begins; `None` if none begins with it.
pub fn length_form(first: u8) -> Option<LengthForm> {
    Some(match first {
        0..0x40 => LengthForm::Is(first.into()),
        0x40..0x80 => LengthForm::High((first & 0x3f).into()),
        0x80 => LengthForm::Four,
        0x81 => LengthForm::Eight,
        0x82..0xc0 => return None,
        0xc0.. => LengthForm::String(first & 0x3f),
    })
}

impl<'p> Reader<'p> {
    fn take(&mut self, count: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn any_length(&mut self) -> Option<Length> {
        let [first] = self.array()?;
        Some(Length::Is(match length_form(first)? {
            LengthForm::Is(length) => length,
            LengthForm::High(high) => high << 8 | u64::from(self.array::<1>()?[0]),
            LengthForm::Four => u32::from_be_bytes(self.array()?).into(),
            LengthForm::Eight => u64::from_be_bytes(self.array()?),
            LengthForm::String(form) => return Some(Length::Form(form)),
        }))
    }

    /// A length as a number of any size.
    pub fn unsigned(&mut self) -> Option<u64> {
        match self.any_length()? {
            Length::Is(length) => Some(length),
            Length::Form(_) => None,
        }
    }

    /// The same, of a number that a signed one may be too.
    pub fn number(&mut self) -> Option<u64> {
        self.unsigned().filter(|number| i64::try_from(*number).is_ok())
    }

    fn length(&mut self) -> Option<usize> {
        self.unsigned()?.try_into().ok()
    }

    /// Takes off what may come out of the payload.
    pub fn spend(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    /// A number of elements that take `bytes` each at least: no more than the rest of the payload has.
    pub fn count(&mut self, bytes: usize) -> Option<usize> {
        let count = self.length()?;
        (count <= self.rest.len() / bytes).then_some(count)
    }

    pub fn string(&mut self) -> Option<Bytes> {
        let text = |number: i32| Bytes::from_slice(itoa::Buffer::new().format(number).as_bytes());
        let bytes = match self.any_length()? {
            Length::Is(length) => Bytes::from_slice(self.take(length.try_into().ok()?)?),
            Length::Form(0) => text(i8::from_le_bytes(self.array()?).into()),
            Length::Form(1) => text(i16::from_le_bytes(self.array()?).into()),
            Length::Form(2) => text(i32::from_le_bytes(self.array()?)),
            Length::Form(3) => {
                let (packed, length) = (self.length()?, self.length()?);
                if length > self.left {
                    return None;
                }
                Bytes::from_vec(lzf::decompress(self.take(packed)?, length)?)
            }
            Length::Form(_) => return None,
        };
        self.spend(bytes.len())?;
        Some(bytes)
    }

    /// A number of elements of so many strings each, and these.
    fn strings(&mut self, each: usize) -> Option<Vec<Bytes>> {
        let count = self.count(each)?;
        (0..count * each).map(|_| self.string()).collect()
    }

    /// Members with scores, as scores with members.
    fn scored(&mut self, score: fn(&mut Reader<'p>) -> Option<f64>) -> Option<Vec<Bytes>> {
        let mut words = Vec::new();
        for _ in 0..self.count(2)? {
            let member = self.string()?;
            let score = score(self).filter(|score| !score.is_nan())?;
            words.push(Bytes::from_slice(&score_text(score)));
            words.push(member);
        }
        Some(words)
    }

    fn score(&mut self) -> Option<f64> {
        self.array().map(f64::from_le_bytes)
    }

    fn score_text(&mut self) -> Option<f64> {
        match self.array::<1>()?[0] {
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            length => parse_f64(self.take(length.into())?),
        }
    }
}
