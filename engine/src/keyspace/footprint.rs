//! What the keys of a shard take, by type of value: bytes of memory, counted where an entry changes.

use super::{Block, Kind};
use crate::eviction::PROBATION;
use crate::limits::SLOT_BYTES;

/// What one entry takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The type of its value; `None` if only its stream is known.
    pub kind: Option<Kind>,
    /// The memory of the key, its value and its stream's head, in bytes.
    pub bytes: usize,
    /// What eviction knows of it.
    pub(crate) access: u8,
}

/// The types of values, and room for more.
const KINDS: usize = 8;

/// What all entries of a shard take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// The entries with a value, in bytes.
    used: u64,
    /// The same by type.
    by_kind: [u64; KINDS],
    /// Those of them that are on probation, in bytes.
    probation: u64,
    /// The entries without a value, in bytes.
    absent: u64,
    /// The most that the entries with a value may take before something is done about it, in bytes.
    allowed: u64,
}

impl Default for Footprint {
    fn default() -> Footprint {
        Footprint { used: 0, by_kind: [0; KINDS], probation: 0, absent: 0, allowed: u64::MAX }
    }
}

impl Footprint {
    /// The memory of the entries with a value and of their places in the table, in bytes.
    #[inline]
    pub fn used_bytes(&self) -> u64 {
        self.used
    }

    /// The same without the places in the table, of the values of one type.
    pub fn kind_bytes(&self, kind: Kind) -> u64 {
        self.by_kind[kind as usize]
    }

    /// The memory of the entries without a value, whose streams are known, in bytes.
    pub fn absent_bytes(&self) -> u64 {
        self.absent
    }

    /// The memory of the entries on probation, in bytes.
    pub(crate) fn probation_bytes(&self) -> u64 {
        self.probation
    }

    /// Whether the entries with a value take more than they may.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.used > self.allowed
    }

    /// The most that the entries with a value may take, in bytes; `u64::MAX` without a limit.
    #[inline]
    pub(crate) fn allowed(&self) -> u64 {
        self.allowed
    }

    pub(crate) fn set_allowed(&mut self, bytes: u64) {
        self.allowed = bytes;
    }

    /// Counts an entry in.
    pub(crate) fn add(&mut self, taken: Taken) {
        match taken.kind {
            None => self.absent += (taken.bytes + SLOT_BYTES) as u64,
            Some(kind) => {
                self.used += (taken.bytes + SLOT_BYTES) as u64;
                self.by_kind[kind as usize] += taken.bytes as u64;
                if taken.access & PROBATION != 0 {
                    self.probation += (taken.bytes + SLOT_BYTES) as u64;
                }
            }
        }
    }

    /// Counts an entry out.
    pub(crate) fn remove(&mut self, taken: Taken) {
        match taken.kind {
            None => self.absent -= (taken.bytes + SLOT_BYTES) as u64,
            Some(kind) => {
                self.used -= (taken.bytes + SLOT_BYTES) as u64;
                self.by_kind[kind as usize] -= taken.bytes as u64;
                if taken.access & PROBATION != 0 {
                    self.probation -= (taken.bytes + SLOT_BYTES) as u64;
                }
            }
        }
    }

    /// A new block without a value, counted in.
    pub(crate) fn new_block(&mut self, key: &[u8]) -> Block {
        let block = Block::absent(key);
        self.add(block.view().taken());
        block
    }

    /// Counts an entry out that has left the table.
    pub(crate) fn forget(&mut self, block: Option<Block>) {
        if let Some(block) = block {
            self.remove(block.view().taken());
        }
    }

    /// Counts everything out.
    pub(crate) fn clear(&mut self) {
        *self = Footprint { allowed: self.allowed, ..Footprint::default() };
    }
}
