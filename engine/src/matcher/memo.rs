//! What was found for names seen before: in a cache the same names come again and again.
//!
//! A slot is one cache line: the name itself, so that nothing is guessed, and the patterns that matched. It also says how
//! new the newest pattern was then: those added since are matched for that name when it comes again, and a pattern that
//! has gone is known by its place having gone to a newer one. So nothing ever has to be flushed.

use foldhash::fast::RandomState;
use std::hash::BuildHasher;

use crate::limits::MEMO_SLOTS;
use crate::prefetch::prefetch_line;

/// The longest name that is kept, in bytes.
pub const NAME_BYTES_MAX: usize = 36;

/// The most patterns that are kept for a name.
pub const MATCHES_MAX: usize = 4;

/// Word 0: `newest << 16 | matches << 8 | name length`, 0 for a free slot; words 1 and 2: the patterns; then the name,
/// and in the last four bytes its place.
pub type Slot = [u64; 8];

const _: () = assert!(size_of::<Slot>() == 64);

/// Names with the patterns that match them.
pub struct Memo {
    /// A name is in either of the two slots that its hash names. None until there is memory for them.
    slots: Vec<Slot>,
    hasher: RandomState,
    /// Which of two taken slots is given up next.
    turn: usize,
}

/// Free slots in memory that was written once. That takes milliseconds where the system has to find it first, so it is
/// not for the hot path.
pub fn free_slots() -> Vec<Slot> {
    let mut slots = vec![[0; 8]; MEMO_SLOTS];
    for slot in slots.iter_mut().step_by(4096 / size_of::<Slot>()) {
        // Opaque, so that the write is not left out.
        slot[0] = std::hint::black_box(0);
    }
    slots
}

/// A name to be looked up or kept.
pub struct Key {
    words: [u64; 5],
    len: u64,
    /// The first of its two slots.
    at: usize,
}

/// What is known of a name.
pub struct Known {
    /// Where the patterns that match it are kept.
    pub ids: [u32; MATCHES_MAX],
    /// How many there are.
    pub count: usize,
    /// Only patterns up to this one were asked for.
    pub newest: u64,
}

impl Default for Memo {
    fn default() -> Memo {
        Memo::new()
    }
}

impl Memo {
    /// Nothing kept, and no memory to keep it in.
    pub fn new() -> Memo {
        Memo { slots: Vec::new(), hasher: RandomState::default(), turn: 0 }
    }

    /// Gives it memory.
    pub fn set_slots(&mut self, slots: Vec<Slot>) {
        self.slots = slots;
    }

    /// The key of a name that is matched at this place; none where it is too long or empty.
    #[inline]
    pub fn key(&self, place: u32, name: &[u8]) -> Option<Key> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut words = [0; 5];
        for (word, bytes) in words.iter_mut().zip(name.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        words[4] |= u64::from(place) << 32;
        let hash = self.hasher.hash_one(words) as usize;
        Some(Key { words, len: name.len() as u64, at: hash % (MEMO_SLOTS / 2) * 2 })
    }

    /// What is known of it.
    #[inline]
    pub fn get(&self, key: &Key) -> Option<Known> {
        let pair = self.slots.get(key.at..key.at + 2)?;
        let slot = pair.iter().find(|slot| slot[0] & 0xFF == key.len && slot[3..] == key.words)?;
        let ids = [slot[1] as u32, (slot[1] >> 32) as u32, slot[2] as u32, (slot[2] >> 32) as u32];
        Some(Known { ids, count: (slot[0] >> 8 & 0xFF) as usize, newest: slot[0] >> 16 })
    }

    /// Asks for the memory where the key is.
    #[inline]
    pub fn prefetch(&self, key: &Key) {
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

    /// Keeps what matches a name, of the patterns up to `newest`; nothing where they are too many.
    pub fn put(&mut self, key: &Key, ids: &[u32], newest: u64) {
        if ids.len() > MATCHES_MAX {
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
    fn what_was_kept_is_known_and_of_nothing_else_anything() {
        let mut memo = Memo::new();
        memo.set_slots(free_slots());
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
        memo.set_slots(free_slots());
        let key = memo.key(7, b"ab").unwrap();
        memo.put(&key, &[1], 1);
        assert!(memo.get(&memo.key(8, b"ab").unwrap()).is_none(), "another place");
        let longer = Key { len: 3, ..memo.key(7, b"ab").unwrap() };
        assert!(memo.get(&longer).is_none());
    }
}
