//! Removal of the segments that retention has dropped, oldest first, each only after the one before it is gone. So the
//! segments on the disk are one log without holes at any moment, however often the system refuses to remove a file.

use super::segment::index_path;
use super::storage::Storage;
use super::streams::streams_path;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// Removes a segment's file, after the files derived from it.
///
/// # Errors
/// Any error of the file system but a missing file.
pub(crate) fn remove_segment(storage: &dyn Storage, segment: &Path) -> io::Result<()> {
    remove_derived(storage, segment)?;
    storage.remove(segment)
}

/// Removes the files derived from a segment: its index and its streams.
///
/// # Errors
/// Any error of the file system but a missing file.
pub(crate) fn remove_derived(storage: &dyn Storage, segment: &Path) -> io::Result<()> {
    storage.remove(&index_path(segment))?;
    storage.remove(&streams_path(segment))
}

/// The segments that are still to be removed, in the order in which retention dropped them.
#[derive(Default)]
pub(crate) struct Removal {
    segments: VecDeque<PathBuf>,
    /// Whether the failure to remove the first of them was logged.
    is_logged: bool,
}

impl Removal {
    /// Appends a segment.
    pub fn push(&mut self, segment: &Path) {
        self.segments.push_back(segment.to_owned());
    }

    /// Removes segments until one cannot be removed; that one is tried first at the next call.
    pub fn run(&mut self, storage: &dyn Storage) {
        while let Some(segment) = self.segments.front() {
            if let Err(error) = remove_segment(storage, segment) {
                if !std::mem::replace(&mut self.is_logged, true) {
                    tracing::warn!(path = %segment.display(), %error, "cannot remove a segment that retention has dropped");
                }
                return;
            }
            self.is_logged = false;
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
    fn a_segment_that_cannot_be_removed_holds_back_the_later_ones() {
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
