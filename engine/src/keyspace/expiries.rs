//! An ordered set of expiry times, so that keys expire in order and the next expiry is known.

use std::collections::BTreeSet;

/// The TTLs of a shard's keys, by the millisecond in which each ends.
///
/// A key is identified by its hash. Two keys with one hash and one millisecond share a row: the one that is left over
/// is removed when it is next accessed.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    rows: BTreeSet<(u64, u64)>,
}

impl Expiries {
    pub(crate) fn insert(&mut self, at_ms: u64, hash: u64) {
        self.rows.insert((at_ms, hash));
    }

    pub(crate) fn remove(&mut self, at_ms: u64, hash: u64) {
        self.rows.remove(&(at_ms, hash));
    }

    /// Removes and returns the earliest row that is due.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<(u64, u64)> {
        let due = *self.rows.first().filter(|row| row.0 <= now_ms)?;
        self.rows.remove(&due);
        Some(due)
    }

    /// The next expiry, Unix time in milliseconds.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.rows.first().map(|row| row.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }
}
