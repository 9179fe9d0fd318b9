//! Lost events: recorded in the directory before readers can miss them, so that positions are not reused and readers get a
//! gap.

use super::error::DirectoryError;
use super::{Directory, LIMIT_STEP, PreviousShutdown, lock_unpoisoned};
use crate::position::Position;
use crate::store::meta::Lost;
use crate::store::recovery::{Trust, Visibility};
use std::ops::Range;

impl Directory {
    /// The ranges of positions whose events may have been lost, in order; they do not touch.
    pub fn lost(&self) -> Vec<Lost> {
        self.meta().lost.clone()
    }

    /// How far the files of the logs are trusted.
    pub fn trust(&self) -> Trust {
        match self.previous_shutdown() {
            PreviousShutdown::Clean => Trust::All,
            PreviousShutdown::None | PreviousShutdown::Killed => Trust::Written,
            PreviousShutdown::SyncedPowerLoss | PreviousShutdown::PowerLoss => Trust::Synced,
        }
    }

    /// Makes the previous shutdown a power loss, for this start and durably for the next one: positions continue at the limit,
    /// and readers get a gap for what is missing before it.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn assume_power_loss(&self) -> Result<(), DirectoryError> {
        self.change(|meta| {
            (meta.clean, meta.fsync_always) = (false, false);
            meta.boot.clear();
        })?;
        *lock_unpoisoned(&self.previous_shutdown) = PreviousShutdown::PowerLoss;
        Ok(())
    }

    /// Records durably that records are about to be cut off a log, so that their positions are not reused. Records that may
    /// have been published make the previous shutdown a power loss.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn note_cut(&self, visibility: Visibility) -> Result<(), DirectoryError> {
        let mut cut = lock_unpoisoned(&self.cut);
        if visibility > *cut {
            match visibility {
                Visibility::None => {}
                // The run begins one step below the limit, or later: at what is the limit now.
                Visibility::Unlikely => self.change(|meta| meta.limit = Position(meta.limit.0 + LIMIT_STEP))?,
                Visibility::Possible => self.assume_power_loss()?,
            }
            *cut = visibility;
        }
        Ok(())
    }

    /// Records that a log has failed: what of it is on the disk is unknown, and readers may have passed positions whose records
    /// are not. The next start treats this run's end as a power loss.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn note_failure(&self) -> Result<(), DirectoryError> {
        self.change(|meta| {
            meta.fsync_always = false;
            meta.boot.clear();
        })
    }

    /// Records that events may have been lost at these positions. Ranges that touch are merged, so that repeating the call
    /// after an interruption changes nothing.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn record_lost(&self, ranges: &[Range<Position>]) -> Result<(), DirectoryError> {
        let lost = || ranges.iter().filter(|range| !range.is_empty());
        match lost().next() {
            Some(_) => {
                self.change(|meta| lost().for_each(|lost| meta.add_lost(Lost { from: lost.start, to: lost.end })))
            }
            None => Ok(()),
        }
    }

    /// Removes the lost ranges that end at or before `first`, the first position that retention keeps.
    ///
    /// # Errors
    /// Any error of the file system.
    pub fn forget_lost_before(&self, first: Position) -> Result<(), DirectoryError> {
        let is_over = |lost: &Lost| lost.to <= first;
        match self.lost().iter().any(is_over) {
            true => self.change(|meta| meta.lost.retain(|lost| !is_over(lost))),
            false => Ok(()),
        }
    }
}
