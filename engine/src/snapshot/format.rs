//! The header and the footer of a snapshot's file. Numbers are little-endian; each of the two has its own CRC-32C.
//!
//! ```text
//!  header  0 magic   8 version │ 12 shard │ 14 shards  16 S  24 position at S
//!         32 flushes' next revision  40 latest flush  48 0 │ 52 checksum
//!  footer  0 magic   8 E  16 position at E  24 rows  32 digest │ 36 checksum
//! ```
//!
//! The digest is a CRC-32C over the first eight bytes of each row, which are its length and checksum, with the header's
//! checksum as the initial value. So it detects missing and misplaced rows, and the header of another snapshot.

use super::{SnapshotError, SnapshotInfo};
use crate::position::{Position, RingOffset, ShardId};

pub(super) const HEADER_BYTES: usize = 56;
pub(super) const FOOTER_BYTES: usize = 40;

const MAGIC: [u8; 8] = *b"KEYTSNAP";
const END_MAGIC: [u8; 8] = *b"KEYTSEND";
const VERSION: u32 = 1;

/// Appends fields to an array.
struct Put<const N: usize> {
    bytes: [u8; N],
    at: usize,
}

impl<const N: usize> Put<N> {
    fn new(magic: [u8; 8]) -> Put<N> {
        Put { bytes: [0; N], at: 0 }.put(&magic)
    }

    fn put(mut self, bytes: &[u8]) -> Put<N> {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
        self
    }

    fn number(self, value: u64) -> Put<N> {
        self.put(&value.to_le_bytes())
    }

    /// Appends the checksum of all fields, which fills the array.
    fn sealed(self) -> [u8; N] {
        let sum = crc32c::crc32c(&self.bytes[..N - 4]);
        let this = self.put(&sum.to_le_bytes());
        debug_assert_eq!(this.at, N);
        this.bytes
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn is_sealed(bytes: &[u8]) -> bool {
    let (body, sum) = bytes.split_at(bytes.len() - 4);
    crc32c::crc32c(body) == u32_at(sum, 0)
}

/// The digest before the first row.
pub(super) fn digest_of_header(header: &[u8; HEADER_BYTES]) -> u32 {
    u32_at(header, HEADER_BYTES - 4)
}

/// The digest with one more row.
#[inline]
pub(super) fn digest_with(digest: u32, row: &[u8]) -> u32 {
    crc32c::crc32c_append(digest, row.get(..8).unwrap_or(row))
}

/// The header: the fields that are known at the start.
pub(super) fn header(info: &SnapshotInfo) -> [u8; HEADER_BYTES] {
    let put = Put::new(MAGIC).put(&VERSION.to_le_bytes());
    let put = put.put(&info.shard.0.to_le_bytes()).put(&info.shards.to_le_bytes());
    let put = put.number(info.start.0).number(info.start_position.0);
    put.number(info.db_next_revision).number(info.db_last.0).put(&[0; 4]).sealed()
}

/// The footer: the fields that are known at the end.
pub(super) fn footer(info: &SnapshotInfo, digest: u32) -> [u8; FOOTER_BYTES] {
    let put = Put::new(END_MAGIC).number(info.end.0).number(info.end_position.0).number(info.rows);
    put.put(&digest.to_le_bytes()).sealed()
}

/// Decodes header and footer: the snapshot's fields, and the digest of the rows.
pub(super) fn parse(
    header: &[u8; HEADER_BYTES],
    footer: &[u8; FOOTER_BYTES],
) -> Result<(SnapshotInfo, u32), SnapshotError> {
    if header[..8] != MAGIC {
        return Err(SnapshotError::NotASnapshot);
    }
    if !is_sealed(header) {
        return Err(SnapshotError::Header);
    }
    let version = u32_at(header, 8);
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    if footer[..8] != END_MAGIC || !is_sealed(footer) {
        return Err(SnapshotError::Footer);
    }
    let shards = u32_at(header, 12);
    let info = SnapshotInfo {
        shard: ShardId(shards as u16),
        shards: (shards >> 16) as u16,
        start: RingOffset(u64_at(header, 16)),
        start_position: Position(u64_at(header, 24)),
        db_next_revision: u64_at(header, 32),
        db_last: RingOffset(u64_at(header, 40)),
        end: RingOffset(u64_at(footer, 8)),
        end_position: Position(u64_at(footer, 16)),
        rows: u64_at(footer, 24),
    };
    Ok((info, u32_at(footer, 32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: SnapshotInfo = SnapshotInfo {
        shard: ShardId(3),
        shards: 5,
        start: RingOffset(64),
        start_position: Position(7),
        end: RingOffset(128),
        end_position: Position(9),
        db_next_revision: 2,
        db_last: RingOffset(56),
        rows: 11,
    };

    #[test]
    fn header_and_footer_are_decoded_as_encoded() {
        let (info, digest) = parse(&header(&INFO), &footer(&INFO, 77)).unwrap();
        assert_eq!((info, digest), (INFO, 77));
    }

    #[test]
    fn a_later_version_is_distinguished_from_damage() {
        let mut later = header(&INFO);
        later[8] = 9;
        assert!(matches!(parse(&later, &footer(&INFO, 0)), Err(SnapshotError::Header)));
        let sum = crc32c::crc32c(&later[..HEADER_BYTES - 4]);
        later[HEADER_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
        assert!(matches!(parse(&later, &footer(&INFO, 0)), Err(SnapshotError::Version(9))));
    }
}
