//! RDB files: the snapshots of Redis, up to version 12 of the format, which Redis 8.2 writes.
//!
//! ```text
//!  REDIS0012 │ row … │ 255 │ CRC-64 of all before it, 8 bytes; 0 = none │   from version 5 on
//! ```
//!
//! A row begins with a byte, a type of value or a word: the key and its value follow the first, and words say what follows
//! them. Each file is read once, from its beginning, and nothing is kept of it but the key and the value at hand.

use keytide_engine::dump::{self, VERSION_MAX, crc64, skip};
use std::io::{BufRead, ErrorKind};
use thiserror::Error;

/// The words.
const SLOT: u8 = 244;
const LIBRARY: u8 = 245;
const MODULE_DATA: u8 = 247;
const IDLE: u8 = 248;
const FREQUENCY: u8 = 249;
const ABOUT: u8 = 250;
const SIZES: u8 = 251;
const EXPIRES_MS: u8 = 252;
const EXPIRES_S: u8 = 253;
const DATABASE: u8 = 254;
const END: u8 = 255;

/// The first version with a checksum at the end.
const VERSION_WITH_SUM: u16 = 5;

/// The longest key that is read, in bytes: Redis takes none that is longer.
const KEY_BYTES_MAX: u64 = 512 << 20;

/// The most bytes of a library's text that are shown.
const SHOWN_BYTES: usize = 80;

/// Why a file cannot be read on.
#[derive(Debug, Error)]
pub enum RdbError {
    #[error("it is no RDB file: it begins with \"{0}\", not with REDIS and four digits")]
    Magic(String),
    #[error("it has version {0} of the format: versions 1 to {VERSION_MAX} are read")]
    Version(u16),
    #[error("it ends at offset {offset}, within a row: it was cut")]
    Cut { offset: u64 },
    #[error("damaged at offset {offset}: {what}")]
    Damaged { offset: u64, what: String },
    #[error("damaged: the checksum at its end is not that of its {bytes} bytes")]
    Sum { bytes: u64 },
    #[error("at offset {offset}: {source}")]
    Io { offset: u64, source: std::io::Error },
}

/// What a file has.
#[derive(Debug, PartialEq, Eq)]
pub enum Item {
    /// A key.
    Entry(Entry),
    /// Something else, which it names.
    Other(String),
}

/// A key and its value.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its database.
    pub db: u64,
    /// The key.
    pub key: Vec<u8>,
    /// When it expires, Unix time in milliseconds.
    pub expires_ms: Option<u64>,
    /// The value.
    pub value: Stored,
}

/// A value.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// What RESTORE takes.
    Payload(Vec<u8>),
    /// A value that no server of this kind has, and what it is.
    Foreign(String),
    /// One of so many bytes, more than are kept.
    Large(u64),
}

/// A file that is read.
pub struct RdbFile<R> {
    input: R,
    version: u16,
    db: u64,
    passed: Passed,
    /// The most bytes of a value that are kept.
    value_bytes_max: u64,
}

/// The bytes that were read.
#[derive(Default)]
struct Passed {
    bytes: u64,
    sum: u64,
    /// What is kept of them, and how many bytes may be; 0 once they were more.
    kept: Vec<u8>,
    room: u64,
}

impl Passed {
    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sum = crc64(self.sum, bytes);
        if (self.kept.len() + bytes.len()) as u64 <= self.room {
            self.kept.extend_from_slice(bytes);
        } else {
            self.room = 0;
        }
    }
}

/// Some bytes that come next, at least one.
fn some_of(input: &mut impl BufRead, offset: u64) -> Result<&[u8], RdbError> {
    loop {
        match input.fill_buf() {
            Ok([]) => return Err(RdbError::Cut { offset }),
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(source) => return Err(RdbError::Io { offset, source }),
        }
    }
    // They are in memory now.
    input.fill_buf().map_err(|source| RdbError::Io { offset, source })
}

impl<R: BufRead> skip::Source for RdbFile<R> {
    type Error = RdbError;

    fn read(&mut self, into: &mut [u8]) -> Result<(), RdbError> {
        let mut read = 0;
        while read < into.len() {
            let bytes = some_of(&mut self.input, self.passed.bytes)?;
            let count = bytes.len().min(into.len() - read);
            into[read..][..count].copy_from_slice(&bytes[..count]);
            self.passed.count(&bytes[..count]);
            self.input.consume(count);
            read += count;
        }
        Ok(())
    }

    fn pass(&mut self, mut count: u64) -> Result<(), RdbError> {
        while count > 0 {
            let bytes = some_of(&mut self.input, self.passed.bytes)?;
            let some = count.min(bytes.len() as u64) as usize;
            self.passed.count(&bytes[..some]);
            self.input.consume(some);
            count -= some as u64;
        }
        Ok(())
    }

