//! A shard's snapshot of itself, taken a slice at a time between its turns.

use super::Shard;
use crate::position::{Position, RingOffset};
use crate::snapshot::{SnapshotInfo, Taking};
use thiserror::Error;

/// Whether a snapshot has all its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotProgress {
    /// There are more entries.
    More,
    /// All entries are done; [`Shard::finish_snapshot`] is left.
    Done,
}

/// The shard is already taking a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the shard takes a snapshot already")]
pub struct SnapshotRunning;

impl Shard {
    /// Starts a snapshot: appends its header to `out`. `shards` is the server's number of shards. To be called between
    /// turns, with everything committed, like the slices and the end.
    ///
    /// # Errors
    /// If one is in progress; there is one at a time.
    pub fn begin_snapshot(&mut self, shards: u16, out: &mut Vec<u8>) -> Result<(), SnapshotRunning> {
        if self.taking.is_some() {
            return Err(SnapshotRunning);
        }
        let (offset, position) = self.committed_end();
        let (db_next_revision, db_last) = self.turn.db_stream();
        let info = SnapshotInfo {
            shard: self.id,
            shards,
            start: offset,
            start_position: position,
            end: offset,
            end_position: position,
            db_next_revision,
            db_last,
            rows: 0,
        };
        self.taking = Some(Box::new(Taking::begin(info, out)));
        Ok(())
    }

    /// Appends the rows of the next entries to `out`, about `max_bytes` of them. An entry is never divided, so a large
    /// value, or entries forgotten since the last slice, may exceed that. [`Done`](SnapshotProgress::Done) if there is
    /// no snapshot in progress.
    pub fn snapshot_slice(&mut self, out: &mut Vec<u8>, max_bytes: usize) -> SnapshotProgress {
        debug_assert!(!self.turn.is_dirty());
        let Some(taking) = &mut self.taking else { return SnapshotProgress::Done };
        // What the table gets of a flush could be behind the cursor: the snapshot goes on once it has all of it.
        if !taking.is_complete() && !self.flushed.is_empty() {
            return SnapshotProgress::More;
        }
        taking.slice(&self.table, out, max_bytes);
        if taking.is_complete() { SnapshotProgress::Done } else { SnapshotProgress::More }
    }

    /// Ends a snapshot whose slices are [done](SnapshotProgress::Done): appends its footer to `out`. Does nothing and
    /// returns `None` if there is no such snapshot.
    pub fn finish_snapshot(&mut self, out: &mut Vec<u8>) -> Option<SnapshotInfo> {
        let (offset, position) = self.committed_end();
        let taking = self.taking.take_if(|taking| taking.is_complete())?;
        Some(taking.finish(offset, position, out))
    }

    /// Abandons the snapshot in progress, if any.
    pub fn abort_snapshot(&mut self) {
        self.taking = None;
    }

    /// Whether a snapshot is in progress.
    pub fn is_taking_snapshot(&self) -> bool {
        self.taking.is_some()
    }

    /// The end of the history, and the least position of all later records.
    fn committed_end(&self) -> (RingOffset, Position) {
        debug_assert!(!self.turn.is_dirty());
        let next = self.published().map_or(self.turn.sequencer().first(), |published| published.next);
        (self.turn.ring_end(), next)
    }
}
