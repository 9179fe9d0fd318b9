//! The positions whose events a power loss has lost.

use super::directory::{Directory, PreviousShutdown};
use super::error::StoreError;
use super::recovery::RecoveryError;
use super::restore::RestoredShard;
use crate::position::{Position, ShardId};
use std::ops::Range;

/// The most ranges of lost positions that are recorded for one power loss, beside the one behind all recovered records. Where
/// there are more, the last range extends to the end of all of them, and what is left in between counts as lost.
const LOST_RANGES_MAX: usize = 1_000;

/// Records the positions that a power loss has lost between recovered records. Done before the run begins, so that an
/// interrupted start repeats it.
pub(super) fn note_lost(directory: &Directory, restored: &[RestoredShard]) -> Result<(), StoreError> {
    if directory.previous_shutdown() != PreviousShutdown::PowerLoss {
        return Ok(());
    }
    let first = directory.current_generation().first;
    Ok(directory.record_lost(&join_beyond(lost_between(restored, first)?, LOST_RANGES_MAX))?)
}

/// Limits the number of ranges to `max` by merging all further ones into the last.
fn join_beyond(mut ranges: Vec<Range<Position>>, max: usize) -> Vec<Range<Position>> {
    let end = ranges.last().map(|last| last.end);
    ranges.truncate(max);
    if let (Some(last), Some(end)) = (ranges.last_mut(), end) {
        last.end = end;
    }
    ranges
}

/// The missing positions between those that were recovered: after a power loss one shard may have lost records that precede
/// another shard's last ones. A log loses only its end, so everything up to the lowest of the shards' last positions is
/// there. `first` is the first position of the generation.
fn lost_between(restored: &[RestoredShard], first: Position) -> Result<Vec<Range<Position>>, StoreError> {
    let after = restored.iter().map(RestoredShard::last).min().unwrap_or_default();
    let mut ranges = Vec::new();
    for (number, shard) in restored.iter().enumerate() {
        let failed = |error: RecoveryError| StoreError::Shard { shard: ShardId(number as u16), source: error.into() };
        ranges.extend(shard.log().positions_after(after).map_err(failed)?);
    }
    Ok(holes(after.next().max(first), ranges))
}

/// The holes before and between ranges, from `from` on. The ranges may overlap, in any order.
pub(super) fn holes(from: Position, mut ranges: Vec<Range<Position>>) -> Vec<Range<Position>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut holes, mut end) = (Vec::new(), from);
    for range in ranges {
        if range.start > end {
            holes.push(end..range.start);
        }
        end = end.max(range.end);
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_what_no_range_covers() {
        let range = |start, end| Position(start)..Position(end);
        let ranges = vec![range(30, 40), range(5, 10), range(10, 12), range(8, 11), range(35, 36)];
        assert_eq!(holes(Position(5), ranges.clone()), [range(12, 30)]);
        assert_eq!(holes(Position(3), ranges), [range(3, 5), range(12, 30)]);
        assert_eq!(holes(Position(3), Vec::new()), []);
    }

    #[test]
    fn ranges_beyond_the_maximum_are_merged_into_the_last() {
        let range = |start, end| Position(start)..Position(end);
        let ranges = vec![range(1, 2), range(4, 5), range(7, 9)];
        assert_eq!(join_beyond(ranges.clone(), 3), ranges);
        assert_eq!(join_beyond(ranges.clone(), 2), [range(1, 2), range(4, 9)]);
        assert_eq!(join_beyond(Vec::new(), 2), []);
    }
}
