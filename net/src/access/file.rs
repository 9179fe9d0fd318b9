//! The file of users: one line for each, `user <name> <rules>`. It is written as a whole, so it has no comments.

use super::catalogue::Catalogue;
use super::rule::merge_selectors;
use super::selector::has_spaces;
use super::user::User;
use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use thiserror::Error;

/// Why a file's users are not taken. The texts are redis-server's.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("Error loading ACLs, opening file '{path}': {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// The cause.
        source: io::Error,
    },
    /// Lines are wrong; each is named.
    #[error("{0}WARNING: ACL errors detected, no change to the previously active ACL rules was performed")]
    Wrong(String),
}

/// Why users are not saved.
#[derive(Debug, Error)]
#[error("the file of users {path} cannot be written: {source}")]
pub struct SaveError {
    path: String,
    source: io::Error,
}

/// The users of a file; their serial numbers are 0.
///
/// # Errors
/// Why it cannot be read, or what is wrong in it.
pub(super) fn read(path: &Path, catalogue: &Catalogue) -> Result<Vec<User>, FileError> {
    let shown = path.display().to_string();
    let text = fs::read(path).map_err(|source| FileError::Unreadable { path: shown.clone(), source })?;
    let (mut users, mut names, mut errors) = (Vec::new(), HashSet::new(), String::new());
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let mut words = line.split(|byte| *byte == b' ');
        let name = match (words.next(), words.next()) {
            (Some(b"user"), Some(name)) => name,
            _ => {
                errors += &format!("{shown}:{number} should start with user keyword followed by the username. ");
                continue;
            }
        };
        if has_spaces(name) {
            let name = name.escape_ascii();
            errors += &format!("'{shown}:{number}: username '{name}' contains invalid characters. ");
        } else if !names.insert(name) {
            errors += &format!("WARNING: Duplicate user '{}' found on line {number}. ", name.escape_ascii());
        } else {
            match merge_selectors(words.map(<[u8]>::trim_ascii)) {
                Err(_) => errors += &format!("{shown}:{number}: Unmatched parenthesis in selector definition."),
                Ok(rules) => {
                    let mut user = User::new(name, 0);
                    for rule in rules {
                        if let Err(error) = user.apply(&rule, catalogue) {
                            errors += &format!("{shown}:{number}: {error}. ");
                        }
                    }
                    users.push(user);
                }
            }
        }
    }
    if errors.is_empty() { Ok(users) } else { Err(FileError::Wrong(errors)) }
}

/// Writes these lines to a new file and puts that in place of the old one, whose permissions it takes over. A file that is
/// the first is readable by its owner only: hashes of passwords can be tried out.
///
/// # Errors
/// Why that fails; the old file is as it was then.
pub(super) fn write(path: &Path, lines: impl Iterator<Item = Vec<u8>>) -> Result<(), SaveError> {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    let new = path.with_added_extension(format!("tmp-{}", std::process::id()));
    let written = replace(path, &new, &text);
    written.map_err(|source| {
        // If it was not even created there is nothing to remove.
        let _ = fs::remove_file(&new);
        SaveError { path: path.display().to_string(), source }
    })
}

fn replace(path: &Path, new: &Path, text: &[u8]) -> io::Result<()> {
    let mode = fs::metadata(path).map_or(0o600, |before| before.permissions().mode() & 0o777);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(new)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    // The name is durable with its directory.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()
}
