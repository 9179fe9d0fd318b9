//! The checksum of a whole record: CRC-32C of everything but its first word, seeded with the record's length and, in a
//! log, its offset. So an intact record at the wrong place is detected.
//!
//! Short records, nearly all, are summed here, word by word: the loop takes one instruction per word, and the processor
//! overlaps the sums of several records. The crate, which sums longer records, is made for long runs: on a record of
//! 128 bytes it takes twice as long, because it first checks where its long strides would fit.

use crate::position::RingOffset;

/// The input of a record's checksum, besides the record and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing more: rows of snapshots, and the records of logs of format 1.
    Alone,
    /// The record's offset: the records of logs.
    Placed,
}

/// From this many bytes on, the crate sums three parts at once.
#[cfg(target_arch = "x86_64")]
const LONG_BYTES: usize = 768;

/// The checksum of the record in these bytes; with an offset, of the record at that offset.
#[inline]
pub(crate) fn checksum(record: &[u8], place: Option<RingOffset>) -> u32 {
    let (mut begin, rest) = (record.len() as u32, record.get(8..).unwrap_or_default());
    #[cfg(target_arch = "x86_64")]
    if let (words, []) = rest.as_chunks::<8>()
        && rest.len() < LONG_BYTES
        && std::is_x86_feature_detected!("sse4.2")
    {
        // SAFETY: the processor has the feature that `sum` is compiled for, as just checked.
        return unsafe { sum(begin, place, words) };
    }
    if let Some(RingOffset(offset)) = place {
        begin = crc32c::crc32c_append(begin, &offset.to_le_bytes());
    }
    crc32c::crc32c_append(begin, rest)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn sum(begin: u32, place: Option<RingOffset>, words: &[[u8; 8]]) -> u32 {
    use std::arch::x86_64::_mm_crc32_u64;
    // CRC-32C inverts all bits at its start and end; the upper half of the instruction's result is 0.
    let begin = u64::from(!begin);
    let begin = place.map_or(begin, |RingOffset(offset)| _mm_crc32_u64(begin, offset));
    !(words.iter().fold(begin, |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word))) as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_32c_of_all_but_the_first_word_seeded_with_length_and_offset() {
        let bytes: Vec<u8> = (0..2000u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for length in 0..bytes.len() {
            let record = &bytes[..length];
            let rest = record.get(8..).unwrap_or_default();
            let expected = crc32c::crc32c_append(length as u32, rest);
            assert_eq!(checksum(record, None), expected, "{length} bytes");
            let offset = 1_u64 << (length % 50);
            let begin = crc32c::crc32c_append(length as u32, &offset.to_le_bytes());
            let expected = crc32c::crc32c_append(begin, rest);
            assert_eq!(checksum(record, Some(RingOffset(offset))), expected, "{length} bytes at {offset}");
        }
        // The usual check value: the crate, from which the other sums come, is right too.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
