//! Who has read which keys of one shard, and is to be told once when such a key changes: clients that cache. Where anybody wants
//! to know of all changes of some keys, the keys that have changed are kept too.
//!
//! A reader is a number on a core. Nothing here knows clients: the shard notes reads and changes, and its core takes what is to be
//! told. A change costs a look-up, and nothing while nobody caches. The table is bounded: for what is beyond its limits other keys
//! are forgotten, and their readers are told as if those had changed.

use crate::limits::{READ_KEY_BYTES, READER_BYTES, READERS_BYTES_MAX, READERS_FORGOTTEN};
use crate::position::ShardId;
use indexmap::IndexMap;
use smallvec::SmallVec;

/// Who reads: a core, and a number on that core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReaderId {
    /// The core.
    pub core: ShardId,
    /// The number there.
    pub number: u64,
}

/// The readers of a key, in ascending order.
pub type KeyReaders = SmallVec<[ReaderId; 1]>;

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// A key has changed, or is forgotten, that these have read. The last is who has changed it, if that one is to be known.
    Key(Box<[u8]>, KeyReaders, Option<ReaderId>),
    /// All keys are gone. It is for everybody who caches.
    Flush,
}

/// Which changes are noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Whether anybody caches: then changes of keys that were read are noted.
    pub of_readers: bool,
    /// Whether anybody wants changes of keys whoever has read them.
    pub of_all: bool,
}

/// Keys by name, each with what it has.
type ByKey<T> = IndexMap<Box<[u8]>, T, foldhash::fast::RandomState>;

/// The readers of the keys of one shard.
#[derive(Debug, Default)]
pub struct Readers {
    wanted: Wanted,
    by_key: ByKey<KeyReaders>,
    /// The readers of all keys.
    items: usize,
    /// What the table takes, about.
    bytes: usize,
    /// How many keys it may have; 0 = no limit.
    keys_max: usize,
    /// Who runs the present command, if that is to be known.
    author: Option<ReaderId>,
    told: Vec<Told>,
    /// The keys that have changed, and who has changed each last.
    changed: ByKey<Option<ReaderId>>,
    rng: fastrand::Rng,
}

