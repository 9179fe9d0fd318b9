//! Reads values in any form.

use super::compact::{integers, listpack, ziplist, zipmap};
use super::lzf;
use crate::collection::{Bytes, Thresholds};
use crate::keyspace::{Kind, Value};
use crate::limits::DUMP_BYTES_MAX;
use crate::number::{parse_f64, score_text};

pub const STRING: u8 = 0;
pub const LIST: u8 = 1;
pub const SET: u8 = 2;
const SORTED_BY_TEXT: u8 = 3;
pub const HASH: u8 = 4;
pub const SORTED: u8 = 5;
const HASH_ZIPMAP: u8 = 9;
const LIST_ZIPLIST: u8 = 10;
const SET_INTEGERS: u8 = 11;
const SORTED_ZIPLIST: u8 = 12;
const HASH_ZIPLIST: u8 = 13;
const LIST_OF_ZIPLISTS: u8 = 14;
const HASH_LISTPACK: u8 = 16;
const SORTED_LISTPACK: u8 = 17;
const LIST_OF_LISTPACKS: u8 = 18;
const SET_LISTPACK: u8 = 20;

/// A type and its value, which are all of these bytes.
pub fn value(bytes: &[u8], thresholds: &Thresholds) -> Option<Value> {
    let (form, rest) = bytes.split_first()?;
    let mut reader = Reader { rest, left: DUMP_BYTES_MAX };
    let (kind, parts) = parts(*form, &mut reader)?;
    let mut value = Value::empty(kind);
    let is_whole = reader.rest.is_empty() && value.add_parts_within(parts.iter().map(Bytes::as_slice), thresholds);
    (is_whole && !value.is_empty_collection()).then_some(value)
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

/// Scores before their members.
fn swapped(mut words: Vec<Bytes>) -> Option<Vec<Bytes>> {
    for pair in words.chunks_mut(2) {
        pair.get(1).filter(|score| parse_f64(score).is_some())?;
        pair.swap(0, 1);
    }
    Some(words)
}

/// What is left of a payload, and how many bytes may come out of it.
struct Reader<'p> {
    rest: &'p [u8],
    left: usize,
}

/// A length, or a form of a string that has none.
enum Length {
    Is(u64),
    Form(u8),
}

impl<'p> Reader<'p> {
    fn take(&mut self, count: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn any_length(&mut self) -> Option<Length> {
        let [first] = self.array()?;
        Some(Length::Is(match first {
            0..0x40 => first.into(),
            0x40..0x80 => u64::from(first & 0x3f) << 8 | u64::from(self.array::<1>()?[0]),
            0x80 => u32::from_be_bytes(self.array()?).into(),
            0x81 => u64::from_be_bytes(self.array()?),
            0x82..0xc0 => return None,
            0xc0.. => return Some(Length::Form(first & 0x3f)),
        }))
    }

    fn length(&mut self) -> Option<usize> {
        match self.any_length()? {
            Length::Is(length) => length.try_into().ok(),
            Length::Form(_) => None,
        }
    }

    /// A number of elements that take `bytes` each at least: no more than the rest of the payload has.
    fn count(&mut self, bytes: usize) -> Option<usize> {
        let count = self.length()?;
        (count <= self.rest.len() / bytes).then_some(count)
    }

    fn string(&mut self) -> Option<Bytes> {
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
        self.left = self.left.checked_sub(bytes.len())?;
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
