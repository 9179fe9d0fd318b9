//! What all cores share of tracking: how many clients track keys, how many keys may be remembered, and the prefixes of those that
//! want all changes.
//!
//! Each core keeps the prefixes as they were when it last looked, and looks anew when their version has changed: the lock is taken
//! by a change of them, and by each core once for it.

use keytide_engine::readers::ReaderId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The prefixes of keys that clients are told of, and who is.
#[derive(Clone, Debug, Default)]
pub struct Prefixes {
    by_prefix: BTreeMap<Box<[u8]>, Arc<Vec<ReaderId>>>,
    /// How many have each length.
    lengths: BTreeMap<usize, usize>,
}

impl Prefixes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_prefix.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// Calls `each` with every prefix of a key, and who is told of it.
    pub fn each_of<'a>(&'a self, key: &[u8], mut each: impl FnMut(&'a [u8], &'a [ReaderId])) {
        for &length in self.lengths.keys().take_while(|length| **length <= key.len()) {
            if let Some((prefix, readers)) = self.by_prefix.get_key_value(&key[..length]) {
                each(prefix, readers);
            }
        }
    }

    fn add(&mut self, prefix: &[u8], reader: ReaderId) {
        let lengths = &mut self.lengths;
        let readers = self.by_prefix.entry(prefix.into()).or_insert_with(|| {
            *lengths.entry(prefix.len()).or_default() += 1;
            Arc::default()
        });
        if let Err(place) = readers.binary_search(&reader) {
            Arc::make_mut(readers).insert(place, reader);
        }
    }

    fn remove(&mut self, prefix: &[u8], reader: ReaderId) {
        let Some(readers) = self.by_prefix.get_mut(prefix) else { return };
        if let Ok(place) = readers.binary_search(&reader) {
            Arc::make_mut(readers).remove(place);
        }
        if readers.is_empty() {
            self.by_prefix.remove(prefix);
            if let Some(count) = self.lengths.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.lengths.remove(&prefix.len());
                }
            }
        }
    }
}

/// What all cores share.
#[derive(Debug)]
pub struct SharedTracking {
    clients: AtomicU64,
    keys_max: AtomicU64,
    prefixes: Mutex<Arc<Prefixes>>,
    /// How often the prefixes were changed.
    version: AtomicU64,
}

impl SharedTracking {
    /// Nobody tracks keys. Of so many they may be told; 0 = no limit.
    pub fn new(keys_max: u64) -> SharedTracking {
        let keys_max = AtomicU64::new(keys_max);
        SharedTracking { clients: AtomicU64::new(0), keys_max, prefixes: Mutex::default(), version: AtomicU64::new(0) }
    }

    /// How many clients track keys.
    #[inline]
    pub fn clients(&self) -> u64 {
        // Relaxed: a number by itself. Who was told that a client tracks has its commands taken up by a core that looks after that.
        self.clients.load(Ordering::Relaxed)
    }

    pub(super) fn count_in(&self) {
        // Relaxed: as above.
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_out(&self) {
        // Relaxed: as above.
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many keys may be remembered as read; 0 = no limit.
    #[inline]
    pub fn keys_max(&self) -> u64 {
        // Relaxed: a number by itself.
        self.keys_max.load(Ordering::Relaxed)
    }

    /// Changes that.
    pub fn set_keys_max(&self, keys_max: u64) {
        // Relaxed: as above.
        self.keys_max.store(keys_max, Ordering::Relaxed);
    }

    /// A number that every change of the prefixes increases.
    #[inline]
    pub fn version(&self) -> u64 {
        // Relaxed: as for `clients`; whoever sees the new number takes the lock, and so sees the new prefixes.
        self.version.load(Ordering::Relaxed)
    }

    /// The prefixes now.
    pub fn prefixes(&self) -> Arc<Prefixes> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Prefixes>> {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add<'p>(&self, reader: ReaderId, prefixes: impl Iterator<Item = &'p [u8]>) {
        self.change(prefixes, |all, prefix| all.add(prefix, reader));
    }

    pub(super) fn remove<'p>(&self, reader: ReaderId, prefixes: impl Iterator<Item = &'p [u8]>) {
        self.change(prefixes, |all, prefix| all.remove(prefix, reader));
    }

    fn change<'p>(&self, prefixes: impl Iterator<Item = &'p [u8]>, change: impl Fn(&mut Prefixes, &[u8])) {
        let mut prefixes = prefixes.peekable();
        if prefixes.peek().is_none() {
            return;
        }
        let mut all = self.lock();
        let changed = Arc::make_mut(&mut all);
        prefixes.for_each(|prefix| change(changed, prefix));
        // Relaxed: as above.
        self.version.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keytide_engine::position::ShardId;

    #[test]
    fn a_key_has_all_prefixes_that_it_begins_with() {
        let shared = SharedTracking::new(0);
        let reader = |number| ReaderId { core: ShardId(0), number };
        let add = |number, prefixes: &[&str]| shared.add(reader(number), prefixes.iter().map(|one| one.as_bytes()));
        add(2, &["", "ab"]);
        add(1, &["a", "ab", "abc", "b"]);
        let of = |key: &str| {
            let mut found = Vec::new();
            shared.prefixes().each_of(key.as_bytes(), |prefix, readers| {
                let numbers: Vec<u64> = readers.iter().map(|reader| reader.number).collect();
                found.push((String::from_utf8_lossy(prefix).into_owned(), numbers));
            });
            found
        };
        let row = |prefix: &str, numbers: &[u64]| (prefix.to_owned(), numbers.to_vec());
        assert_eq!(of("ab"), [row("", &[2]), row("a", &[1]), row("ab", &[1, 2])]);
        assert_eq!((of("x"), shared.prefixes().len(), shared.version()), (vec![row("", &[2])], 5, 2));
        shared.remove(reader(1), ["a", "ab", "abc", "b"].iter().map(|one| one.as_bytes()));
        assert_eq!(of("abc"), [row("", &[2]), row("ab", &[2])]);
        shared.remove(reader(2), ["", "ab"].iter().map(|one| one.as_bytes()));
        let prefixes = shared.prefixes();
        assert!(prefixes.is_empty() && prefixes.lengths.is_empty());
    }
}
