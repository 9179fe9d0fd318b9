//! The numbers that name things: positions, revisions, shards, slots, ring offsets. Each is a type of its own,
//! although each is only an integer, so that one is never taken for another.

use std::fmt;

/// A place in the one order of all events of a server: process-wide, dense over all shards within a run, never reused.
/// Always below 2^53, so that a client that keeps numbers as doubles keeps it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A place in one stream: dense from 0, exclusive to that stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// The index of a shard, from 0. A shard is one core's share of the keys together with its ring; it is not a cluster node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// The byte offset of a record in a shard's history, counted since the shard began and never wrapped: the place in the
/// ring is this number modulo the ring's capacity. Always a multiple of 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingOffset(pub u64);

impl RingOffset {
    /// Stands where a record has no predecessor in its stream.
    pub const NONE: RingOffset = RingOffset(u64::MAX);
}

impl Position {
    /// The first number that is no position: 2^53.
    pub const END: Position = Position(1 << 53);

    /// The position after this one.
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }

    /// The first position of a server that keeps nothing over a restart: microseconds since 2025-01-01 × 16. A cursor
    /// from an earlier run is thus always below every position of this one, for any rate under 16 million events per
    /// second, and is seen as a gap instead of being taken for a new event. Below 2^53 until 2042.
    pub fn first_of_run(unix_micros: u64) -> Position {
        /// 2025-01-01T00:00:00Z in microseconds.
        const EPOCH: u64 = 1_735_689_600_000_000;
        Position(unix_micros.saturating_sub(EPOCH).saturating_mul(16).clamp(1, Position::END.0 / 2))
    }
}

macro_rules! display_number {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_number!(Position, Revision, ShardId, RingOffset);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_start_is_always_beyond_an_earlier_runs_positions() {
        let monday = Position::first_of_run(1_790_000_000_000_000);
        let a_second_later = Position::first_of_run(1_790_000_001_000_000);
        assert_eq!(a_second_later.0 - monday.0, 16_000_000);
        assert!(a_second_later < Position::END);
    }

    #[test]
    fn a_clock_before_the_epoch_still_gives_a_position() {
        assert_eq!(Position::first_of_run(0), Position(1));
    }
}
