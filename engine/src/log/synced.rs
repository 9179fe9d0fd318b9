//! The durable mark of how far a shard's log is surely on the disk. Damage above it is the torn end of what a power loss
//! has interrupted; damage below it is damage.

use super::storage::Storage;
use crate::position::RingOffset;
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"KEYTSYNC";

/// Writes the mark.
///
/// # Errors
/// Whatever the system says.
pub fn write(storage: &dyn Storage, directory: &Path, offset: RingOffset) -> io::Result<()> {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&offset.0.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_le_bytes());
    storage.replace(&directory.join("synced"), &bytes)
}

/// Reads the mark; 0 where none was written yet.
///
/// # Errors
/// Whatever the system says, and `InvalidData` where the file is damaged.
pub fn read(directory: &Path) -> io::Result<RingOffset> {
    let path = directory.join("synced");
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(RingOffset(0)),
        read => read?,
    };
    match <&[u8; 20]>::try_from(bytes.as_slice()) {
        Ok(bytes) if bytes[..8] == *MAGIC && crc32c::crc32c(&bytes[..16]).to_le_bytes() == bytes[16..] => {
            Ok(RingOffset(bytes[8..16].first_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word))))
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} is damaged", path.display()))),
    }
}
