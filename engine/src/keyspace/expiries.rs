//! The TTLs that a turn has set, until the table knows of them.

/// The number of a shard's keys with a TTL, and what the table does not know of yet: an entry cannot reach the table that
/// it is in. The table knows for each of its lines when the first key expires, see `table/expire.rs`.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    /// The number of keys with a TTL.
    pub(crate) count: usize,
    /// When they end, Unix time in milliseconds, and the keys' hashes.
    noted: Vec<(u64, u64)>,
}

/// So many are noted before a command that the table gets to know them first.
const NOTED_MAX: usize = 1024;

impl Expiries {
    pub(crate) fn note(&mut self, at_ms: u64, hash: u64) {
        self.noted.push((at_ms, hash));
    }

    /// Whether the table has to know of those that were noted before more are.
    #[inline]
    pub(crate) fn has_many(&self) -> bool {
        self.noted.len() >= NOTED_MAX
    }

    /// The earliest of those that the table does not know of.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.noted.iter().map(|row| row.0).min()
    }

    /// Hands out those that were noted.
    #[inline]
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u64, u64)> {
        self.noted.drain(..)
    }

    pub(crate) fn clear(&mut self) {
        self.count = 0;
        self.noted.clear();
    }
}
