//! Positions that a power loss has taken between those that are left.

use super::directory::{Directory, Start};
use super::error::StoreError;
use super::recovery::RecoveryError;
use super::restore::Restored;
use crate::position::{Position, ShardId};
use std::ops::Range;

/// How many ranges of lost positions one power loss is told by, beside the one behind everything that is left. Where
/// there are more, the last one reaches up to the end of all of them: what is there between them is told as lost too.
const LOST_RANGES_MAX: usize = 1_000;

/// Notes what a power loss has taken between what is left, before the run begins: who is interrupted does it again.
pub(super) fn note_lost(directory: &Directory, restored: &[Restored]) -> Result<(), StoreError> {
    if directory.start() != Start::PowerLoss {
        return Ok(());
    }
    let first = directory.current_generation().first;
    Ok(directory.record_lost(&join_beyond(lost_between(restored, first)?, LOST_RANGES_MAX))?)
}

/// So many ranges at the most: those beyond are joined with the last one.
fn join_beyond(mut ranges: Vec<Range<Position>>, max: usize) -> Vec<Range<Position>> {
    let end = ranges.last().map(|last| last.end);
    ranges.truncate(max);
    if let (Some(last), Some(end)) = (ranges.last_mut(), end) {
        last.end = end;
    }
    ranges
}

/// The positions that are missing between those that are there: after a power loss one shard may have lost what came
/// before another's last records. A log loses its end only, so up to the least of the shards' last positions all is there.
/// `first` is where the history begins.
fn lost_between(restored: &[Restored], first: Position) -> Result<Vec<Range<Position>>, StoreError> {
    let after = restored.iter().map(Restored::last).min().unwrap_or_default();
    let mut ranges = Vec::new();
    for (number, shard) in restored.iter().enumerate() {
        let failed = |error: RecoveryError| StoreError::Shard { shard: ShardId(number as u16), source: error.into() };
        ranges.extend(shard.log().positions_behind(after).map_err(failed)?);
    }
    Ok(holes(after.next().max(first), ranges))
}

/// What lies from `from` on before and between ranges, which may overlap.
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
    fn what_is_lost_beyond_so_many_ranges_is_told_by_the_last_of_them() {
        let range = |start, end| Position(start)..Position(end);
        let ranges = vec![range(1, 2), range(4, 5), range(7, 9)];
        assert_eq!(join_beyond(ranges.clone(), 3), ranges);
        assert_eq!(join_beyond(ranges.clone(), 2), [range(1, 2), range(4, 9)]);
        assert_eq!(join_beyond(Vec::new(), 2), []);
    }
}
