//! Which streams have records in which part of a sealed segment, so that the reader of one stream can skip the rest. For
//! every [`BLOCK_BYTES`] of the segment, a sorted list of a 16-bit hash of each stream's name: a stream whose hash is not in
//! the list has no record in the block; one whose hash is in the list nearly always has. The lists are a file beside the
//! segment, written some time after it is sealed. Without the file readers read the whole segment.

use super::scan::{ScanError, SegmentFile};
use crate::event::EventType;
use crate::position::RingOffset;
use std::path::{Path, PathBuf};

/// The size of a block, in bytes of the segment: a few hundred small records.
pub const BLOCK_BYTES: u64 = 64 << 10;

/// The version of the file format.
const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"KEYTSTRM";
const HEAD_BYTES: usize = 24;

/// A 16-bit hash of a stream's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamBits(u16);

impl StreamBits {
    /// The hash of a stream's name.
    pub fn of(stream: &[u8]) -> StreamBits {
        let sum = crc32c::crc32c(stream);
        StreamBits((sum ^ sum >> 16) as u16)
    }
}

/// The streams of one segment, block by block.
pub struct StreamBlocks {
    base: RingOffset,
    /// For each block, where its hashes end in `bits`. A block without hashes has a flush, which belongs to every stream.
    ends: Vec<u32>,
    bits: Vec<u16>,
}

/// The block that is being read: a bitmap of hashes, which sorts them at no cost.
struct Block {
    words: Box<[u64]>,
    has_flush: bool,
}

impl Default for Block {
    fn default() -> Block {
        Block { words: vec![0; (u16::MAX as usize + 1) / 64].into(), has_flush: false }
    }
}

impl Block {
    fn note(&mut self, StreamBits(bits): StreamBits) {
        self.words[bits as usize / 64] |= 1 << (bits % 64);
    }

    /// Appends the sorted hashes to `bits`, none where the block has a flush, and clears the block.
    fn take(&mut self, bits: &mut Vec<u16>) {
        for (place, word) in self.words.iter_mut().enumerate() {
            let mut left = std::mem::take(word);
            while left != 0 && !self.has_flush {
                bits.push((place * 64) as u16 + left.trailing_zeros() as u16);
                left &= left - 1;
            }
        }
        self.has_flush = false;
    }
}

/// The path of the file beside a segment.
pub fn streams_path(segment: &Path) -> PathBuf {
    segment.with_extension("streams")
}

impl StreamBlocks {
    /// Reads a segment from its start to `end` and collects its streams.
    ///
    /// # Errors
    /// Any error of reading the file.
    pub fn build(file: &SegmentFile, end: RingOffset) -> Result<StreamBlocks, ScanError> {
        let base = file.header.base;
        let mut blocks = StreamBlocks { base, ends: Vec::new(), bits: Vec::new() };
        let mut block = Block::default();
        file.scan_unchecked(end, |record| {
            while blocks.ends.len() < blocks.block_of(record.offset()) {
                blocks.push(&mut block);
            }
            block.has_flush |= record.event_type() == EventType::FlushDb;
            block.note(StreamBits::of(record.key()));
        })?;
        blocks.push(&mut block);
        Ok(blocks)
    }

    /// Completes a block.
    fn push(&mut self, block: &mut Block) {
        block.take(&mut self.bits);
        self.ends.push(self.bits.len() as u32);
    }

    fn block_of(&self, offset: RingOffset) -> usize {
        ((offset.0 - self.base.0) / BLOCK_BYTES) as usize
    }

    /// Whether a stream may have a record that starts in a block.
    fn may_have(&self, block: usize, stream: StreamBits) -> bool {
        let start = block.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        let bits = &self.bits[start..self.ends[block] as usize];
        bits.is_empty() || bits.binary_search(&stream.0).is_ok()
    }