impl Readers {
    /// Whether changes are noted.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.wanted.of_readers
    }

    /// Sets what is noted from now on, and how many keys the table may have; 0 = no limit. To be called once a turn: where the table
    /// is beyond that, or nobody caches any more, some keys are forgotten.
    #[inline]
    pub fn want(&mut self, wanted: Wanted, keys_max: usize) {
        self.keys_max = keys_max;
        if !wanted.of_readers && !self.by_key.is_empty() {
            // They have gone, or do not cache any more.
            self.forget_some(true);
            self.told.clear();
        }
        self.wanted = Wanted { of_readers: wanted.of_readers || !self.by_key.is_empty(), ..wanted };
        if self.is_over() {
            self.forget_some(false);
        }
    }

    fn is_over(&self) -> bool {
        self.keys_max > 0 && self.by_key.len() > self.keys_max || self.bytes > READERS_BYTES_MAX
    }

    /// Notes that a key was read.
    pub fn add(&mut self, key: &[u8], reader: ReaderId) {
        self.wanted.of_readers = true;
        let readers = match self.by_key.get_mut(key) {
            Some(readers) => readers,
            None => {
                self.bytes += READ_KEY_BYTES + key.len();
                self.by_key.entry(key.into()).or_default()
            }
        };
        if let Err(place) = readers.binary_search(&reader) {
            readers.insert(place, reader);
            self.items += 1;
            self.bytes += READER_BYTES;
        }
        if self.is_over() {
            self.forget_some(false);
        }
    }

    /// Forgets keys, whichever they are, down to the limits or `all` of them, but no more than is enough for now.
    #[cold]
    fn forget_some(&mut self, all: bool) {
        for _ in 0..READERS_FORGOTTEN {
            if self.by_key.is_empty() || !all && !self.is_over() {
                break;
            }
            let place = self.rng.usize(..self.by_key.len());
            if let Some((key, readers)) = self.by_key.swap_remove_index(place) {
                self.count_out(&key, &readers);
                self.told.push(Told::Key(key, readers, None));
            }
        }
    }

    fn count_out(&mut self, key: &[u8], readers: &KeyReaders) {
        self.items -= readers.len();
        self.bytes -= READ_KEY_BYTES + key.len() + readers.len() * READER_BYTES;
    }

    /// Says who runs what comes next, if that is to be known.
    pub fn set_author(&mut self, author: Option<ReaderId>) {
        self.author = author;
    }

    /// Notes that a key has changed: its readers are told, and have to read it again to be told again.
    pub(crate) fn note_change(&mut self, key: &[u8]) {
        if let Some((key, readers)) = self.by_key.swap_remove_entry(key) {
            self.count_out(&key, &readers);
            self.told.push(Told::Key(key, readers, self.author));
        }
        if self.wanted.of_all {
            match self.changed.get_mut(key) {
                Some(author) => *author = self.author,
                None => _ = self.changed.insert(key.into(), self.author),
            }
        }
    }

    /// Notes that all keys are gone.
    pub(crate) fn note_flush(&mut self) {
        if !self.is_on() {
            return;
        }
        self.by_key = ByKey::default();
        (self.items, self.bytes) = (0, 0);
        if self.told.last() != Some(&Told::Flush) {
            self.told.push(Told::Flush);
        }
    }

    /// Whether anything is to be told.
    #[inline]
    pub fn has_told(&self) -> bool {
        !self.told.is_empty() || !self.changed.is_empty()
    }

    /// Hands on what is to be told, in order.
    pub fn take_told(&mut self, each: impl FnMut(Told)) {
        self.told.drain(..).for_each(each);
        self.told.shrink_to(READERS_FORGOTTEN);
    }

    /// Hands on the keys that have changed, each with who has changed it last, if that is to be known.
    pub fn take_changed(&mut self) -> impl Iterator<Item = (Box<[u8]>, Option<ReaderId>)> + use<> {
        std::mem::take(&mut self.changed).into_iter()
    }

    /// How many keys and how many readers of keys there are.
    pub fn sizes(&self) -> (usize, usize) {
        (self.by_key.len(), self.items)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn reader(number: u64) -> ReaderId {
        ReaderId { core: ShardId(0), number }
    }

    fn told(readers: &mut Readers) -> Vec<(String, Vec<u64>, Option<u64>)> {
        let mut found = Vec::new();
        readers.take_told(|told| match told {
            Told::Key(key, readers, author) => {
                let numbers = readers.iter().map(|reader| reader.number).collect();
                found.push((String::from_utf8_lossy(&key).into_owned(), numbers, author.map(|author| author.number)));
            }
            Told::Flush => found.push(("".to_owned(), Vec::new(), None)),
        });
        found
    }

    #[test]
    fn who_has_read_a_key_is_told_once() {
        let mut readers = Readers::default();
        readers.note_change(b"k");
        assert!(!readers.has_told() && !readers.is_on());
        for number in [3, 1, 3] {
            readers.add(b"k", reader(number));
        }
        readers.add(b"l", reader(1));
        assert_eq!((readers.sizes(), readers.is_on()), ((2, 3), true));
        readers.set_author(Some(reader(9)));
        readers.note_change(b"k");
        readers.set_author(None);
        readers.note_change(b"k");
        assert_eq!(told(&mut readers), [("k".to_owned(), vec![1, 3], Some(9))]);
        readers.note_flush();
        readers.note_flush();
        readers.note_change(b"l");
        assert_eq!(told(&mut readers).len(), 1);
        assert_eq!(readers.sizes(), (0, 0));
    }

    #[test]
    fn keys_beyond_the_limit_are_forgotten_and_told() {
        let mut readers = Readers::default();
        readers.want(Wanted { of_readers: true, of_all: false }, 10);
        for key in 0..100_u8 {
            readers.add(&[key], reader(1));
            assert!(readers.sizes().0 <= 10);
        }
        let forgotten: BTreeSet<String> = told(&mut readers).into_iter().map(|(key, _, _)| key).collect();
        assert_eq!(forgotten.len(), 90);
        readers.want(Wanted { of_readers: true, of_all: false }, 3);
        assert_eq!(readers.sizes(), (3, 3));
        // Without anybody who caches, all of it goes.
        readers.want(Wanted::default(), 3);
        readers.want(Wanted::default(), 3);
        assert!(readers.sizes() == (0, 0) && !readers.is_on() && !readers.has_told() && readers.bytes == 0);
    }

    #[test]
    fn changed_keys_have_their_last_author() {
        let mut readers = Readers::default();
        readers.want(Wanted { of_readers: true, of_all: true }, 0);
        readers.set_author(Some(reader(7)));
        readers.note_change(b"a");
        readers.note_change(b"b");
        readers.set_author(None);
        readers.note_change(b"a");
        let changed: Vec<_> = readers.take_changed().collect();
        assert_eq!(changed, [((*b"a").into(), None), ((*b"b").into(), Some(reader(7)))]);
        assert!(!readers.has_told());
    }

    proptest! {
        #[test]
        fn every_change_is_told_to_all_who_have_read_since_they_were_last_told(
            // A key; and its reader, or none where it changes.
            steps in proptest::collection::vec((0u8..6, proptest::option::of(0u64..4)), 0..100),
            keys_max in 0usize..6,
        ) {
            let (mut readers, mut caches) = (Readers::default(), BTreeMap::<u8, BTreeSet<u64>>::new());
            readers.want(Wanted { of_readers: true, of_all: false }, keys_max);
            for (key, step) in steps {
                match step {
                    Some(number) => {
                        readers.add(&[key], reader(number));
                        caches.entry(key).or_default().insert(number);
                    }
                    None => readers.note_change(&[key]),
                }
                let changed = step.is_none().then_some(key);
                readers.take_told(|told| {
                    let Told::Key(key, readers, _) = told else { return };
                    for reader in readers {
                        assert!(caches.get_mut(&key[0]).is_some_and(|cached| cached.remove(&reader.number)));
                    }
                });
                if let Some(cached) = changed.and_then(|key| caches.get(&key)) {
                    prop_assert!(cached.is_empty());
                }
                prop_assert_eq!(readers.items, caches.values().map(BTreeSet::len).sum::<usize>());
            }
        }
    }
}
