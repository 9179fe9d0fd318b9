//! Matches remembered by name: in a cache the same names recur.
//!
//! A slot is one cache line: the name itself, so that a match is exact, and the patterns that matched. It also has the
//! generation of the newest pattern at that time: patterns added since are matched when the name recurs, and a removed
//! pattern is recognised because its slot is empty or holds a newer one. So slots never have to be invalidated.

use foldhash::fast::RandomState;
use std::hash::BuildHasher;

use crate::limits::MEMO_SLOTS;
use crate::prefetch::prefetch_line;

/// The longest name that is remembered, in bytes.
pub const NAME_BYTES_MAX: usize = 36;

/// The most patterns that are remembered for a name.
pub const REMEMBERED_MAX: usize = 4;

/// Word 0: `newest << 16 | matches << 8 | name length`, 0 for a free slot; words 1 and 2: the patterns; then the name,
/// and in the last four bytes its pattern set.
pub type MemoSlot = [u64; 8];

const _: () = assert!(size_of::<MemoSlot>() == 64);

/// Names with the patterns that match them.
pub struct Memo {
    /// A name is in one of the two slots that its hash selects. Empty until memory is provided.
    slots: Vec<MemoSlot>,
    hasher: RandomState,
    /// Which of two taken slots is overwritten next.
    turn: usize,
}

/// Free slots in memory that was written once. Takes milliseconds if the system has to find the pages first, so not for
/// the hot path.
pub fn new_slots() -> Vec<MemoSlot> {
    let mut slots = vec![[0; 8]; MEMO_SLOTS];
    for slot in slots.iter_mut().step_by(4096 / size_of::<MemoSlot>()) {
        // Opaque, so that the write is not optimised away.
        slot[0] = std::hint::black_box(0);
    }
    slots
}

/// A name to look up or remember.
pub struct MemoKey {
    words: [u64; 5],
    len: u64,
    /// The first of its two slots.
    at: usize,
}

/// The remembered matches of a name.
pub struct Remembered {
    /// The patterns that match it.
    pub ids: [u32; REMEMBERED_MAX],
    /// Their number.
    pub count: usize,
    /// Newer patterns than this were not tried.
    pub newest: u64,
}

impl Default for Memo {
    fn default() -> Memo {
        Memo::new()
    }
}

impl Memo {
    /// Without memory: remembers nothing.
    pub fn new() -> Memo {
        Memo { slots: Vec::new(), hasher: RandomState::default(), turn: 0 }
    }

    /// Gives it memory.
    pub fn set_slots(&mut self, slots: Vec<MemoSlot>) {
        self.slots = slots;
    }

    /// The key of a name in this pattern set; `None` if it is empty or too long.
    #[inline]
    pub fn key(&self, set_id: u32, name: &[u8]) -> Option<MemoKey> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut words = [0; 5];
        for (word, bytes) in words.iter_mut().zip(name.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        words[4] |= u64::from(set_id) << 32;
        let hash = self.hasher.hash_one(words) as usize;
        Some(MemoKey { words, len: name.len() as u64, at: hash % (MEMO_SLOTS / 2) * 2 })
    }

    /// The remembered matches of a name.
    #[inline]
    pub fn get(&self, key: &MemoKey) -> Option<Remembered> {
        let pair = self.slots.get(key.at..key.at + 2)?;
        let slot = pair.iter().find(|slot| slot[0] & 0xFF == key.len && slot[3..] == key.words)?;
        let ids = [slot[1] as u32, (slot[1] >> 32) as u32, slot[2] as u32, (slot[2] >> 32) as u32];
        Some(Remembered { ids, count: (slot[0] >> 8 & 0xFF) as usize, newest: slot[0] >> 16 })
    }

    /// Prefetches the slots of a key.
    #[inline]
    pub fn prefetch(&self, key: &MemoKey) {
        if let Some(slot) = self.slots.get(key.at) {
            prefetch_line(slot);
            prefetch_line(slot.as_ptr().wrapping_add(8));
        }
    }

    /// Whether it has memory.
    #[inline]
    pub fn is_used(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Remembers the patterns up to `newest` that match a name; nothing if there are too many.
    pub fn put(&mut self, key: &MemoKey, ids: &[u32], newest: u64) {
        if ids.len() > REMEMBERED_MAX {
            return;
        }
        let Some(pair) = self.slots.get_mut(key.at..key.at + 2) else { return };
        let same = pair.iter().position(|slot| slot[0] & 0xFF == key.len && slot[3..] == key.words);
        let place = same.or_else(|| pair.iter().position(|slot| slot[0] == 0)).unwrap_or_else(|| {
            self.turn ^= 1;
            self.turn
        });
        let id = |index: usize| u64::from(ids.get(index).copied().unwrap_or(0));
        let slot = &mut pair[place];
        slot[0] = newest << 16 | (ids.len() as u64) << 8 | key.len;
        slot[1] = id(0) | id(1) << 32;
        slot[2] = id(2) | id(3) << 32;
        slot[3..].copy_from_slice(&key.words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_remembered_names_are_known() {
        let mut memo = Memo::new();
        memo.set_slots(new_slots());
        let names: Vec<Vec<u8>> = (0..2_000u32).map(|n| format!("name{n}").repeat(1 + n as usize % 4).into()).collect();
        for (n, name) in names.iter().enumerate() {
            let key = memo.key(7, name).unwrap();
            assert!(memo.get(&key).is_none());
            let ids: Vec<u32> = (0..n as u32 % 5).map(|id| id + n as u32).collect();
            memo.put(&key, &ids, n as u64);
        }
        let mut known = 0;
        for (n, name) in names.iter().enumerate() {
            if let Some(found) = memo.get(&memo.key(7, name).unwrap()) {
                known += 1;
                let ids: Vec<u32> = (0..n as u32 % 5).map(|id| id + n as u32).collect();
                assert_eq!((&found.ids[..found.count], found.newest), (&ids[..], n as u64));
            }
        }
        assert!(known > 1_700, "{known}");
    }

    #[test]
    fn long_and_empty_names_are_not_kept() {
        let memo = Memo::new();
        assert!(memo.key(7, b"").is_none() && memo.key(7, &[b'a'; 37]).is_none() && memo.key(7, &[b'a'; 36]).is_some());
    }

    #[test]
    fn a_name_is_not_taken_for_one_with_zeros_behind() {
        let mut memo = Memo::new();
        memo.set_slots(new_slots());
        let key = memo.key(7, b"ab").unwrap();
        memo.put(&key, &[1], 1);
        assert!(memo.get(&memo.key(8, b"ab").unwrap()).is_none(), "another pattern set");
        let longer = MemoKey { len: 3, ..memo.key(7, b"ab").unwrap() };
        assert!(memo.get(&longer).is_none());
    }
}
