//! The snapshot that a shard takes of itself, a slice at a time, between its turns.

use super::Shard;
use crate::position::{Position, RingOffset};
use crate::snapshot::{SnapshotInfo, Taking};
use thiserror::Error;

/// Whether a snapshot has all its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotProgress {
    /// There is more to take.
    More,
    /// All is taken; what is left is [`Shard::finish_snapshot`].
    Done,
}

/// The shard takes a snapshot already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the shard takes a snapshot already")]
pub struct SnapshotRunning;

impl Shard {
    /// Begins a snapshot: its header is put at the end of `out`. `shards` is how many the server has. To be called
    /// between turns, everything committed, as are the slices and the end.
    ///
    /// # Errors
    /// Where one is being taken; there is one at a time.
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

    /// Takes the next entries: their rows are put at the end of `out`, about `max_bytes` of them. An entry is taken
    /// whole, so that a large value, or what was forgotten since the last slice, may be more. Done where no snapshot is
    /// being taken.
    pub fn snapshot_slice(&mut self, out: &mut Vec<u8>, max_bytes: usize) -> SnapshotProgress {
        debug_assert!(!self.turn.is_dirty());
        let Some(taking) = &mut self.taking else { return SnapshotProgress::Done };
        taking.slice(&self.table, out, max_bytes);
        if taking.is_through() { SnapshotProgress::Done } else { SnapshotProgress::More }
    }

    /// Ends a snapshot whose slices are [done](SnapshotProgress::Done): its footer is put at the end of `out`. None,
    /// and nothing happens, where there is no such snapshot.
    pub fn finish_snapshot(&mut self, out: &mut Vec<u8>) -> Option<SnapshotInfo> {
        let (offset, position) = self.committed_end();
        let taking = self.taking.take_if(|taking| taking.is_through())?;
        Some(taking.finish(offset, position, out))
    }

    /// Gives up the snapshot that is being taken, if there is one.
    pub fn abort_snapshot(&mut self) {
        self.taking = None;
    }

    /// Whether a snapshot is being taken.
    pub fn is_taking_snapshot(&self) -> bool {
        self.taking.is_some()
    }

    /// Where the history ends, and the position that every later record has at least.
    fn committed_end(&self) -> (RingOffset, Position) {
        debug_assert!(!self.turn.is_dirty());
        let next = self.published().map_or(self.turn.sequencer().first(), |published| published.next);
        (self.turn.ring_end(), next)
    }
}
