//! BITCOUNT, BITPOS.

use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::bits;
use keytide_engine::number::parse_i64;
use std::ops::Range;

const fn reading(name: &'static str, arity: i32, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Readonly],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "bitmap",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static BITCOUNT: Command = reading("bitcount", -2, "Counts the set bits of the string at a key.", bitcount);

fn bitcount(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let bytes = match context.shards.of(key).get(key) {
        Ok(Some(bytes)) => bytes,
        // Without a string the range is not looked at, as in Redis.
        Ok(None) => return reply.integer(0),
        Err(refusal) => return refuse(reply, refusal),
    };
    let range = match args.len() {
        2 => Ok(Some(0..bytes.len() * 8)),
        4 | 5 => ends(args.get(2), Some(args.get(3))).and_then(|(first, last)| {
            // A range of two places from the end in the wrong order is empty before its unit is looked at.
            if first < 0 && last.is_some_and(|last| last < 0 && first > last) {
                return Ok(None);
            }
            Ok(range(first, last, bytes.len(), unit(args.try_get(4))?))
        }),
        _ => Err(error_text::SYNTAX),
    };
    match range {
        Ok(range) => reply.unsigned(range.map_or(0, |range| bits::count(bytes, range))),
        Err(text) => reply.error(text),
    }
}

pub static BITPOS: Command = reading("bitpos", -3, "Finds the first set or clear bit of the string at a key.", bitpos);

fn bitpos(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let wanted = match parse_i64(args.get(2)) {
        Some(0) => false,
        Some(1) => true,
        Some(_) => return reply.error("ERR The bit argument must be 1 or 0."),
        None => return reply.error(error_text::NOT_INTEGER),
    };
    let key = args.get(1);
    let bytes = match context.shards.of(key).get(key) {
        Ok(Some(bytes)) => bytes,
        // An endless row of zeros.
        Ok(None) => return reply.integer(if wanted { -1 } else { 0 }),
        Err(refusal) => return refuse(reply, refusal),
    };
    let range = match args.len() {
        3 => Ok(range(0, None, bytes.len(), Unit::Byte)),
        4..=6 => parse_i64(args.get(3)).ok_or(error_text::NOT_INTEGER).and_then(|first| {
            let unit = unit(args.try_get(5))?;
            let (_, last) = args.try_get(4).map_or(Ok((0, None)), |last| ends(b"0", Some(last)))?;
            Ok(range(first, last, bytes.len(), unit))
        }),
        _ => Err(error_text::SYNTAX),
    };
    match range {
        Ok(None) => reply.integer(-1),
        Ok(Some(range)) => match bits::first(bytes, wanted, range) {
            Some(at) => reply.unsigned(at as u64),
            // Behind the string are zeros, unless its end was named.
            None if !wanted && args.len() < 5 => reply.unsigned(bytes.len() as u64 * 8),
            None => reply.integer(-1),
        },
        Err(text) => reply.error(text),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

fn unit(word: Option<&[u8]>) -> Result<Unit, &'static str> {
    match word {
        None => Ok(Unit::Byte),
        Some(word) if is(word, "byte") => Ok(Unit::Byte),
        Some(word) if is(word, "bit") => Ok(Unit::Bit),
        Some(_) => Err(error_text::SYNTAX),
    }
}

/// The ends of a range; without a second one it goes to the end of the string.
fn ends(first: &[u8], last: Option<&[u8]>) -> Result<(i64, Option<i64>), &'static str> {
    let integer = |word| parse_i64(word).ok_or(error_text::NOT_INTEGER);
    Ok((integer(first)?, last.map(integer).transpose()?))
}

/// The bits between two places of a string of `length` bytes, negative ones from the end, the second included; `None` if
/// there are none.
fn range(first: i64, last: Option<i64>, length: usize, unit: Unit) -> Option<Range<usize>> {
    let bits = if unit == Unit::Bit { 1 } else { 8 };
    let total = (length * 8 / bits) as i64;
    let from_start = |place: i64| if place < 0 { total.saturating_add(place).max(0) } else { place };
    let first = from_start(first);
    let last = last.map_or(total - 1, |last| from_start(last).min(total - 1));
    (first <= last).then(|| first as usize * bits..(last as usize + 1) * bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_from_both_ends_in_bytes_or_bits() {
        assert_eq!(range(0, None, 3, Unit::Byte), Some(0..24));
        assert_eq!(range(-1, Some(-1), 3, Unit::Byte), Some(16..24));
        assert_eq!(range(-3, Some(100), 3, Unit::Bit), Some(21..24));
        assert_eq!(range(i64::MIN, Some(i64::MAX), 3, Unit::Bit), Some(0..24));
        assert_eq!(range(i64::MAX, Some(i64::MAX), 3, Unit::Byte), None);
        assert_eq!(range(2, Some(1), 3, Unit::Byte), None);
        assert_eq!(range(0, None, 0, Unit::Byte), None);
        assert_eq!(range(0, Some(-9), 3, Unit::Byte), Some(0..8), "as in Redis: before the beginning is the beginning");
    }
}
