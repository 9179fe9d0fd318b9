//! The format of one segment of a shard's log: a preallocated file with a header of one page, then records exactly as the
//! ring holds them, then zeros. The record at offset `X` of the shard's history is at byte `X - base` behind the header, so
//! a record is located without a search, and a back link may lead from one file into another.
//!
//! ```text
//!   00000042.segment │ header (4096 bytes) │ record │ record │ … │ zeros │     no record spans two files
//! ```
//!
//! The name has the segment's number, not its base: the file is created before the end of the previous segment is known.

use crate::position::{Position, RingOffset, ShardId};
use crate::ring::Checksum;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The size of the header in bytes.
pub const HEADER_BYTES: u64 = 4096;

/// The version of the format that this program writes. It reads version 1 as well, where checksums of records do not cover
/// the offset and headers do not have the length of the file; nothing is appended to such a segment.
pub const FORMAT_VERSION: u32 = 2;

/// The first version of the format.
const FIRST_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"KEYTSEGM";

/// The highest number of a segment, which no log reaches.
const NUMBER_MAX: u64 = 1 << 62;

/// The highest offset of a segment's first record, which no log reaches.
const OFFSET_MAX: RingOffset = RingOffset(1 << 62);

/// The size of one copy of the header's fields in bytes. The page has two copies, so that one damaged sector does not make
/// the segment unreadable; the rest of the page is zero.
const COPY_BYTES: usize = 64;

/// How many bytes of a copy its checksum covers, by version. The checksum follows them.
const fn summed(version: u32) -> usize {
    if version == FIRST_VERSION { 48 } else { 56 }
}

/// The byte of the page at which the second copy begins.
const SECOND_COPY: usize = HEADER_BYTES as usize / 2;

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The version of the format.
    pub version: u32,
    /// The generation that the segment belongs to.
    pub generation: u32,
    /// The shard whose records the segment holds.
    pub shard: ShardId,
    /// How many shards the generation has.
    pub shards: u16,
    /// The number in the name of the file.
    pub number: u64,
    /// The offset of the first record.
    pub base: RingOffset,
    /// The position of the last record of the previous segment; 0 where there is none.
    pub after: Position,
    /// The length of the file in bytes; 0 in version 1, which does not have it.
    pub file_bytes: u64,
}

/// Why the header of a segment cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The header is all zeros: the file was created ahead of time and never used.
    #[error("never used")]
    Unused,
    /// The file begins with something else.
    #[error("not a segment of a keytide log")]
    NotASegment,
    /// The file was written by a later version.
    #[error(
        "format version {found}, and this keytide reads versions up to {FORMAT_VERSION}: start the keytide that wrote it"
    )]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The checksum of the header does not match, or a number is one that no log reaches.
    #[error("the header is damaged")]
    Damaged,
    /// The file is shorter than a header. No segment is ever created that short.
    #[error("the file was cut: {bytes} bytes are left")]
    Cut {
        /// The length of the file in bytes.
        bytes: u64,
    },
}

/// The byte of a segment's file that corresponds to `offset`, in a segment whose first record is at `base`.
pub fn file_at(base: RingOffset, offset: RingOffset) -> u64 {
    HEADER_BYTES + (offset.0 - base.0)
}

/// The offset at which a segment's file of `file_bytes` bytes ends, in a segment whose first record is at `base`.
pub fn limit(base: RingOffset, file_bytes: u64) -> RingOffset {
    RingOffset(base.0 + file_bytes.saturating_sub(HEADER_BYTES))
}

impl SegmentHeader {
    /// Encodes the header as a page of [`HEADER_BYTES`] bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; HEADER_BYTES as usize];
        for at in [0, SECOND_COPY] {
            page[at..at + COPY_BYTES].copy_from_slice(&self.copy());
        }
        page
    }

    fn copy(&self) -> [u8; COPY_BYTES] {
        let mut bytes = [0; COPY_BYTES];
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

    /// What the checksums of the segment's records cover.
    pub fn checksum(&self) -> Checksum {
        if self.version == FIRST_VERSION { Checksum::Alone } else { Checksum::Placed }
    }

    /// Whether records may be appended to the segment: a file never mixes versions of the format.
    pub fn is_writable(&self) -> bool {
        self.version == FORMAT_VERSION
    }

    /// Whether a file of `file_bytes` bytes has the length that the header states; true for version 1, which states none. A
    /// file gets its name only after it has its full length on the disk, so a shorter one was cut later.
    pub fn has_length(&self, file_bytes: u64) -> bool {
        self.version == FIRST_VERSION || self.file_bytes == file_bytes
    }

    /// Decodes the header from the first page of a file; from the second copy where the first is damaged.
    ///
    /// # Errors
    /// Where neither copy is a valid header of a known version.
    pub fn decode(page: &[u8]) -> Result<SegmentHeader, HeaderError> {
        if page.len() as u64 == HEADER_BYTES && page.iter().all(|byte| *byte == 0) {
            return Err(HeaderError::Unused);
        }
        let copy = |at: usize| page.get(at..).and_then(<[u8]>::first_chunk).ok_or(HeaderError::NotASegment);
        copy(0)
            .and_then(Self::decode_copy)
            .or_else(|error| copy(SECOND_COPY).and_then(Self::decode_copy).map_err(|_| error))
    }

    fn decode_copy(bytes: &[u8; COPY_BYTES]) -> Result<SegmentHeader, HeaderError> {
        if &bytes[..8] != MAGIC {
            return Err(HeaderError::NotASegment);
        }
        let version = number(bytes, 8, 4) as u32;
        // A later version may place its checksum elsewhere.
        if version > FORMAT_VERSION {
            return Err(HeaderError::Version { found: version });
        }
        let summed = summed(version);
        if version < FIRST_VERSION || crc32c::crc32c(&bytes[..summed]) as u64 != number(bytes, summed, 4) {
            return Err(HeaderError::Damaged);
        }
        let header = SegmentHeader {
            version,
            generation: number(bytes, 12, 4) as u32,
            shard: ShardId(number(bytes, 16, 2) as u16),
            shards: number(bytes, 18, 2) as u16,
            number: number(bytes, 24, 8),
            base: RingOffset(number(bytes, 32, 8)),
            after: Position(number(bytes, 40, 8)),
            file_bytes: if version == FIRST_VERSION { 0 } else { number(bytes, 48, 8) },
        };
        // So nothing that adds to these numbers overflows.
        let is_possible = header.number <= NUMBER_MAX && header.base <= OFFSET_MAX && header.after < Position::END;
        if is_possible { Ok(header) } else { Err(HeaderError::Damaged) }
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

/// The number in the name of a segment's file; none for any other file.
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
        for at in 0..COPY_BYTES {
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
    fn numbers_that_no_log_reaches_are_refused() {
        let most =
            SegmentHeader { number: NUMBER_MAX, base: OFFSET_MAX, after: Position(Position::END.0 - 1), ..header() };
        assert_eq!(SegmentHeader::decode(&most.encode()), Ok(most));
        assert_eq!(limit(most.base, i64::MAX as u64), RingOffset(OFFSET_MAX.0 + i64::MAX as u64 - HEADER_BYTES));
        for beyond in [
            SegmentHeader { number: NUMBER_MAX + 1, ..most },
            SegmentHeader { base: RingOffset(OFFSET_MAX.0 + 1), ..most },
            SegmentHeader { after: Position::END, ..most },
            SegmentHeader { version: FIRST_VERSION, after: Position(u64::MAX), ..most },
        ] {
            assert_eq!(SegmentHeader::decode(&beyond.encode()), Err(HeaderError::Damaged), "{beyond:?}");
        }
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