    /// The start of the first block, from the one with `offset` on, in which the stream may have a record; `offset` itself
    /// where that is its own block. None where there is no such block.
    pub fn next(&self, offset: RingOffset, stream: StreamBits) -> Option<RingOffset> {
        let found = (self.block_of(offset)..self.ends.len()).find(|&block| self.may_have(block, stream))?;
        Some(offset.max(RingOffset(self.base.0 + found as u64 * BLOCK_BYTES)))
    }

    /// Encodes the lists as the file beside the segment.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + 4 * self.ends.len() + 2 * self.bits.len() + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.ends.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.base.0.to_le_bytes());
        bytes.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        bytes.extend(self.bits.iter().flat_map(|bits| bits.to_le_bytes()));
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Decodes the bytes that [`StreamBlocks::encode`] made for the segment whose first record is at `base`; none where they
    /// are damaged or belong to another segment.
    pub fn decode(bytes: &[u8], base: RingOffset) -> Option<StreamBlocks> {
        let (bytes, checksum) = bytes.split_last_chunk::<4>()?;
        let (head, rows) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let mut expected = [0; HEAD_BYTES];
        expected[..8].copy_from_slice(MAGIC);
        expected[8..12].copy_from_slice(&VERSION.to_le_bytes());
        expected[12..16].copy_from_slice(&head[12..16]);
        expected[16..].copy_from_slice(&base.0.to_le_bytes());
        if *head != expected || crc32c::crc32c(bytes) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let count = u32::from_le_bytes(*head[12..].first_chunk()?) as usize;
        let (ends, bits) = rows.split_at_checked(count.checked_mul(4)?)?;
        let ends: Vec<u32> = ends.as_chunks().0.iter().map(|end| u32::from_le_bytes(*end)).collect();
        let bits: Vec<u16> = bits.as_chunks().0.iter().map(|bits| u16::from_le_bytes(*bits)).collect();
        let is_whole = ends.is_sorted() && ends.last().is_none_or(|end| *end as usize == bits.len());
        is_whole.then_some(StreamBlocks { base, ends, bits })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn blocks() -> StreamBlocks {
        let mut blocks = StreamBlocks { base: RingOffset(800), ends: Vec::new(), bits: Vec::new() };
        let mut block = Block::default();
        for (streams, has_flush) in [(&["a", "b", "a"][..], false), (&["c"], false), (&["d"], true), (&["b"], false)] {
            streams.iter().for_each(|stream| block.note(StreamBits::of(stream.as_bytes())));
            block.has_flush = has_flush;
            blocks.push(&mut block);
        }
        blocks
    }

    #[test]
    fn a_stream_may_be_in_its_own_blocks_and_in_those_with_a_flush() {
        let read = StreamBlocks::decode(&blocks().encode(), RingOffset(800)).unwrap();
        for blocks in [blocks(), read] {
            let next = |offset: u64, stream: &str| {
                blocks.next(RingOffset(offset), StreamBits::of(stream.as_bytes())).map(|offset| offset.0)
            };
            assert_eq!(next(800, "a"), Some(800));
            assert_eq!(next(808, "b"), Some(808));
            assert_eq!(next(800, "c"), Some(800 + BLOCK_BYTES));
            assert_eq!(next(800, "nowhere"), Some(800 + 2 * BLOCK_BYTES), "a flush");
            assert_eq!(next(808 + BLOCK_BYTES, "b"), Some(800 + 2 * BLOCK_BYTES));
            assert_eq!(next(800 + 3 * BLOCK_BYTES, "b"), Some(800 + 3 * BLOCK_BYTES));
            assert_eq!(next(800 + 3 * BLOCK_BYTES, "a"), None);
        }
    }

    #[test]
    fn with_any_byte_changed_or_missing_the_file_is_not_used() {
        let bytes = blocks().encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(StreamBlocks::decode(&damaged, RingOffset(800)).is_none(), "byte {at}");
            assert!(StreamBlocks::decode(&bytes[..at], RingOffset(800)).is_none(), "length {at}");
        }
        assert!(StreamBlocks::decode(&bytes, RingOffset(808)).is_none(), "of another segment");
    }
}
