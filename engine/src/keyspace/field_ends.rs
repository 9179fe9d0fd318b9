//! When the first field of each hash ends whose fields have TTLs: what finds them once that is over. An entry changes its row
//! where it changes; so each such hash has one, and no other key has any.

use std::collections::BTreeSet;

/// See the description of this file.
#[derive(Debug, Default)]
pub(crate) struct FieldEnds {
    /// When the field ends, Unix time in milliseconds, and the hash of the key.
    rows: BTreeSet<(u64, u64)>,
    /// Whether there has been any row: while there has not, no hash has a field with a TTL.
    has_begun: bool,
}

impl FieldEnds {
    /// Whether a hash may have a field with a TTL.
    #[inline]
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Notes that the first end of the fields of a key with this hash is another one.
    pub(crate) fn moved(&mut self, hash: u64, before: Option<u64>, after: Option<u64>) {
        if let Some(at_ms) = before {
            self.rows.remove(&(at_ms, hash));
        }
        if let Some(at_ms) = after {
            self.rows.insert((at_ms, hash));
            self.has_begun = true;
        }
    }

    /// The earliest end of all, Unix time in milliseconds.
    pub(crate) fn first_ms(&self) -> Option<u64> {
        self.rows.first().map(|row| row.0)
    }

    /// The row of the field that has ended first at `now_ms`: when, and the hash of the key.
    pub(crate) fn due(&self, now_ms: u64) -> Option<(u64, u64)> {
        self.rows.first().copied().filter(|row| row.0 <= now_ms)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }
}
