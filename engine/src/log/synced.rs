//! The durable mark of a shard's log, the file `synced`: up to which offset the log is known to be on the disk, and which
//! segments it has. Below the mark an unreadable record or a missing segment is damage, however the last run ended.

use super::storage::Storage;
use crate::position::RingOffset;
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"KEYTSYN2";

/// The magic number of the first version, which has no segment numbers.
const FIRST_MAGIC: &[u8; 8] = b"KEYTSYNC";

/// The content of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Everything before this offset is on the disk.
    pub synced: RingOffset,
    /// The numbers of the first and the last segment that must exist; none where the log has no segment, and in a mark of
    /// the first version. Later segments may exist too.
    pub segments: Option<(u64, u64)>,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let (first, last) = self.segments.unwrap_or_default();
        let mut bytes = MAGIC.to_vec();
        for number in [self.synced.0, first, last] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Mark> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        let (magic, numbers) = body.split_first_chunk::<8>()?;
        let (numbers, []) = numbers.as_chunks::<8>() else { return None };
        if crc32c::crc32c(body).to_le_bytes() != *sum {
            return None;
        }
        match (magic, numbers) {
            (FIRST_MAGIC, [synced]) => Some(Mark { synced: RingOffset(u64::from_le_bytes(*synced)), segments: None }),
            (MAGIC, [synced, first, last]) => {
                let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
                let segments = (first > 0).then_some((first, last));
                Some(Mark { synced: RingOffset(u64::from_le_bytes(*synced)), segments })
            }
            _ => None,
        }
    }
}

/// Writes the mark into the directory of a shard; durable on return.
///
/// # Errors
/// Any error of the file system.
pub fn write(storage: &dyn Storage, directory: &Path, mark: Mark) -> io::Result<()> {
    storage.replace(&directory.join("synced"), &mark.encode())
}

/// Reads the mark from the directory of a shard; none where the file is missing: nothing was written yet, or the directory
/// is a copy made without it.
///
/// # Errors
/// `InvalidData` where the file is damaged, else any error of the file system.
pub fn read(directory: &Path) -> io::Result<Option<Mark>> {
    let path = directory.join("synced");
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()));
    Mark::decode(&bytes).map(Some).ok_or_else(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_refused_with_any_byte_changed_or_missing() {
        for segments in [None, Some((3, 7))] {
            let mark = Mark { synced: RingOffset(1 << 40), segments };
            let bytes = mark.encode();
            assert_eq!(Mark::decode(&bytes), Some(mark));
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                assert_eq!(Mark::decode(&changed), None, "byte {at}");
                assert_eq!(Mark::decode(&bytes[..at]), None, "cut to {at}");
            }
        }
    }

    #[test]
    fn a_mark_of_the_first_version_has_an_offset_and_no_segments() {
        let mut bytes = FIRST_MAGIC.to_vec();
        bytes.extend_from_slice(&77_u64.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        assert_eq!(Mark::decode(&bytes), Some(Mark { synced: RingOffset(77), segments: None }));
    }
}
