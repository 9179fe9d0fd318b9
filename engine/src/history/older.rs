//! The history from before `--shards` was changed: shards of another number, which nothing is recorded to any more.

use super::merge::ShardCursor;
use super::shard::ShardHistory;
use crate::interest::Source;
use crate::log::SegmentError;
use crate::position::Position;
use crate::ring::Record;
use std::ops::Range;

/// The histories of shards of another number, from one position to another. Cheap to clone.
#[derive(Clone)]
pub struct OlderHistory {
    /// Every event of it is before this position, and every later event is not.
    pub end: Position,
    /// The history of each of its shards, in their order.
    pub shards: Vec<ShardHistory>,
}

/// The same, as one core reads it.
pub(super) struct Older {
    pub history: OlderHistory,
    cursors: Vec<ShardCursor>,
}

impl Older {
    pub fn new(history: OlderHistory) -> Older {
        let cursors = ShardCursor::of_all(&history.shards);
        Older { history, cursors }
    }

    /// The shards, of those that there were, that can have something of a source.
    fn shards_of(&self, source: &Source) -> Range<usize> {
        let total = self.history.shards.len();
        match source {
            // The shards that there are now were made of all of them.
            Source::Shard(_) => 0..total,
            Source::All | Source::Stream(_) | Source::Category(_) | Source::Type(_) | Source::Streams => {
                let shards = source.shards(total as u16);
                shards.start as usize..shards.end as usize
            }
        }
    }

    pub fn cursors_of(&mut self, source: &Source) -> &mut [ShardCursor] {
        let shards = self.shards_of(source);
        &mut self.cursors[shards]
    }

    /// The highest position that any of the shards which can have something of a source has lost.
    pub fn evicted_through(&self, source: &Source) -> Option<Position> {
        self.history.shards[self.shards_of(source)].iter().filter_map(ShardHistory::evicted_through).max()
    }

    /// Closes the files that the cursors hold open: retention may have taken them, and then the disk still has them.
    pub fn rest(&mut self) {
        let shards = self.history.shards.iter();
        self.cursors.iter_mut().zip(shards).for_each(|(cursor, shard)| cursor.rest(shard));
    }

    /// Visits the record at a position, if it is still there.
    pub fn visit_at<T>(
        &mut self,
        position: Position,
        visit: impl FnOnce(&Record<'_>) -> T,
    ) -> Result<Option<T>, SegmentError> {
        for cursor in &mut self.cursors {
            if cursor.find(position)?.is_some() {
                return Ok(cursor.place.peek().map(|record| visit(&record)));
            }
        }
        Ok(None)
    }
}
