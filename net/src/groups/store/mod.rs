//! Consumer groups on disk. Each core writes the changes of its groups, and a start reads all groups, whatever the number of
//! cores was.
//!
//! ```text
//!   DIR/groups/run-00000007/core-0.journal      header, all groups of core 0 at the start, then a frame a turn
//!                           core-1.journal
//!              run-00000008.new/                 of an interrupted start: ignored
//! ```
//!
//! A start reads the journals of the latest run, assigns each group to a core, writes new journals into a new directory,
//! syncs them, and renames that directory. So there is always one complete set, and a crash in between changes nothing. Then
//! older runs are removed.
//!
//! | file | what is in it |
//! |---|---|
//! | `read` | reads the journals of a run; distinguishes a torn end from damage |
//! | `repair` | repairs a damaged run |
//! | [`journal`] | writes, syncs and rewrites one core's journal |
//! | `header` | the header of a journal |
//! | `helper` | the thread that syncs journals and writes new ones |

mod header;
mod helper;
pub mod journal;
mod read;
mod repair;
#[cfg(test)]
mod tests;

pub use journal::GroupJournal;
pub use read::{find_problems, has_ended};
pub use repair::repair;

use crate::groups::{Groups, core_of};
use header::{Header, HeaderError};
use helper::Helper;
use journal::file_name;
use keytide_engine::clock;
use keytide_engine::group::GroupTable;
use keytide_engine::log::Fsync;
use keytide_engine::position::Position;
use keytide_engine::store::recovery::Trust;
use read::read_run;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// How groups are read and written.
#[derive(Clone, Copy, Debug)]
pub struct GroupStoreOptions<'a> {
    /// The server's directory; groups are in its `groups`.
    pub dir: &'a Path,
    /// When changes are synced. With [`Fsync::Always`], the creation, destruction or repositioning of a group and the parking
    /// or replay of entries are synced before the reply.
    pub fsync: Fsync,
    /// The name of the history, at most 40 bytes. Groups of another history lose their positions.
    pub history_id: &'a str,
    /// The position of the next event: cursors beyond it are set back.
    pub next: Position,
    /// The present number of cores.
    pub cores: u16,
    /// How much of the journals must be on the disk, by how the previous run ended.
    pub trust: Trust,
}

/// Why groups cannot be read or written.
#[derive(Debug, Error)]
pub enum GroupStoreError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The header of a journal is invalid.
    #[error(
        "{path}: {source}; run `keytide check --repair {}`, restore the file, or move {run} away to start without groups",
        root(.run).display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// The error of the header.
        source: HeaderError,
        /// The directory of its run.
        run: PathBuf,
    },
    /// A journal is missing.
    #[error(
        "{run}: has the journals of only {found} of {cores} cores; run `keytide check --repair {}`, restore the others, \
         or move the directory away to start without groups",
        root(.run).display()
    )]
    Missing {
        /// The directory of the run.
        run: PathBuf,
        /// The number of journals found.
        found: usize,
        /// The number of cores of that run.
        cores: u16,
    },
    /// A journal is damaged.
    #[error(
        "{path}: {what} at byte {at}, though {why}; run `keytide check {}`, then `keytide check --repair {0}` to continue without it",
        root(.run).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The kind of damage.
        what: &'static str,
        /// The byte of the file.
        at: usize,
        /// The evidence that it is not a torn end.
        why: String,
        /// The directory of its run.
        run: PathBuf,
    },
}

/// The server's directory of a run.
fn root(run: &Path) -> &Path {
    run.ancestors().nth(2).unwrap_or(run)
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> GroupStoreError {
    let path = path.to_owned();
    move |source| GroupStoreError::Io { path, source }
}

/// Reads the groups of the previous run, if there was one, and begins the journals of this run. Returns the groups of each
/// core. To be called before any client is served.
///
/// # Errors
/// Where a file cannot be read or written, or a journal is damaged.
pub fn open(options: &GroupStoreOptions<'_>) -> Result<Vec<Groups>, GroupStoreError> {
    let root = options.dir.join("groups");
    fs::create_dir_all(&root).map_err(refused(&root))?;
    let runs = runs(&root)?;
    let (mut rest, mut is_whole) = (GroupTable::default(), true);
    if let Some((_, latest)) = runs.last() {
        let read = read_run(latest, Some(options.history_id), options.trust)?;
        read.torn.iter().for_each(|(path, torn)| tracing::warn!("{}: {torn}", path.display()));
        (rest, is_whole) = (read.groups, read.torn.is_empty());
    }
    rest.cap_cursors(options.next);
    rest.bound_times(clock::steady_millis());
    let number = runs.last().map_or(1, |(number, _)| number + 1);
    let groups = begin_run(&root, number, rest, options)?;
    for (_, run) in &runs {
        retire(run, is_whole);
    }
    Ok(groups)
}

/// Checks whether [`open`] could read the groups. Changes nothing.
///
/// # Errors
/// As [`open`].
pub fn check(dir: &Path, trust: Trust) -> Result<(), GroupStoreError> {
    match runs(&dir.join("groups"))?.last() {
        Some((_, latest)) => read_run(latest, None, trust).map(drop),
        None => Ok(()),
    }
}

/// The directories of earlier runs with their numbers, the latest last.
fn runs(root: &Path) -> Result<Vec<(u64, PathBuf)>, GroupStoreError> {
    let mut runs = Vec::new();
    for entry in fs::read_dir(root).map_err(refused(root))? {
        let path = entry.map_err(refused(root))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(number) = name.strip_prefix("run-").and_then(|number| number.parse().ok()) {
            runs.push((number, path));
        }
    }
    runs.sort();
    Ok(runs)
}

/// Writes the first journals of a run, all of them or none.
fn begin_run(
    root: &Path,
    number: u64,
    mut rest: GroupTable,
    options: &GroupStoreOptions<'_>,
) -> Result<Vec<Groups>, GroupStoreError> {
    let (run, aside) = (root.join(format!("run-{number:08}")), root.join(format!("run-{number:08}.new")));
    match fs::remove_dir_all(&aside) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(refused(&aside)(source)),
        _ => {}
    }
    fs::create_dir(&aside).map_err(refused(&aside))?;
    let helper = Helper::start().map_err(refused(root))?;
    let mut groups = Vec::new();
    for core in 0..options.cores {
        let mut table = GroupTable::default();
        rest = table.take_matching(rest, |key, name| core_of(key, name, options.cores).0 == core);
        let header = Header::new(core, options.cores, options.history_id);
        let path = aside.join(file_name(header.core));
        let content = journal::content(&header, &table).map_err(refused(&path))?;
        let file = helper::write_file(&path, &content).map_err(refused(&path))?;
        table.start_journal();
        // The directory is renamed before the journal is used.
        let path = run.join(file_name(header.core));
        let journal = GroupJournal::new(path, header, file, content.len() as u64, options.fsync, helper.clone());
        groups.push(Groups::new(table, journal));
    }
    sync_directory(&aside).map_err(refused(&aside))?;
    fs::rename(&aside, &run).map_err(refused(&run))?;
    sync_directory(root).map_err(refused(root))?;
    Ok(groups)
}

/// Removes the journals of an earlier run; keeps damaged ones under another name.
fn retire(run: &Path, is_whole: bool) {
    let done = if is_whole { fs::remove_dir_all(run) } else { fs::rename(run, run.with_extension("damaged")) };
    if let Err(error) = done {
        // Harmless: a start reads the latest run only.
        tracing::warn!("{}: {error}", run.display());
    }
}

/// Syncs a directory, so that created and renamed files in it survive a power loss.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
