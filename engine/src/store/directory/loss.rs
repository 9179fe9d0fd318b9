//! What is lost, or may be: noted in the directory before anybody can miss it, so that its positions do not come again and
//! readers are told.

use super::{Directory, DirectoryError, LIMIT_STEP, Start, held};
use crate::position::Position;
use crate::store::meta::Lost;
use crate::store::recovery::Seen;
use crate::store::recovery::Trust;
use std::ops::Range;

impl Directory {
    /// The ranges of which events may have been lost in power losses, in order, apart from each other.
    pub fn lost(&self) -> Vec<Lost> {
        self.meta().lost.clone()
    }

    /// What of the logs is surely in their files.
    pub fn trust(&self) -> Trust {
        match self.start() {
            Start::Clean => Trust::All,
            Start::New | Start::SameBoot => Trust::Written,
            Start::Synced | Start::PowerLoss => Trust::Synced,
        }
    }

    /// Lets the next start take the run before it for one that lost the power: positions go on at the limit, and what
    /// is missing before it is told to readers.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn expect_loss(&self) -> Result<(), DirectoryError> {
        self.change(|meta| {
            (meta.clean, meta.fsync_always) = (false, false);
            meta.boot.clear();
        })?;
        *held(&self.start) = Start::PowerLoss;
        Ok(())
    }

    /// Notes that something is about to be cut off a log, so that its positions do not come again: durable when this
    /// returns. What can have been seen makes this start one after a power loss.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn note_cut(&self, seen: Seen) -> Result<(), DirectoryError> {
        let mut cut = held(&self.cut);
        if seen > *cut {
            match seen {
                Seen::Never => {}
                // The run begins one step below the limit, or later: where the limit is now.
                Seen::Hardly => self.change(|meta| meta.limit = Position(meta.limit.0 + LIMIT_STEP))?,
                Seen::Maybe => self.expect_loss()?,
            }
            *cut = seen;
        }
        Ok(())
    }

    /// Notes that a log has failed: nobody knows what of it is on the disk, and readers may have passed positions whose
    /// records are not. The next start takes it for a power loss.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn note_failure(&self) -> Result<(), DirectoryError> {
        self.change(|meta| {
            meta.fsync_always = false;
            meta.boot.clear();
        })
    }

    /// Notes that events may have been lost at these positions. Ranges that touch become one, so that saying it again
    /// after an interruption changes nothing.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn record_lost(&self, ranges: &[Range<Position>]) -> Result<(), DirectoryError> {
        let lost = || ranges.iter().filter(|range| !range.is_empty());
        match lost().next() {
            Some(_) => {
                self.change(|meta| lost().for_each(|lost| meta.add_lost(Lost { from: lost.start, to: lost.end })))
            }
            None => Ok(()),
        }
    }

    /// Forgets what retention has passed: lost ranges that end at or before `first`, the first position that is kept.
    /// Older generations are dropped by [`Directory::remove_generation`].
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn forget_lost_before(&self, first: Position) -> Result<(), DirectoryError> {
        let is_over = |lost: &Lost| lost.to <= first;
        match self.lost().iter().any(is_over) {
            true => self.change(|meta| meta.lost.retain(|lost| !is_over(lost))),
            false => Ok(()),
        }
    }
}