    fn damaged(&self, what: String) -> RdbError {
        RdbError::Damaged { offset: self.passed.bytes, what }
    }
}

impl<R: BufRead> RdbFile<R> {
    /// Begins to read a file. Of values up to so many bytes are kept.
    pub fn new(input: R, value_bytes_max: u64) -> Result<RdbFile<R>, RdbError> {
        let mut file = RdbFile { input, version: 0, db: 0, passed: Passed::default(), value_bytes_max };
        let magic: [u8; 9] = file.array()?;
        let digits = magic.strip_prefix(b"REDIS").and_then(|digits| str::from_utf8(digits).ok());
        let version = digits.and_then(|digits| digits.parse().ok());
        file.version = version.ok_or_else(|| RdbError::Magic(magic.escape_ascii().to_string()))?;
        match file.version {
            1..=VERSION_MAX => Ok(file),
            other => Err(RdbError::Version(other)),
        }
    }

    /// Keeps what is read from now on, up to so many bytes.
    fn keep(&mut self, bytes_max: u64) {
        (self.passed.kept, self.passed.room) = (Vec::new(), bytes_max);
    }

    /// What was kept, and whether it is all; no more is kept.
    fn kept(&mut self) -> (Vec<u8>, bool) {
        let is_whole = self.passed.room > 0;
        self.passed.room = 0;
        (std::mem::take(&mut self.passed.kept), is_whole)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RdbError> {
        let mut bytes = [0; N];
        skip::Source::read(self, &mut bytes)?;
        Ok(bytes)
    }

    /// A string that is needed.
    fn text(&mut self) -> Result<Vec<u8>, RdbError> {
        let start = self.passed.bytes;
        self.keep(KEY_BYTES_MAX);
        skip::string(self)?;
        let wrong = |what: &str| RdbError::Damaged { offset: start, what: what.to_owned() };
        match self.kept() {
            (bytes, true) => dump::text(&bytes).ok_or_else(|| wrong("a string whose compression is not right")),
            (_, false) => Err(wrong("a key or a name of more than 512 MiB")),
        }
    }

    /// The next key, or what else the file has; `None` at its end.
    pub fn next_item(&mut self) -> Result<Option<Item>, RdbError> {
        let mut expires_ms = None;
        loop {
            let [word] = self.array()?;
            match word {
                SLOT => (0..3).try_for_each(|_| skip::length(self).map(drop))?,
                IDLE => drop(skip::length(self)?),
                FREQUENCY => drop(self.array::<1>()?),
                ABOUT => (0..2).try_for_each(|_| skip::string(self))?,
                SIZES => (0..2).try_for_each(|_| skip::length(self).map(drop))?,
                DATABASE => self.db = skip::length(self)?,
                EXPIRES_MS => expires_ms = Some(u64::try_from(i64::from_le_bytes(self.array()?)).unwrap_or(0)),
                EXPIRES_S => {
                    let seconds = i32::from_le_bytes(self.array()?);
                    expires_ms = Some(u64::try_from(seconds).unwrap_or(0) * 1000);
                }
                LIBRARY => {
                    let text = self.text()?;
                    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
                    let shown = first[..first.len().min(SHOWN_BYTES)].escape_ascii();
                    return Ok(Some(Item::Other(format!("a library of functions ({shown})"))));
                }
                MODULE_DATA => {
                    let id = skip::length(self)?;
                    skip::module(self)?;
                    return Ok(Some(Item::Other(format!("data of the module {}", skip::module_name(id)))));
                }
                END => return self.end().map(|()| None),
                form => return self.entry(form, expires_ms).map(|entry| Some(Item::Entry(entry))),
            }
        }
    }

    fn entry(&mut self, form: u8, expires_ms: Option<u64>) -> Result<Entry, RdbError> {
        let key = self.text()?;
        let start = self.passed.bytes;
        self.keep(self.value_bytes_max);
        self.passed.kept.push(form);
        skip::value(form, self)?;
        let bytes = self.passed.bytes - start;
        let value = match self.kept() {
            (payload, _) if let Some(what) = dump::skip::foreign(&payload) => Stored::Foreign(what),
            (mut payload, true) => {
                dump::seal(&mut payload, self.version);
                Stored::Payload(payload)
            }
            (_, false) => Stored::Large(bytes),
        };
        Ok(Entry { db: self.db, key, expires_ms, value })
    }

    /// Checks the checksum, and that nothing follows.
    fn end(&mut self) -> Result<(), RdbError> {
        if self.version >= VERSION_WITH_SUM {
            let (sum, bytes) = (self.passed.sum, self.passed.bytes);
            let stored = u64::from_le_bytes(self.array()?);
            if stored != 0 && stored != sum {
                return Err(RdbError::Sum { bytes });
            }
        }
        match some_of(&mut self.input, self.passed.bytes) {
            Err(RdbError::Cut { .. }) => Ok(()),
            Ok(_) => {
                Err(skip::Source::damaged(self, "the snapshot ends here, and more follows, as in an AOF".to_owned()))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this version with these rows.
    fn file(version: u16, rows: &[u8]) -> Vec<u8> {
        let mut bytes = format!("REDIS{version:04}").into_bytes();
        bytes.extend_from_slice(rows);
        bytes.push(END);
        if version >= VERSION_WITH_SUM {
            let sum = crc64(0, &bytes);
            bytes.extend(sum.to_le_bytes());
        }
        bytes
    }

    fn items(bytes: &[u8], value_bytes_max: u64) -> Result<Vec<Item>, RdbError> {
        let mut file = RdbFile::new(bytes, value_bytes_max)?;
        let mut items = Vec::new();
        while let Some(item) = file.next_item()? {
            items.push(item);
        }
        Ok(items)
    }

    fn entry(db: u64, key: &[u8], expires_ms: Option<u64>, value: Stored) -> Item {
        Item::Entry(Entry { db, key: key.to_vec(), expires_ms, value })
    }

    fn payload(value: &[u8]) -> Stored {
        let mut payload = value.to_vec();
        dump::seal(&mut payload, 12);
        Stored::Payload(payload)
    }

    const ROWS: &[u8] = b"\xfa\x03ver\xc0\x07\xf5\x11#!lua name=l\ncode\
        \xf7\x81\x44\x14\xc8\x94\x14\xc8\x94\x00\x02\x02\x05\x01x\x00\
        \xfe\x03\xfb\x02\x01\xf4\x01\x02\x03\
        \xfc\xe8\x03\x00\x00\x00\x00\x00\x00\xf8\x40\x80\x00\xc1\x00\x01\x01v\
        \xfd\x02\x00\x00\x00\xf9\x05\x01\x01l\x02\x01a\x01b\
        \x07\x01m\x81\x44\x14\xc8\x94\x14\xc8\x94\x00\x00";

    #[test]
    fn rows_of_every_kind_are_read() {
        let found = items(&file(12, ROWS), 100).expect("a whole file");
        let of_module = "a value of the module RBTIlBTIl".to_owned();
        let expected = [
            Item::Other("a library of functions (#!lua name=l)".into()),
            Item::Other("data of the module RBTIlBTIl".into()),
            entry(3, b"256", Some(1000), payload(b"\x00\x01v")),
            entry(3, b"l", Some(2000), payload(b"\x01\x02\x01a\x01b")),
            entry(3, b"m", None, Stored::Foreign(of_module)),
        ];
        assert_eq!(found, expected);
        // Four bytes are more than three.
        let found = items(&file(12, b"\x00\x01a\x02bc\x00\x01b\x01c"), 3).expect("a whole file");
        assert_eq!(found[0], entry(0, b"a", None, Stored::Large(3)));
        assert_eq!(found[1], entry(0, b"b", None, payload(b"\x00\x01c")));
    }

    #[test]
    fn a_file_that_is_cut_or_changed_is_no_file() {
        let whole = file(12, ROWS);
        for cut in 9..whole.len() {
            match items(&whole[..cut], 100) {
                Err(RdbError::Cut { offset }) => assert_eq!(offset, cut as u64),
                other => panic!("{cut}: {other:?}"),
            }
            for change in [1, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[cut] ^= change;
                assert!(items(&changed, 100).is_err(), "{cut}");
            }
        }
        let without_sum = [&whole[..whole.len() - 8], &[0; 8]].concat();
        assert!(items(&without_sum, 100).is_ok());
        assert!(items(&file(4, ROWS), 100).is_ok());
        let longer = [&whole[..], b"*1"].concat();
        assert!(matches!(items(&longer, 100), Err(RdbError::Damaged { .. })));
        for (magic, error) in [
            ("REDIS0013", "it has version 13 of the format: versions 1 to 12 are read"),
            ("REDIS0000", "it has version 0 of the format: versions 1 to 12 are read"),
            ("VALKEY080", "it is no RDB file: it begins with \"VALKEY080\", not with REDIS and four digits"),
            ("RED", "it ends at offset 3, within a row: it was cut"),
        ] {
            assert_eq!(items(magic.as_bytes(), 100).expect_err("no file").to_string(), error);
        }
    }
}
