//! The checksum of a whole record: CRC-32C of all but its first word, begun with its length and, in a log, with the
//! record's offset. So a record that stands whole in another's place is told from the one that was written there.
//!
//! Short records, nearly all, are summed here, word by word: all that such a loop takes is one instruction a word, and
//! the processor works on the sums of several records at once. The crate, which gets the others, is made for long runs:
//! on a record of 128 bytes it takes twice as long, for looking where its long strides would fit.

use crate::position::RingOffset;

/// What a record's checksum is made of, beside the record and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: rows of snapshots, and the records of logs of format 1.
    Alone,
    /// The record's offset: the records of logs.
    Placed,
}

/// The bytes from which on the crate sums three parts at once.
#[cfg(target_arch = "x86_64")]
const LONG_BYTES: usize = 768;

/// The checksum of the record that these bytes are; with an offset, of the record at that place.
#[inline]
pub(crate) fn checksum(record: &[u8], place: Option<RingOffset>) -> u32 {
    let (mut begin, rest) = (record.len() as u32, record.get(8..).unwrap_or_default());
    #[cfg(target_arch = "x86_64")]
    if let (words, []) = rest.as_chunks::<8>()
        && rest.len() < LONG_BYTES
        && std::is_x86_feature_detected!("sse4.2")
    {
        // SAFETY: the processor has what `sum` is compiled for, as was just asked.
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
    // CRC-32C begins and ends with all bits inverted; the upper half of the instruction's result is 0.
    let begin = u64::from(!begin);
    let begin = place.map_or(begin, |RingOffset(offset)| _mm_crc32_u64(begin, offset));
    !(words.iter().fold(begin, |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word))) as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_32c_of_all_but_the_first_word_begun_with_the_length_and_the_place() {
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
        // The usual check value: the crate that the other sums come from is right too.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
