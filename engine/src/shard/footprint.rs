//! What the keys of a shard take: as it is counted, and as a walk finds it.

use super::Shard;
use crate::keyspace::{Footprint, Taken};

impl Shard {
    /// What the keys take, counted where they change.
    #[inline]
    pub fn footprint(&self) -> &Footprint {
        &self.turn.footprint
    }

    /// The same, found by a look at every element of every key.
    pub fn walked_footprint(&self) -> Footprint {
        let mut found = Footprint::default();
        self.table.iter().for_each(|entry| found.add(entry.walked()));
        found.set_allowed(self.turn.footprint.allowed());
        found
    }

    /// What an existing key takes.
    pub fn taken(&mut self, key: &[u8]) -> Option<Taken> {
        let now_ms = self.turn.now_ms();
        self.table.find(self.table.hash(key), key).filter(|entry| entry.is_live(now_ms)).map(|entry| entry.taken())
    }
}
