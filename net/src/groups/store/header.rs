//! The header of a journal, little-endian:
//!
//! ```text
//!    0  magic, 8 bytes    8  version, 4    12  core, 2    14  cores, 2    16  history id, 40, zeros behind it
//!   56  frames, 4        60  CRC-32C of the bytes before, 4
//! ```
//!
//! `frames` is the number of frames that were synced before the file got its name. In version 1 it is 0, and the checksums
//! of frames do not include their places.

use thiserror::Error;

/// The length of a header in bytes.
pub(super) const HEADER_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"KTGROUPS";
const VERSION: u32 = 2;
const FIRST_VERSION: u32 = 1;
const HISTORY: std::ops::Range<usize> = 16..56;
const FRAMES: usize = 56;
const SUM: usize = 60;

/// The fields of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The core that writes the journal.
    pub core: u16,
    /// The number of cores, each of which writes a journal.
    pub cores: u16,
    /// The name of the history of its positions.
    pub history_id: String,
    /// The version of the format.
    pub version: u32,
    /// The number of frames with which it began.
    pub frames: u32,
}

/// Why a header is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The file begins with something else, or the header is damaged.
    #[error("the file is not a journal of consumer groups, or its header is damaged")]
    Damaged,
    /// Another version wrote the journal, in an unknown format.
    #[error("the journal is of format version {version}, which this keytide does not know")]
    Version {
        /// The version in the file.
        version: u32,
    },
}

impl Header {
    /// The header of a new journal in the current format.
    pub(super) fn new(core: u16, cores: u16, history_id: &str) -> Header {
        Header { core, cores, history_id: history_id.to_owned(), version: VERSION, frames: 0 }
    }

    /// The byte of the file at which the frames begin; none where their checksums do not include their places.
    pub(super) fn place(&self) -> Option<u64> {
        (self.version > FIRST_VERSION).then_some(HEADER_BYTES as u64)
    }

    /// Whether an orderly shutdown writes an end frame.
    pub(super) fn has_end(&self) -> bool {
        self.version > FIRST_VERSION
    }

    /// Encodes the header; none where the history's name is too long.
    pub(super) fn bytes(&self) -> Option<[u8; HEADER_BYTES]> {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.core.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.cores.to_le_bytes());
        bytes[HISTORY].get_mut(..self.history_id.len())?.copy_from_slice(self.history_id.as_bytes());
        bytes[FRAMES..SUM].copy_from_slice(&self.frames.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..SUM]);
        bytes[SUM..].copy_from_slice(&sum.to_le_bytes());
        Some(bytes)
    }

    /// Decodes the header at the start of a journal.
    pub(super) fn parse(bytes: &[u8]) -> Result<Header, HeaderError> {
        let bytes = bytes.first_chunk::<HEADER_BYTES>().ok_or(HeaderError::Damaged)?;
        let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let four = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if &bytes[..8] != MAGIC || four(SUM) != crc32c::crc32c(&bytes[..SUM]) {
            return Err(HeaderError::Damaged);
        }
        let version = four(8);
        if !(FIRST_VERSION..=VERSION).contains(&version) {
            return Err(HeaderError::Version { version });
        }
        let history_id = String::from_utf8(bytes[HISTORY].to_vec()).map_err(|_| HeaderError::Damaged)?;
        let history_id = history_id.trim_end_matches('\0').to_owned();
        Ok(Header { core: two(12), cores: two(14), history_id, version, frames: four(FRAMES) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_decoded_as_encoded_and_refused_with_any_damaged_byte() {
        let header = Header { frames: 5, ..Header::new(3, 8, "0123456789abcdef0123456789abcdef01234567") };
        let bytes = header.bytes().unwrap();
        assert_eq!(Header::parse(&bytes), Ok(header.clone()));
        for at in 0..HEADER_BYTES {
            let mut spoiled = bytes;
            spoiled[at] ^= 0x10;
            assert!(Header::parse(&spoiled).is_err());
            assert!(Header::parse(&bytes[..at]).is_err());
        }
        assert!(Header { history_id: "x".repeat(41), ..header }.bytes().is_none());
    }

    #[test]
    fn a_later_version_is_distinguished_from_damage() {
        let header = Header::new(0, 1, "");
        let mut bytes = header.bytes().unwrap();
        bytes[8] = 9;
        let sum = crc32c::crc32c(&bytes[..SUM]);
        bytes[SUM..].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Version { version: 9 }));
    }
}
