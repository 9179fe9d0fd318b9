//! `meta.toml`: the metadata of a directory. Small, written rarely, and always as a whole.

use crate::position::Position;
use serde::{Deserialize, Serialize};

/// The version of the directory's format that this program writes. It also reads version 1, which has no checksum.
pub const FORMAT: u32 = 2;

/// The first version of the format.
const FIRST_FORMAT: u32 = 1;

/// The length of a history's id, in hexadecimal digits.
pub const HISTORY_ID_DIGITS: usize = 40;

/// The first line of the file.
const HEADER: &str = "# Written by keytide; do not edit.\n";

/// The text before and after the checksum, which is the CRC-32C of all other lines in eight hexadecimal digits.
const CHECKSUM: (&str, &str) = ("checksum = \"", "\"\n");

/// A generation: the events of one number of shards, from one position to another. A change of `--shards` begins a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// From 1, ascending.
    pub number: u32,
    /// The number of shards.
    pub shards: u16,
    /// All events of the generation are at or after this position.
    #[serde(with = "number")]
    pub first: Position,
    /// All events of the generation are before this position; none for the current generation.
    #[serde(with = "optional_number", default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Position>,
}

/// A range of positions whose events may have been lost in a power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// The first position of the range.
    #[serde(with = "number")]
    pub from: Position,
    /// The position after the last one of the range.
    #[serde(with = "number")]
    pub to: Position,
}

/// The content of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Meta {
    pub format: u32,
    /// The id of this history. A cursor with another id does not belong to it.
    pub history: String,
    /// No position at or beyond this one was ever handed out. 0 until the first run begins.
    #[serde(with = "number")]
    pub limit: Position,
    /// The boot id of the system when the last run began; empty where it is unknown.
    pub boot: String,
    /// Whether the last run ended in order, with everything synced; true until the first run begins.
    pub clean: bool,
    /// Whether the last run synced every turn before it was published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fsync_always: bool,
    #[serde(rename = "generation")]
    pub generations: Vec<Generation>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// Why a `meta.toml` cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// The file has another version of the format.
    #[error("it has format {found}, and this keytide knows formats up to {FORMAT}: start the keytide that wrote it")]
    Format {
        /// The version in the file.
        found: i64,
    },
    /// The file is damaged, or is something else.
    #[error("{0}")]
    Damaged(String),
}

impl Meta {
    /// The metadata of a new directory for `shards` shards.
    pub fn new(shards: u16, history: String) -> Meta {
        let first = Generation { number: 1, shards, first: Position(0), end: None };
        Meta {
            format: FORMAT,
            history,
            limit: Position(0),
            boot: String::new(),
            clean: true,
            fsync_always: false,
            generations: vec![first],
            lost: Vec::new(),
        }
    }

    /// Parses the text of the file. The version is checked first, so that a newer file is recognized whatever else it has.
    pub fn read(text: &str) -> Result<Meta, MetaError> {
        let damaged = |error: toml::de::Error| MetaError::Damaged(error.to_string().trim_end().replace('\n', " "));
        let summed = split_checksum(text);
        if summed.is_some_and(|(sum, body)| sum != checksum(body)) {
            return Err(MetaError::Damaged("its checksum does not fit: it is damaged, or was edited".to_owned()));
        }
        let body = summed.map_or(text, |(_, body)| body);
        let table: toml::Table = body.parse().map_err(damaged)?;
        match table.get("format") {
            Some(toml::Value::Integer(found)) if *found == i64::from(FORMAT) && summed.is_none() => {
                return Err(MetaError::Damaged("its checksum is missing".to_owned()));
            }
            Some(toml::Value::Integer(found)) if (FIRST_FORMAT.into()..=FORMAT.into()).contains(found) => {}
            Some(toml::Value::Integer(found)) => return Err(MetaError::Format { found: *found }),
            _ => return Err(MetaError::Damaged("`format` is not there or no number".to_owned())),
        }
        let meta: Meta = toml::from_str(body).map_err(damaged)?;
        meta.check().map_err(MetaError::Damaged)?;
        Ok(Meta { format: FORMAT, ..meta })
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        let body = toml::to_string(self).expect("numbers below 2^53 and plain texts can be written");
        let (before, behind) = CHECKSUM;
        format!("{HEADER}{before}{}{behind}{body}", checksum(&body))
    }

