//! Up to which size a collection is stored compactly; Redis's names of `CONFIG`.

use super::chunks::ChunkSize;
use crate::limits::{
    HASH_PACKED_ENTRIES, HASH_PACKED_VALUE, LIST_CHUNK_BYTES, LIST_PACKED_SIZE, PACKED_ENTRIES_MAX, SET_INTEGERS,
    SET_PACKED_ENTRIES, SET_PACKED_VALUE, SKETCH_SPARSE_BYTES, SORTED_PACKED_ENTRIES, SORTED_PACKED_VALUE,
    STREAM_BLOCK_BYTES, STREAM_BLOCK_ENTRIES,
};

/// The bounds of the compact forms. A change counts for what is changed from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// The most fields of a packed hash, `hash-max-listpack-entries`.
    pub hash_entries: u32,
    /// The longest field and the longest value in one, in bytes, `hash-max-listpack-value`.
    pub hash_value: u32,
    /// The most members of a set of integers, `set-max-intset-entries`.
    pub set_integers: u32,
    /// The most members of a packed set, `set-max-listpack-entries`.
    pub set_entries: u32,
    /// The longest member in one, in bytes, `set-max-listpack-value`.
    pub set_value: u32,
    /// `list-max-listpack-size`: the most elements of a packed list, and of a chunk of a long one, which then has at most
    /// [`LIST_CHUNK_BYTES`]; or, from -1 to -5, that it has at most 4, 8, 16, 32 or 64 KiB.
    pub list_size: i32,
    /// The most members of a packed sorted set, `zset-max-listpack-entries`.
    pub sorted_entries: u32,
    /// The longest member in one, in bytes, `zset-max-listpack-value`.
    pub sorted_value: u32,
    /// The most bytes of a block of a Redis stream, unless one entry has more, `stream-node-max-bytes`; 0 is no bound.
    pub stream_bytes: u32,
    /// The most entries of such a block, `stream-node-max-entries`; 0 is no bound.
    pub stream_entries: u32,
    /// The most bytes of a sparse HyperLogLog, `hll-sparse-max-bytes`.
    pub sketch_bytes: u32,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            hash_entries: HASH_PACKED_ENTRIES,
            hash_value: HASH_PACKED_VALUE,
            set_integers: SET_INTEGERS,
            set_entries: SET_PACKED_ENTRIES,
            set_value: SET_PACKED_VALUE,
            list_size: LIST_PACKED_SIZE,
            sorted_entries: SORTED_PACKED_ENTRIES,
            sorted_value: SORTED_PACKED_VALUE,
            stream_bytes: STREAM_BLOCK_BYTES,
            stream_entries: STREAM_BLOCK_ENTRIES,
            sketch_bytes: SKETCH_SPARSE_BYTES,
        }
    }
}

impl Thresholds {
    /// Whether a sorted set of so many members is packed, of which the longest has so many bytes.
    pub(crate) fn keeps_sorted_compact(&self, count: usize, longest: usize) -> bool {
        is_few(count, self.sorted_entries) && longest <= self.sorted_value as usize
    }

    /// How large a packed list, or a chunk, becomes.
    pub(super) fn chunk_size(&self) -> ChunkSize {
        match self.list_size {
            size @ ..0 => ChunkSize { elements: PACKED_ENTRIES_MAX, bytes: 2048 << size.unsigned_abs().min(5) },
            // With 0 elements Redis takes 1.
            size => ChunkSize { elements: (size as usize).clamp(1, PACKED_ENTRIES_MAX), bytes: LIST_CHUNK_BYTES },
        }
    }
}

/// Whether a collection may have so many elements in its compact form.
#[inline]
pub(super) fn is_few(count: usize, most: u32) -> bool {
    count <= (most as usize).min(PACKED_ENTRIES_MAX)
}

/// Whether a large collection that now has so many elements is made compact again, if they are short enough: at powers of two
/// up to half of the bound, so that neither growing and shrinking by turns nor a long element costs more than it saves.
#[inline]
pub(super) fn may_shrink(count: usize, most: u32) -> bool {
    count.is_power_of_two() && count <= (most as usize).min(PACKED_ENTRIES_MAX) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_size_of_lists_is_one_of_five_numbers_of_bytes() {
        let bytes = |list_size| Thresholds { list_size, ..Thresholds::default() }.chunk_size();
        let sizes: Vec<usize> = [-1, -2, -3, -4, -5, -6].map(|size| bytes(size).bytes).to_vec();
        assert_eq!(sizes, [4096, 8192, 16_384, 32_768, 65_536, 65_536]);
        assert_eq!(bytes(7), ChunkSize { elements: 7, bytes: LIST_CHUNK_BYTES });
        assert_eq!(bytes(0).elements, 1);
        assert_eq!(bytes(i32::MAX).elements, PACKED_ENTRIES_MAX);
        assert_eq!(bytes(i32::MIN).bytes, 65_536);
    }
}
