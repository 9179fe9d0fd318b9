//! Takes a damaged file out of use by renaming it. Its content stays, for a later analysis.

use crate::log::storage::Storage;
use std::io;
use std::path::{Path, PathBuf};

/// Renames a file to its [`free_name`], and returns the new path.
///
/// # Errors
/// Any error of the file system.
pub(in crate::store) fn set_aside(storage: &dyn Storage, path: &Path) -> io::Result<PathBuf> {
    let to = free_name(path);
    storage.rename(path, &to)?;
    Ok(to)
}

/// `<name>.damaged`, or `<name>.damaged-2` and so on where that name is taken.
pub(in crate::store) fn free_name(path: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(".damaged");
        if number > 1 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    let mut number = 1;
    while name(number).exists() {
        number += 1;
    }
    name(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::storage::{RealStorage, tests::Scratch};

    #[test]
    fn no_file_replaces_one_that_was_set_aside_before() {
        let scratch = Scratch::new();
        let path = scratch.0.join("00000003.segment");
        for (content, name) in [("a", "segment.damaged"), ("b", "segment.damaged-2"), ("c", "segment.damaged-3")] {
            std::fs::write(&path, content).unwrap();
            let to = set_aside(&RealStorage, &path).unwrap();
            assert_eq!(to, path.with_extension(name));
            assert!(!path.exists() && std::fs::read_to_string(to).unwrap() == content);
        }
        assert_eq!(std::fs::read_to_string(path.with_extension("segment.damaged")).unwrap(), "a");
    }
}
