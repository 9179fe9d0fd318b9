//! Encodes records into bytes instead of a ring: for files that consist of records.

use super::checksum::checksum;
use super::layout::{self, Draft, KEY_WORD, MORE};
use super::words::WORD_BYTES;
use crate::sync::{AtomicU64, Ordering};

/// Encodes drafts with their checksums; reuses its memory.
#[derive(Default)]
pub struct Encoder {
    words: Vec<AtomicU64>,
}

impl Encoder {
    /// Appends a record to `out`, without a position, and with a checksum that does not cover its offset. `has_more`
    /// says that the next record belongs to the same command. Panics if the record would take 4 GiB.
    pub fn encode(&mut self, draft: &Draft<'_>, has_more: bool, out: &mut Vec<u8>) {
        let shape = draft.shape();
        assert!(shape.length <= u32::MAX as u64, "a record's length has 32 bits");
        self.words.clear();
        self.words.resize_with((shape.length / WORD_BYTES) as usize, || AtomicU64::new(0));
        layout::encode(draft, shape, &self.words);
        let start = out.len();
        out.resize(start + shape.length as usize, 0);
        let record = &mut out[start..];
        for (bytes, word) in record.as_chunks_mut::<{ WORD_BYTES as usize }>().0.iter_mut().zip(&self.words) {
            // Relaxed: stored by this thread.
            *bytes = word.load(Ordering::Relaxed).to_le_bytes();
        }
        if has_more {
            let flags = KEY_WORD * WORD_BYTES as usize + 6;
            record[flags..flags + 2].iter_mut().zip(MORE.to_le_bytes()).for_each(|(byte, more)| *byte |= more);
        }
        let sum = checksum(record, None);
        record[4..8].copy_from_slice(&sum.to_le_bytes());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{Checksum, Data, Record};
    use super::*;
    use crate::event::EventType;
    use crate::position::RingOffset;

    #[test]
    fn encoded_bytes_are_a_record_with_its_checksum() {
        let mut out = b"before".to_vec();
        let mut encoder = Encoder::default();
        for has_more in [false, true] {
            let start = out.len();
            let parts: [&[u8]; 2] = [b"field", b"value"];
            encoder.encode(&Draft::new(EventType::HSet, b"key", Data::Parts(&parts)), has_more, &mut out);
            let record = Record::parse(&out[start..], RingOffset(0)).expect("a record");
            assert!(
                record.is_intact(Checksum::Alone)
                    && record.has_more() == has_more
                    && record.bytes().len() == out.len() - start
            );
            assert_eq!((record.key(), record.data_bytes()), (&b"key"[..], &b"\x05\0\0\0field\x05\0\0\0value"[..]));
        }
    }
}
