//! Consumer groups on disk: found again at the start, whatever number of cores there was, and written by each core as
//! they change.
//!
//! ```text
//!   DIR/groups/run-00000007/core-0.journal      header, all groups of core 0 at the start, then a frame a turn
//!                           core-1.journal
//!              run-00000008.new/                 a start that did not come to its end: ignored
//! ```
//!
//! A start reads the journals of the latest run, gives each group to the core that keeps it now, writes new journals
//! into a directory of their own, syncs them, and renames that directory: so there is always one whole set, and a crash
//! in between changes nothing. Then older runs are removed.
//!
//! | file | what is in it |
//! |---|---|
//! | `read` | the journals of a run read, and looked at: what is torn, what is damaged |
//! | `repair` | a damaged run made usable |
//! | [`journal`] | one core's journal: written, synced as asked, begun anew when it has grown |
//! | `header` | the first bytes of a journal |
//! | `helper` | the thread that syncs, and writes journals anew |

mod header;
mod helper;
pub mod journal;
mod read;
mod repair;
#[cfg(test)]
mod tests;

pub use journal::GroupJournal;
pub use read::{has_ended, look};
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

/// Where groups are kept, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct GroupStoreOptions<'a> {
    /// The server's directory; groups are in its `groups`.
    pub dir: &'a Path,
    /// When what was written is synced. With [`Fsync::Always`] before the reply, where a group was created, destroyed or
    /// repositioned, or entries were parked or replayed.
    pub fsync: Fsync,
    /// The name of the history, at most 40 bytes. Groups that were written with another one keep none of their
    /// positions.
    pub history_id: &'a str,
    /// The position that the next event gets: no cursor is beyond it.
    pub next: Position,
    /// How many cores there are now.
    pub cores: u16,
    /// What of the journals is surely there.
    pub trust: Trust,
}

/// Why groups cannot be read, or not be written.
#[derive(Debug, Error)]
pub enum GroupStoreError {
    /// The system refused a file.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A journal does not begin as one.
    #[error(
        "{path}: {source}; run `keytide check --repair {}`, restore the file, or move {run} away to start without groups",
        root(.run).display()
    )]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: HeaderError,
        /// The directory of its run.
        run: PathBuf,
    },
    /// A journal is not there.
    #[error(
        "{run}: the journals of {found} of {cores} cores are there; run `keytide check --repair {}`, restore the others, \
         or move the directory away to start without groups",
        root(.run).display()
    )]
    Missing {
        /// The directory of the run.
        run: PathBuf,
        /// How many journals there are.
        found: usize,
        /// How many there were.
        cores: u16,
    },
    /// A journal is not as it was written.
    #[error(
        "{path}: {what} at byte {at}, though {why}; run `keytide check {}`, then `keytide check --repair {0}` to go on without it",
        root(.run).display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
        /// How it is known that this is no torn end.
        why: String,
        /// The directory of its run.
        run: PathBuf,
    },
}

/// The server's directory that a run is in.
fn root(run: &Path) -> &Path {
    run.ancestors().nth(2).unwrap_or(run)
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> GroupStoreError {
    let path = path.to_owned();
    move |source| GroupStoreError::Io { path, source }
}

/// Reads the groups of an earlier run, if there was one, and begins this one's journals. Answers what each core is to
/// keep. Nobody may be served before.
///
/// # Errors
/// A file that cannot be read, or written, or that is not what it should be.
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
        put_away(run, is_whole);
    }
    Ok(groups)
}

/// Looks whether groups can be read, and changes nothing.
///
/// # Errors
/// Why [`open`] would refuse them.
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

/// Writes the journals that a run begins with, all of them or none.
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
        // Under the name that it will have when it is used.
        let path = run.join(file_name(header.core));
        let journal = GroupJournal::new(path, header, file, content.len() as u64, options.fsync, helper.clone());
        groups.push(Groups::new(table, journal));
    }
    sync_directory(&aside).map_err(refused(&aside))?;
    fs::rename(&aside, &run).map_err(refused(&run))?;
    sync_directory(root).map_err(refused(root))?;
    Ok(groups)
}

/// Removes the journals of an earlier run; those that were damaged stay under another name.
fn put_away(run: &Path, is_whole: bool) {
    let done = if is_whole { fs::remove_dir_all(run) } else { fs::rename(run, run.with_extension("damaged")) };
    if let Err(error) = done {
        // The latest run counts, whatever else is there.
        tracing::warn!("{}: {error}", run.display());
    }
}

/// Makes what was created or renamed in a directory outlive the machine.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
