//! The keys that a connection watches: with WATCH, until its next EXEC, DISCARD, UNWATCH or RESET, or its end.

use crate::limits::{WATCHED_KEY_BYTES, WATCHED_KEYS_MAX};
use keytide_engine::account::{Account, OverLimit, Share};
use keytide_engine::shard::Seen;
use keytide_engine::shards::Shards;
use std::collections::HashMap;
use thiserror::Error;

/// The keys that a connection watches.
#[derive(Debug)]
pub struct Watches {
    /// Each with what it was when it was first named.
    keys: HashMap<Box<[u8]>, Seen>,
    /// The memory that they take.
    memory: Share,
    /// Counts the connection among those that watch keys.
    _watcher: Share,
}

/// Why a connection may not watch more keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TooManyWatched {
    /// It would watch more than [`WATCHED_KEYS_MAX`].
    #[error("one client may watch {WATCHED_KEYS_MAX} keys")]
    Keys,
    /// They would take more memory than one client may have, or than is left for all of them.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
}

impl Watches {
    /// No keys. Their memory is counted on `memory`, and that somebody watches keys on `watchers`.
    pub fn new(memory: &Account, watchers: &Account) -> Watches {
        let mut watcher = watchers.share();
        watcher.set(1);
        Watches { keys: HashMap::new(), memory: memory.share(), _watcher: watcher }
    }

    /// Adds keys, each once; `seen` says what one is.
    ///
    /// # Errors
    /// If they are too many. Then none is added.
    pub fn add<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
        mut seen: impl FnMut(&[u8]) -> Seen,
    ) -> Result<(), TooManyWatched> {
        // A key that is named twice is counted twice here: the limit is no less of one.
        let new = keys.clone().filter(|key| !self.keys.contains_key(*key));
        let (count, bytes) = new.fold((0, 0), |(count, bytes), key| (count + 1, bytes + key.len() + WATCHED_KEY_BYTES));
        if self.keys.len() + count > WATCHED_KEYS_MAX {
            return Err(TooManyWatched::Keys);
        }
        self.memory.take_own(bytes as u64)?;
        for key in keys {
            if !self.keys.contains_key(key) {
                self.keys.insert(key.into(), seen(key));
            }
        }
        Ok(())
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.keys().map(|key| &**key)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether any of them has changed. Their shards have to be at hand.
    pub fn have_changed(&self, shards: &mut Shards<'_>) -> bool {
        self.keys.iter().any(|(key, seen)| shards.of(key).has_changed(key, *seen))
    }
}
