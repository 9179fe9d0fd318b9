//! All live interests of one shard, to be asked once per record.

use crate::position::ShardId;
use crate::ring::Record;
use crate::subscription::Interest;
use std::sync::Arc;

/// The live interests of one shard.
pub struct Matcher {
    shard: ShardId,
    interests: Vec<(u32, Arc<Interest>)>,
}

impl Matcher {
    /// Without an interest.
    pub fn new(shard: ShardId) -> Matcher {
        Matcher { shard, interests: Vec::new() }
    }

    /// Adds one.
    pub fn add(&mut self, number: u32, interest: Arc<Interest>) {
        self.interests.push((number, interest));
    }

    /// Removes one.
    pub fn remove(&mut self, number: u32) {
        self.interests.retain(|row| row.0 != number);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.interests.is_empty()
    }

    /// Those that want a record.
    pub fn find(&mut self, record: &Record<'_>, found: &mut Vec<u32>) {
        found.clear();
        found.extend(self.interests.iter().filter(|row| row.1.wants(record, self.shard)).map(|row| row.0));
    }

    /// Ends a turn.
    pub fn end_turn(&mut self, _demoted: &mut Vec<u32>) {}
}
