//! Records by their places, from the rings of all shards: for whoever goes through each ring mostly forwards.

use crate::limits::HISTORY_RUN_BYTES;
use crate::position::{RingOffset, ShardId};
use crate::ring::{Lapped, Record, Ring, RingCursor};

/// A place in each ring, with what was copied from there.
pub(super) struct Lookup {
    places: Vec<Place>,
}

struct Place {
    cursor: RingCursor,
    /// How many bytes the next copy takes.
    run_bytes: usize,
}

/// What is copied for one record alone.
const ALONE_BYTES: usize = 512;

/// A record that lies no further behind what was copied last counts as next to it.
const NEAR_BYTES: u64 = 2048;

impl Lookup {
    pub fn new(rings: &[Ring]) -> Lookup {
        let place = |ring| Place { cursor: RingCursor::new(ring), run_bytes: ALONE_BYTES };
        Lookup { places: rings.iter().map(place).collect() }
    }

    /// The record at a place where one was published.
    ///
    /// # Errors
    /// Where it was overwritten.
    #[inline]
    pub fn get(&mut self, shard: ShardId, offset: RingOffset) -> Result<Record<'_>, Lapped> {
        let Place { cursor, run_bytes } = &mut self.places[shard.0 as usize];
        let run_end = cursor.run_end();
        if offset >= run_end {
            // Where one record after the other is asked for, ever more are copied at once.
            let is_near = offset.0 - run_end.0 <= NEAR_BYTES;
            *run_bytes = if is_near { (*run_bytes * 4).min(HISTORY_RUN_BYTES) } else { ALONE_BYTES };
        }
        match cursor.at(offset, *run_bytes)? {
            Some(record) => Ok(record),
            None => unreachable!("only places of published records are asked for"),
        }
    }
}
