//! Segments that retention has taken, on their way off the disk: the oldest first, and none before the one ahead of it is
//! gone. So what is left at any moment is one log without holes, however often the system refuses to remove a file.

use super::segment::index_path;
use super::storage::Storage;
use super::streams::streams_path;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// Removes a segment's file, after what was made from it.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove_segment(storage: &dyn Storage, segment: &Path) -> io::Result<()> {
    remove_made(storage, segment)?;
    storage.remove(segment)
}

/// Removes what was made from a segment and stands beside it.
///
/// # Errors
/// Whatever the system says.
pub(crate) fn remove_made(storage: &dyn Storage, segment: &Path) -> io::Result<()> {
    storage.remove(&index_path(segment))?;
    storage.remove(&streams_path(segment))
}

/// Segments that are still to be removed, in the order in which retention has taken them.
#[derive(Default)]
pub(crate) struct Removal {
    segments: VecDeque<PathBuf>,
    /// Whether it was said that the first of them cannot be removed.
    is_told: bool,
}

impl Removal {
    /// Adds the next segment.
    pub fn push(&mut self, segment: &Path) {
        self.segments.push_back(segment.to_owned());
    }

    /// Removes what can be removed. To be called again.
    pub fn run(&mut self, storage: &dyn Storage) {
        while let Some(segment) = self.segments.front() {
            if let Err(error) = remove_segment(storage, segment) {
                if !std::mem::replace(&mut self.is_told, true) {
                    tracing::warn!(path = %segment.display(), %error, "cannot remove what retention no longer keeps");
                }
                return;
            }
            self.is_told = false;
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::segment::segment_path;
    use super::super::storage::tests::Scratch;
    use super::super::storage::{Prepare, RealStorage};
    use super::*;
    use std::fs;

    #[test]
    fn a_segment_that_cannot_be_removed_keeps_those_behind_it() {
        let scratch = Scratch::new();
        let path = |number| segment_path(&scratch.0, number);
        let mut removal = Removal::default();
        for number in [1, 2, 3] {
            RealStorage.create(&path(number), 4096, Prepare::Allocate).unwrap();
            removal.push(&path(number));
        }
        fs::remove_file(path(2)).unwrap();
        fs::create_dir(path(2)).unwrap();
        (0..2).for_each(|_| removal.run(&RealStorage));
        assert_eq!([1, 2, 3].map(|number| path(number).exists()), [false, true, true]);
        fs::remove_dir(path(2)).unwrap();
        removal.run(&RealStorage);
        assert!(!path(3).exists());
    }
}
