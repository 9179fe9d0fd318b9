//! One segment of a shard's log: a preallocated file with a header of one page, then records exactly as the ring holds
//! them, then zeros. The record at offset `X` of the shard's history stands at byte `X - base` behind the header, so a
//! place is found without a search, and a back link leads from one file into another.
//!
//! ```text
//!   00000042.segment │ header (4096 bytes) │ record │ record │ … │ zeros │     a record never lies in two files
//! ```
//!
//! The file is numbered, not named by its base: it is made before it is known where the segment before it will end.

use crate::position::{Position, RingOffset, ShardId};
use crate::ring::Checksum;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the header takes of a segment's file, in bytes.
pub const HEADER_BYTES: u64 = 4096;

/// The version of the format that this program writes. It reads version 1 as well, whose records have checksums that do
/// not tell where they lie, and whose headers do not tell how long the file is; such a segment gets no more records.
pub const FORMAT_VERSION: u32 = 2;

/// The first version of the format.
const FIRST_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"KEYTSEGM";

/// What the header says takes so many bytes. It stands twice in its page, so that one damaged sector does not make a
/// whole segment unreadable; the rest is zero.
const HEADER_USED: usize = 64;

/// What the checksum of a header is made of, in bytes, by version. It stands behind them.
const fn summed(version: u32) -> usize {
    if version == FIRST_VERSION { 48 } else { 56 }
}

/// Where the second copy of the header stands.
const SECOND_COPY: usize = HEADER_BYTES as usize / 2;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The version of the format.
    pub version: u32,
    /// The generation of shards that it belongs to.
    pub generation: u32,
    /// Whose records it holds.
    pub shard: ShardId,
    /// How many shards that generation has.
    pub shards: u16,
    /// The file's number.
    pub number: u64,
    /// The offset of its first record.
    pub base: RingOffset,
    /// The position of the last record before; 0 where there is none.
    pub after: Position,
    /// How long the file is, in bytes; 0 in version 1, which does not say.
    pub file_bytes: u64,
}

/// Why a file is not a segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The header is all zeros: the file was made beforehand and never used.
    #[error("never used")]
    Unused,
    /// It begins with something else.
    #[error("not a segment of a keytide log")]
    NotASegment,
    /// It was written by another version.
    #[error(
        "format version {found}, and this keytide reads versions up to {FORMAT_VERSION}: start the keytide that wrote it"
    )]
    Version {
        /// The version that the file says.
        found: u32,
    },
    /// Its checksum does not fit.
    #[error("the header is damaged")]
    Damaged,
    /// The file is shorter than a header, which no segment ever was.
    #[error("the file was cut: {bytes} bytes are left")]
    Cut {
        /// Its length.
        bytes: u64,
    },
}

/// The byte of a segment's file at which what is at `offset` stands, in a segment whose first record is at `base`.
pub fn file_at(base: RingOffset, offset: RingOffset) -> u64 {
    HEADER_BYTES + (offset.0 - base.0)
}

/// The offset at which a segment's file of `file_bytes` bytes ends, in a segment whose first record is at `base`.
pub fn limit(base: RingOffset, file_bytes: u64) -> RingOffset {
    RingOffset(base.0 + file_bytes.saturating_sub(HEADER_BYTES))
}

