//! The total order over all shards: positions assigned in blocks, and the frontier below which everything is published.
//!
//! A shard, once per turn: (S1) stores a lower bound of the positions that it is about to get as its *reserving mark*;
//! (S2) takes a block with `fetch_add`; stamps its records and publishes its tail; (S3) clears the mark. A reader: (F1)
//! loads the sequencer; (F2) then all marks. The minimum of these is the frontier.
//!
//! # Why everything below the frontier is published
//!
//! Let `F` be a reader's frontier and `p < F` a position handed out to shard `s` in block `B`. F1 loaded a value of at
//! least `F`, so it read S2 of `B` or a later `fetch_add`; those are all read-modify-writes, so the release sequence of
//! `B`'s S2 is unbroken, and S1 of `B` happened before F2. So F2 sees, of shard `s`, one of three:
//!
//! * the mark of `B`'s own turn. It was read from the sequencer before S2 added to it, so it is at most `p`: then
//!   `F <= p`. A contradiction.
//! * the mark cleared after that turn, or moved on beyond `B`. That store is a release after the tail was published,
//!   F2 acquires it: `p` is published, and whoever loads the tail next sees it.
//! * a mark of a later turn. Marks are stored with release too, after the earlier turn was published: as before.
//!
//! The bound in S1 may be older than necessary (another shard adds in between): then the frontier is lower for that
//! turn, which is safe. For the same reason a later frontier may be lower than an earlier one: a reader keeps the
//! greatest it has seen. An idle shard never holds the frontier back.

use crate::position::{Position, ShardId};
use crate::sync::{AtomicU64, CachePadded, Ordering};
use std::ops::Range;

/// The mark of a shard that is not between reserving and publishing.
const CLEAR: u64 = u64::MAX;

/// Assigns positions to shards and knows how far all of them have published. Shared by all cores.
#[derive(Debug)]
pub struct Sequencer {
    first: Position,
    lost: Box<[Range<Position>]>,
    next: CachePadded<AtomicU64>,
    marks: Box<[CachePadded<AtomicU64>]>,
}

impl Sequencer {
    /// A sequencer for `shards` shards whose first position is `first`.
    pub fn new(first: Position, shards: usize) -> Sequencer {
        Sequencer::resumed(first, &[], first, shards)
    }

    /// A sequencer of a history that began at `first` and continues at `next`. The events at the positions in `lost`,
    /// disjoint ranges in order, were destroyed by power losses.
    pub fn resumed(first: Position, lost: &[Range<Position>], next: Position, shards: usize) -> Sequencer {
        let marks = (0..shards).map(|_| CachePadded::new(AtomicU64::new(CLEAR))).collect();
        Sequencer { first, lost: lost.into(), next: CachePadded::new(AtomicU64::new(next.0)), marks }
    }

    /// The first range of lost positions that ends behind `position`.
    pub fn lost_from(&self, position: Position) -> Option<&Range<Position>> {
        self.lost.get(self.lost.partition_point(|lost| lost.end <= position))
    }

    /// The last position of the last lost range that ends before `position`.
    pub fn lost_before(&self, position: Position) -> Option<Position> {
        let before = self.lost.partition_point(|lost| lost.end <= position);
        before.checked_sub(1).map(|last| Position(self.lost[last].end.0 - 1))
    }

    /// The first position of this history; if it is in memory only, of this run.
    pub fn first(&self) -> Position {
        self.first
    }

    /// Reserves `count` consecutive positions for `shard` and returns the first. Only that shard's core may call it,
    /// with [`Sequencer::clear`] once the records are published; on a second call before that, the first call's mark
    /// stays.
    ///
    /// Positions beyond [`Position::END`] (2^53) are not refused: they stay dense and in order, and only clients that
    /// keep numbers as doubles lose exactness. Panics if the shard does not exist.
    pub fn reserve(&self, shard: ShardId, count: u64) -> Position {
        let mark = &self.marks[shard.0 as usize];
        // Relaxed: only this core stores to this mark.
        if mark.load(Ordering::Relaxed) == CLEAR {
            // Relaxed: any earlier value of the sequencer is a lower bound of what `fetch_add` will return.
            let bound = self.next.load(Ordering::Relaxed);
            // S1. Release, paired with the acquire in `frontier`: a reader that sees this mark instead of the clear
            // before it sees the previous turn as published too.
            mark.store(bound, Ordering::Release);
        }
        // S2. Release, paired with the acquire of the sequencer in `frontier`: a reader that sees these positions as
        // reserved sees the mark. It acquires nothing: what others published does not matter to this shard.
        Position(self.next.fetch_add(count, Ordering::Release))
    }

