//! Consecutive records of logs and snapshots: computes their checksums, and reads them independently of the engine.

use keytide_engine::position::RingOffset;
use keytide_engine::ring::Record;

/// The header of a record, in bytes.
pub const HEADER_BYTES: usize = 48;

/// The first number that is not a position.
const POSITION_END: u64 = 1 << 53;

/// The length of the record at the start of `bytes`, if it is plausible.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
    (length >= HEADER_BYTES && length.is_multiple_of(8) && length <= bytes.len()).then_some(length)
}

/// The checksum of a record: CRC-32C of all but its first word, seeded with its length and, in a log, its offset.
pub fn sum(record: &[u8], place: Option<u64>) -> u32 {
    let begin = record.len() as u32;
    let begin = place.map_or(begin, |place| crc32c::crc32c_append(begin, &place.to_le_bytes()));
    crc32c::crc32c_append(begin, &record[8..])
}

/// Writes the checksum of a record.
pub fn seal(record: &mut [u8], place: Option<u64>) {
    let sum = sum(record, place);
    record[4..8].copy_from_slice(&sum.to_le_bytes());
}

/// The position of a record.
pub fn position(record: &[u8]) -> u64 {
    record[8..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// The valid records at the start of `bytes`, with ascending positions above `after`: their bytes, their number, and the
/// last position. `base` is the offset of the first; `is_placed` tells whether checksums include offsets.
pub fn walk(bytes: &[u8], base: u64, is_placed: bool, after: u64) -> (u64, u64, u64) {
    let (mut at, mut records, mut last) = (0, 0, after);
    while let Some(length) = length(&bytes[at..]) {
        let (record, place) = (&bytes[at..at + length], base + at as u64);
        let stored = u32::from_le_bytes([record[4], record[5], record[6], record[7]]);
        let is_record = Record::parse(record, RingOffset(place)).is_some();
        let is_next = position(record) > last && position(record) < POSITION_END;
        if !is_record || !is_next || sum(record, is_placed.then_some(place)) != stored {
            break;
        }
        (at, records, last) = (at + length, records + 1, position(record));
    }
    (at as u64, records, last)
}