    /// The current generation.
    pub fn current(&self) -> &Generation {
        self.generations.last().expect("checked when it was read, and none but older ones are removed")
    }

    /// Adds a range of lost positions; ranges that overlap or touch are merged.
    pub fn add_lost(&mut self, mut lost: Lost) {
        self.lost.retain(|other| {
            let is_apart = other.to < lost.from || lost.to < other.from;
            if !is_apart {
                lost = Lost { from: lost.from.min(other.from), to: lost.to.max(other.to) };
            }
            is_apart
        });
        self.lost.push(lost);
        self.lost.sort_by_key(|lost| lost.from);
    }

    fn check(&self) -> Result<(), String> {
        if self.history.len() != HISTORY_ID_DIGITS || !self.history.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("`history` is not {HISTORY_ID_DIGITS} hexadecimal digits"));
        }
        if self.limit >= Position::END {
            return Err(format!("`limit` is {}, beyond every position", self.limit));
        }
        let Some((current, older)) = self.generations.split_last() else {
            return Err("there is no `generation`".to_owned());
        };
        if let Some(end) = current.end {
            return Err(format!("the last generation, {}, ends at {end}", current.number));
        }
        for (index, generation) in self.generations.iter().enumerate() {
            let Generation { number, shards, first, end } = generation;
            if *shards == 0 || *number == 0 {
                return Err(format!("generation {number} has {shards} shards"));
            }
            if older.get(index).is_some() && end.is_none_or(|end| end < *first) {
                return Err(format!("generation {number} has no end, or one before its first position"));
            }
            if let Some(next) = self.generations.get(index + 1)
                && (next.number <= *number || end.is_some_and(|end| next.first < end))
            {
                return Err(format!("generation {} does not follow generation {number}", next.number));
            }
        }
        match self.lost.iter().find(|lost| lost.from >= lost.to) {
            Some(lost) => Err(format!("lost from {} to {} is no range", lost.from, lost.to)),
            None => Ok(()),
        }
    }
}

/// A random id for a new history.
pub(super) fn new_history_id() -> String {
    format!("{:032x}{:08x}", fastrand::u128(..), fastrand::u32(..))
}

/// The digits of the checksum of a file with these lines after it.
fn checksum(body: &str) -> String {
    format!("{:08x}", crc32c::crc32c_append(crc32c::crc32c(HEADER.as_bytes()), body.as_bytes()))
}

/// The digits of the checksum of a text and the lines after it; none where the text has no checksum.
fn split_checksum(text: &str) -> Option<(&str, &str)> {
    let (before, behind) = CHECKSUM;
    text.strip_prefix(HEADER)?.strip_prefix(before)?.split_once(behind)
}

/// Serializes a position as a number.
mod number {
    use super::{Deserialize, Position};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(position: &Position, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(position.0)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Position, D::Error> {
        u64::deserialize(deserializer).map(Position)
    }
}

/// Serializes an optional position as a number.
mod optional_number {
    use super::{Deserialize, Position};
    use serde::{Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
        position.map(|position| position.0).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Position>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        let mut meta = Meta::new(2, "0123456789abcdef0123456789abcdef01234567".to_owned());
        meta.limit = Position(5_000);
        meta.boot = "a boot".to_owned();
        meta
    }

    fn lost(from: u64, to: u64) -> Lost {
        Lost { from: Position(from), to: Position(to) }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut meta = meta();
        assert_eq!(Meta::read(&meta.text()), Ok(meta.clone()));
        meta.fsync_always = true;
        assert_eq!(Meta::read(&meta.text()), Ok(meta.clone()));
        meta.generations[0].end = Some(Position(300));
        meta.generations.push(Generation { number: 2, shards: 4, first: Position(300), end: None });
        meta.add_lost(lost(10, 20));
        assert_eq!(Meta::read(&meta.text()), Ok(meta));
    }