impl SegmentHeader {
    /// The page of the header as it is written.
    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; HEADER_BYTES as usize];
        for at in [0, SECOND_COPY] {
            page[at..at + HEADER_USED].copy_from_slice(&self.copy());
        }
        page
    }

    fn copy(&self) -> [u8; HEADER_USED] {
        let mut bytes = [0; HEADER_USED];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.shard.0.to_le_bytes());
        bytes[18..20].copy_from_slice(&self.shards.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.base.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.after.0.to_le_bytes());
        let summed = summed(self.version);
        if self.version > FIRST_VERSION {
            bytes[48..56].copy_from_slice(&self.file_bytes.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[..summed]);
        bytes[summed..summed + 4].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What the checksums of the segment's records are made of.
    pub fn checksum(&self) -> Checksum {
        if self.version == FIRST_VERSION { Checksum::Alone } else { Checksum::Placed }
    }

    /// Whether the segment gets more records: what this program writes has one form in a file.
    pub fn is_writable(&self) -> bool {
        self.version == FORMAT_VERSION
    }

    /// Whether a file of so many bytes is as long as the header says, if it does. It always was: it got its name when it
    /// had its length on the disk.
    pub fn has_length(&self, file_bytes: u64) -> bool {
        self.version == FIRST_VERSION || self.file_bytes == file_bytes
    }

    /// Reads the header from the first page of a file.
    ///
    /// # Errors
    /// Why there is none that this version understands.
    pub fn decode(page: &[u8]) -> Result<SegmentHeader, HeaderError> {
        if page.len() as u64 == HEADER_BYTES && page.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Unused);
        }
        let copy = |at: usize| page.get(at..).and_then(<[u8]>::first_chunk).ok_or(HeaderError::NotASegment);
        copy(0)
            .and_then(Self::decode_copy)
            .or_else(|error| copy(SECOND_COPY).and_then(Self::decode_copy).map_err(|_| error))
    }

    fn decode_copy(bytes: &[u8; HEADER_USED]) -> Result<SegmentHeader, HeaderError> {
        if &bytes[..8] != MAGIC {
            return Err(HeaderError::NotASegment);
        }
        let version = number(bytes, 8, 4) as u32;
        // A later version may have its checksum elsewhere.
        if version > FORMAT_VERSION {
            return Err(HeaderError::Version { found: version });
        }
        let summed = summed(version);
        if version < FIRST_VERSION || crc32c::crc32c(&bytes[..summed]) as u64 != number(bytes, summed, 4) {
            return Err(HeaderError::Damaged);
        }
        Ok(SegmentHeader {
            version,
            generation: number(bytes, 12, 4) as u32,
            shard: ShardId(number(bytes, 16, 2) as u16),
            shards: number(bytes, 18, 2) as u16,
            number: number(bytes, 24, 8),
            base: RingOffset(number(bytes, 32, 8)),
            after: Position(number(bytes, 40, 8)),
            file_bytes: if version == FIRST_VERSION { 0 } else { number(bytes, 48, 8) },
        })
    }
}

/// A little-endian number of so many bytes.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut whole = [0; 8];
    whole[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(whole)
}

/// The path of a segment's file.
pub fn segment_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.segment"))
}

/// The path of the index beside a segment's file.
pub fn index_path(segment: &Path) -> PathBuf {
    segment.with_extension("index")
}

/// The number in the name of a segment's file; none where it is another file.
pub fn segment_number(path: &Path) -> Option<u64> {
    if path.extension()? != "segment" {
        return None;
    }
    path.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            generation: 3,
            shard: ShardId(1),
            shards: 2,
            number: 7,
            base: RingOffset(64 << 20),
            after: Position(12_345),
            version: FORMAT_VERSION,
            file_bytes: 64 << 20,
        }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(SegmentHeader::decode(&header().encode()), Ok(header()));
        let first = SegmentHeader { version: FIRST_VERSION, file_bytes: 0, ..header() };
        assert_eq!(SegmentHeader::decode(&first.encode()), Ok(first));
        assert!(header().has_length(64 << 20) && !header().has_length(1 << 20) && first.has_length(1 << 20));
        assert_eq!(SegmentHeader::decode(&[0; 4096]), Err(HeaderError::Unused));
        assert_eq!(SegmentHeader::decode(b"short"), Err(HeaderError::NotASegment));
    }

    #[test]
    fn one_damaged_copy_is_made_good_by_the_other_and_two_are_refused() {
        for at in 0..HEADER_USED {
            let mut page = header().encode();
            page[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&page), Ok(header()), "byte {at}");
            page[SECOND_COPY + at] ^= 0x20;
            let is_told = at >= 60 || SegmentHeader::decode(&page).is_err();
            assert!(is_told, "byte {at} of both");
        }
        let mut newer = header().encode();
        (newer[8], newer[SECOND_COPY + 8]) = (9, 9);
        assert_eq!(SegmentHeader::decode(&newer), Err(HeaderError::Version { found: 9 }));
    }

    #[test]
    fn a_file_is_known_by_its_name() {
        let path = segment_path(Path::new("/d"), 42);
        assert_eq!(path, Path::new("/d/00000042.segment"));
        assert_eq!(segment_number(&path), Some(42));
        assert_eq!(segment_number(&index_path(&path)), None);
        assert_eq!(segment_number(Path::new("/d/x.segment")), None);
    }
}