    /// Clears the mark, after the shard has published everything that it reserved.
    pub fn clear(&self, shard: ShardId) {
        // S3. Release, paired with the acquire in `frontier`: a reader that sees the mark cleared sees the published
        // tail.
        self.marks[shard.0 as usize].store(CLEAR, Ordering::Release);
    }

    /// Moves the mark, after the shard has published everything that it reserved before `oldest`, while a later turn's
    /// block that starts at `oldest` still waits (for a sync): as [`Sequencer::clear`], but for the earlier turn only.
    pub fn advance(&self, shard: ShardId, oldest: Position) {
        // S3, as in `clear`. The mark is a lower bound of the later block, as S1 would have stored it.
        self.marks[shard.0 as usize].store(oldest.0, Ordering::Release);
    }

    /// The next position to be assigned. Everything below it was assigned, but not all of it is published.
    pub fn next(&self) -> Position {
        // Relaxed: a number to display or compare; no other read depends on it.
        Position(self.next.load(Ordering::Relaxed))
    }

    /// A position below which everything is published: a thread that loads a shard's tail after this call finds it
    /// there.
    pub fn frontier(&self) -> Position {
        // F1. Acquire, paired with the release of the `fetch_add`s: see the module docs.
        let next = self.next.load(Ordering::Acquire);
        // F2. Acquire, paired with the release stores of the marks.
        let frontier = self.marks.iter().map(|mark| mark.load(Ordering::Acquire)).fold(next, u64::min);
        Position(frontier)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ONE: ShardId = ShardId(0);
    const OTHER: ShardId = ShardId(1);

    #[test]
    fn blocks_are_dense_over_all_shards() {
        let sequencer = Sequencer::new(Position(100), 2);
        assert_eq!(sequencer.first(), Position(100));
        assert_eq!(sequencer.reserve(ONE, 3), Position(100));
        assert_eq!(sequencer.reserve(OTHER, 1), Position(103));
        assert_eq!(sequencer.reserve(ONE, 2), Position(104));
        assert_eq!(sequencer.next(), Position(106));
    }

    #[test]
    fn the_frontier_waits_for_the_slowest_shard_and_for_no_idle_one() {
        let sequencer = Sequencer::new(Position(1), 3);
        assert_eq!(sequencer.frontier(), Position(1));
        sequencer.reserve(ONE, 5);
        sequencer.reserve(OTHER, 5);
        assert_eq!(sequencer.frontier(), Position(1));
        sequencer.clear(ONE);
        assert_eq!(sequencer.frontier(), Position(6));
        sequencer.clear(OTHER);
        assert_eq!(sequencer.frontier(), Position(11));
    }

    #[test]
    fn a_second_block_of_the_same_turn_keeps_the_first_mark() {
        let sequencer = Sequencer::new(Position(1), 1);
        sequencer.reserve(ONE, 1);
        sequencer.reserve(ONE, 1);
        assert_eq!(sequencer.frontier(), Position(1));
    }

    #[test]
    fn the_frontier_passes_a_published_turn_while_the_next_one_waits() {
        let sequencer = Sequencer::new(Position(1), 1);
        sequencer.reserve(ONE, 4);
        let second = sequencer.reserve(ONE, 4);
        sequencer.advance(ONE, second);
        assert_eq!(sequencer.frontier(), Position(5));
        sequencer.clear(ONE);
        assert_eq!(sequencer.frontier(), Position(9));
    }
}