    #[test]
    fn the_text_is_the_one_that_is_documented() {
        let mut meta = meta();
        meta.add_lost(lost(10, 20));
        let text = "# Written by keytide; do not edit.\nchecksum = \"CHECKSUM\"\nformat = 2\n\
                    history = \"0123456789abcdef0123456789abcdef01234567\"\n\
                    limit = 5000\nboot = \"a boot\"\nclean = true\n\n\
                    [[generation]]\nnumber = 1\nshards = 2\nfirst = 0\n\n\
                    [[lost]]\nfrom = 10\nto = 20\n";
        let sum = meta.text()[HEADER.len() + CHECKSUM.0.len()..][..8].to_owned();
        assert_eq!(meta.text(), text.replace("CHECKSUM", &sum));
        let read: toml::Table = meta.text().parse().expect("it is TOML");
        assert_eq!(read["checksum"].as_str(), Some(&*sum));
    }

    #[test]
    fn with_any_byte_changed_or_missing_it_is_another_file_or_none() {
        let mut meta = meta();
        meta.add_lost(lost(10, 20));
        let text = meta.text().into_bytes();
        let read = |bytes: &[u8]| std::str::from_utf8(bytes).map_or_else(|_| Meta::read(""), Meta::read);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                assert!(read(&changed).is_err(), "byte {at}, bit {bit}");
            }
            assert!(read(&text[..at]).is_err(), "cut to {at}");
        }
    }

    #[test]
    fn a_file_of_the_first_format_is_read_and_written_in_this_one() {
        let text = meta().text();
        let (_, body) = split_checksum(&text).expect("it has one");
        let first = HEADER.to_owned() + &body.replace("format = 2", "format = 1");
        assert_eq!(Meta::read(&first), Ok(meta()));
        assert_eq!(
            Meta::read(&format!("{HEADER}{body}")).map_err(|error| error.to_string()).err().as_deref(),
            Some("its checksum is missing")
        );
    }

    #[test]
    fn a_newer_format_is_told_whatever_is_in_it() {
        let found = Meta::read("format = 7\nnew = [1]\n");
        assert_eq!(found, Err(MetaError::Format { found: 7 }));
        assert!(MetaError::Format { found: 7 }.to_string().contains("format 7"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        // Of the first format, so that what is wrong is not told by the checksum.
        let text = meta().text();
        let (_, body) = split_checksum(&text).expect("it has one");
        let text = HEADER.to_owned() + &body.replace("format = 2", "format = 1");
        let broken = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Meta::read(&text.replace(from, to)).expect_err(to).to_string()
        };
        assert!(broken("format = 1", "format = \"1\"").contains("`format`"));
        assert!(broken("format = 1\n", "").contains("`format`"));
        assert!(broken("0123", "").contains("`history` is not 40"));
        assert!(broken("abcdef0", "abcdex0").contains("`history` is not 40"));
        assert!(broken("limit = 5000\n", "").contains("limit"));
        assert!(broken("limit = 5000", "limit = -1").contains("limit"));
        assert!(broken("limit = 5000", "limit = 9007199254740992").contains("beyond every position"));
        assert!(broken("clean = true", "clean = tru").contains("tru"));
        assert!(broken("clean = true", "clean = true\nother = 1").contains("other"));
        assert!(broken("shards = 2", "shards = 0").contains("0 shards"));
        assert!(broken("first = 0", "first = 0\nend = 9").contains("ends at 9"));
        assert!(broken("[[generation]]\nnumber = 1\nshards = 2\nfirst = 0\n", "generation = []").contains("no `gen"));
        let second = "[[generation]]\nnumber = 2\nshards = 1\nfirst = 8\n";
        assert!(broken("first = 0\n", &format!("first = 0\n{second}")).contains("has no end"));
        assert!(broken("first = 0\n", &format!("first = 0\nend = 9\n{second}")).contains("does not follow"));
        assert!(broken("first = 0\n", "first = 0\n[[lost]]\nfrom = 3\nto = 3\n").contains("no range"));
        assert!(Meta::read(&text[..text.len() / 2]).is_err());
        assert!(Meta::read("").is_err());
    }

    #[test]
    fn lost_ranges_that_touch_become_one() {
        let mut meta = meta();
        for (from, to) in [(50, 60), (10, 20), (30, 40), (20, 31)] {
            meta.add_lost(lost(from, to));
        }
        assert_eq!(meta.lost, [lost(10, 40), lost(50, 60)]);
        meta.add_lost(lost(0, 100));
        assert_eq!(meta.lost, [lost(0, 100)]);
    }
}
