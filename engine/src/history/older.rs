//! An older generation of the history: the shards before `--shards` was changed. Nothing is recorded there any more.

use super::merge::ShardCursor;
use super::shard::ShardHistory;
use crate::interest::Source;
use crate::log::SegmentError;
use crate::position::Position;
use crate::ring::Record;
use std::ops::Range;

/// The histories of the shards of an older generation. Cheap to clone.
#[derive(Clone)]
pub struct OlderHistory {
    /// All events of the generation are before this position, and those of later generations are not.
    pub end: Position,
    /// The history of each of its shards, in their order.
    pub shards: Vec<ShardHistory>,
}

/// An older generation with one core's cursors in it.
pub(super) struct Older {
    pub history: OlderHistory,
    cursors: Vec<ShardCursor>,
}

impl Older {
    pub fn new(history: OlderHistory) -> Older {
        let cursors = ShardCursor::of_all(&history.shards);
        Older { history, cursors }
    }

    /// The shards of this generation that can have events of a source.
    fn shards_of(&self, source: &Source) -> Range<usize> {
        let total = self.history.shards.len();
        match source {
            // A present shard's keys come from all of them.
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

    /// The highest lost position of the shards that can have events of a source.
    pub fn evicted_through(&self, source: &Source) -> Option<Position> {
        self.history.shards[self.shards_of(source)].iter().filter_map(ShardHistory::evicted_through).max()
    }

    /// Closes the files that the cursors hold open. An open file that retention has removed still takes space on the disk.
    pub fn close(&mut self) {
        let shards = self.history.shards.iter();
        self.cursors.iter_mut().zip(shards).for_each(|(cursor, shard)| cursor.close(shard));
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
