//! Newtypes for numbers: positions, revisions, shards, ring offsets. All are integers, and none can be mistaken for
//! another.

use crate::clock::{ClockDoubt, Clocks};
use std::fmt;

/// A position in the total order of a server's events: process-wide, dense over all shards within a run, never reused.
/// Always below 2^53, so that clients that keep numbers as doubles keep it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// A position in one stream: dense from 0, exclusive to that stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// The index of a shard, from 0. A shard is one core's share of the keys together with its ring; it is not a cluster node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// The byte offset of a record in a shard's history, counted since the shard began, never wrapping: the place in the
/// ring is this number modulo the ring's capacity. Always a multiple of 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingOffset(pub u64);

/// 2025-01-01T00:00:00Z, in microseconds since 1970: the epoch of positions.
const EPOCH: u64 = 1_735_689_600_000_000;

/// 2026-01-01T00:00:00Z, in microseconds since 1970: no correct clock is earlier, since Keytide did not exist.
pub const EARLIEST: u64 = EPOCH + 365 * 86_400_000_000;

/// A moment in 2042, in microseconds since 1970: later runs would not fit below 2^53.
pub const LATEST: u64 = EPOCH + (Position::END.0 - 2 * RUN_POSITIONS) / 16;

/// The least number of positions of a run, whatever the clock says: at a million events per second they last a year.
pub const RUN_POSITIONS: u64 = 1 << 45;

impl RingOffset {
    /// The back link of a record without a predecessor in its stream.
    pub const NONE: RingOffset = RingOffset(u64::MAX);
}

impl Position {
    /// The first number that is not a position: 2^53.
    pub const END: Position = Position(1 << 53);

    /// The position after this one.
    pub fn next(self) -> Position {
        Position(self.0 + 1)
    }

    /// The first position of a server without persistence: microseconds since 2025-01-01 × 16. So a cursor from an
    /// earlier run is always below every position of this one, for any rate under 16 million events per second, and
    /// leads to a gap instead of being mistaken for a new event.
    ///
    /// That holds unless the clock is set back before the start of an earlier run. An impossible clock is reported and
    /// replaced: before [`EARLIEST`] by that moment, beyond [`LATEST`] by that one, each plus the time since the
    /// system's start, so that runs of one boot still follow each other. The result leaves at least [`RUN_POSITIONS`]
    /// below 2^53.
    pub fn first_of_run(clocks: Clocks) -> (Position, Option<ClockDoubt>) {
        let (micros, doubt) = match clocks.unix_micros {
            unix_micros if unix_micros < EARLIEST => (EARLIEST.saturating_add(clocks.boot_micros), ClockDoubt::Before),
            unix_micros if unix_micros >= LATEST => (LATEST.saturating_add(clocks.boot_micros), ClockDoubt::Beyond),
            unix_micros => return (Position((unix_micros - EPOCH) * 16), None),
        };
        let position = (micros - EPOCH).saturating_mul(16).min(Position::END.0 - RUN_POSITIONS);
        (Position(position), Some(doubt))
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
        let first = |unix_micros| Position::first_of_run(Clocks { unix_micros, boot_micros: 1 });
        let (monday, a_second_later) = (first(1_790_000_000_000_000), first(1_790_000_001_000_000));
        assert_eq!(a_second_later.0.0 - monday.0.0, 16_000_000);
        assert_eq!((monday.1, a_second_later.1), (None, None));
        // In 2041, too: it was once cut off at half the range, in 2033.
        let (a, b) = (first(2_260_000_000_000_000), first(2_260_000_001_000_000));
        assert!(b.0.0 - a.0.0 == 16_000_000 && b.1.is_none() && b.0 < Position::END);
    }

    #[test]
    fn an_impossible_clock_is_reported_and_runs_of_one_boot_follow_each_other() {
        let first = |unix_micros, boot_micros| Position::first_of_run(Clocks { unix_micros, boot_micros });
        for (unix_micros, doubt) in [
            (0, ClockDoubt::Before),
            (EPOCH - 1, ClockDoubt::Before),
            (EARLIEST - 1, ClockDoubt::Before),
            (LATEST, ClockDoubt::Beyond),
            (LATEST * 2, ClockDoubt::Beyond),
            (u64::MAX, ClockDoubt::Beyond),
        ] {
            let (one, told) = first(unix_micros, 60_000_000);
            let (next, _) = first(unix_micros, 61_000_000);
            assert_eq!((told, next.0 - one.0), (Some(doubt), 16_000_000), "{unix_micros}");
            for boot_micros in [0, u64::MAX] {
                let (position, _) = first(unix_micros, boot_micros);
                assert!(position.0 > 0 && position.0 + RUN_POSITIONS <= Position::END.0, "{unix_micros} {boot_micros}");
            }
        }
        let at_the_edges = [first(EARLIEST, 0), first(LATEST - 1, 0)];
        assert!(at_the_edges.iter().all(|(_, doubt)| doubt.is_none()));
        assert!(at_the_edges[1].0.0 + RUN_POSITIONS <= Position::END.0);
    }
}
