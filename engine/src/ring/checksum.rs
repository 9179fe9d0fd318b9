//! The checksum of a whole record: CRC-32C of all but its first word, begun with its length.
//!
//! Short records, nearly all, are summed here, word by word: all that such a loop takes is one instruction a word, and
//! the processor works on the sums of several records at once. The crate, which gets the others, is made for long runs:
//! on a record of 128 bytes it takes twice as long, for looking where its long strides would fit.

/// The bytes from which on the crate sums three parts at once.
#[cfg(target_arch = "x86_64")]
const LONG_BYTES: usize = 768;

/// The checksum of the record that these bytes are.
#[inline]
pub(crate) fn checksum(record: &[u8]) -> u32 {
    let (begin, rest) = (record.len() as u32, record.get(8..).unwrap_or_default());
    #[cfg(target_arch = "x86_64")]
    if let (words, []) = rest.as_chunks::<8>()
        && rest.len() < LONG_BYTES
        && std::is_x86_feature_detected!("sse4.2")
    {
        // SAFETY: the processor has what `sum` is compiled for, as was just asked.
        return unsafe { sum(begin, words) };
    }
    crc32c::crc32c_append(begin, rest)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn sum(begin: u32, words: &[[u8; 8]]) -> u32 {
    let next = |crc, word: &[u8; 8]| std::arch::x86_64::_mm_crc32_u64(crc, u64::from_le_bytes(*word));
    // CRC-32C begins and ends with all bits inverted; the upper half of the instruction's result is 0.
    !(words.iter().fold(u64::from(!begin), next) as u32)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_32c_of_all_but_the_first_word_begun_with_the_length() {
        let bytes: Vec<u8> = (0..2000u32).map(|n| (n * 7 + n / 256) as u8).collect();
        for length in 0..bytes.len() {
            let record = &bytes[..length];
            let expected = crc32c::crc32c_append(length as u32, record.get(8..).unwrap_or_default());
            assert_eq!(checksum(record), expected, "{length} bytes");
        }
        // The usual check value: the crate that the other sums come from is right too.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
