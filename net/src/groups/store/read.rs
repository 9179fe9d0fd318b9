//! Reads the journals of a run. Whether an invalid frame is a torn end, which is allowed, or damage depends on how the run
//! ended:
//!
//! | the run | invalid frames that are allowed |
//! |---|---|
//! | was stopped in order | none, and the end frame must be there |
//! | was killed | the last one, if no valid frame follows it |
//! | ended with the system | all behind the initial frames of the journal |
//!
//! A journal of version 1 has no end frame, and does not state the number of its initial frames.

use super::header::{HEADER_BYTES, Header, HeaderError};
use super::{GroupStoreError, refused, runs};
use keytide_engine::group::{GroupTable, first_frame};
use keytide_engine::store::check::Problem;
use keytide_engine::store::recovery::Trust;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The end of a journal that was being written when the run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    at: usize,
    bytes: usize,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Torn { at, bytes } = self;
        write!(
            f,
            "the last {bytes} bytes, from byte {at} on, are not valid changes of consumer groups: the server was writing \
             them when it "
        )?;
        f.write_str("ended; groups are restored as they were before, and later deliveries are repeated")
    }
}

/// The groups of a run.
#[derive(Default)]
pub(super) struct ReadRun {
    pub groups: GroupTable,
    /// The journals whose ends are torn.
    pub torn: Vec<(PathBuf, Torn)>,
}

/// The journals of a run, in order.
pub(super) fn journals(run: &Path) -> Result<Vec<PathBuf>, GroupStoreError> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(run).map_err(refused(run))? {
        let path = entry.map_err(refused(run))?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            journals.push(path);
        }
    }
    journals.sort();
    Ok(journals)
}

/// Reads one journal: its groups, its header, and its torn end if it has one.
fn read_journal(run: &Path, path: &Path, trust: Trust) -> Result<(GroupTable, Header, Option<Torn>), GroupStoreError> {
    let bytes = fs::read(path).map_err(refused(path))?;
    let bad = |source| GroupStoreError::Header { path: path.to_owned(), source, run: run.to_owned() };
    let header = Header::parse(&bytes).map_err(bad)?;
    let (frames, place) = (&bytes[HEADER_BYTES..], header.place());
    let mut table = GroupTable::default();
    let replayed = table.replay(frames, place);
    let at = HEADER_BYTES + replayed.bytes;
    let damaged = |what, why: &str| {
        let (path, run, why) = (path.to_owned(), run.to_owned(), why.to_owned());
        Err(GroupStoreError::Damaged { path, what, at, why, run })
    };
    let is_whole = replayed.bytes == frames.len();
    let what = if is_whole { "the journal ends" } else { "there is an invalid frame" };
    if replayed.frames < header.frames as usize {
        return damaged(what, &format!("it began with {} groups", header.frames));
    }
    let is_trusted = matches!(trust, Trust::All | Trust::Written);
    if !is_whole
        && is_trusted
        && let Some(behind) = first_frame(frames, replayed.bytes + 1, place)
    {
        return damaged(what, &format!("valid frames follow at byte {}", HEADER_BYTES + behind));
    }
    if trust == Trust::All && header.has_end() && !(is_whole && replayed.is_ended) {
        return damaged(what, "the server stopped in order, so the journal must have an end frame");
    }
    let torn = (!is_whole).then(|| Torn { at, bytes: bytes.len() - at });
    Ok((table, header, torn))
}

/// Reads all groups of a run. If `history_id` is given, groups of another history lose their positions.
pub(super) fn read_run(run: &Path, history_id: Option<&str>, trust: Trust) -> Result<ReadRun, GroupStoreError> {
    let (mut all, mut found, mut cores) = (ReadRun::default(), 0, 0);
    for path in journals(run)? {
        let (mut table, header, torn) = read_journal(run, &path, trust)?;
        if history_id.is_some_and(|history_id| header.history_id != history_id) && !table.is_empty() {
            tracing::warn!(
                "{}: the consumer groups are of another history: they start again from its beginning",
                path.display()
            );
            table.forget_positions();
        }
        (found, cores) = (found + 1, header.cores);
        all.torn.extend(torn.map(|torn| (path, torn)));
        // A group is in one journal of a run.
        // Consumers that were attached have ended with the run.
        table.detach_all();
        all.groups.take_matching(table, |_, _| true);
    }
    if found != usize::from(cores) || found == 0 {
        return Err(GroupStoreError::Missing { run: run.to_owned(), found, cores });
    }
    Ok(all)
}

/// Finds the problems of the journals of the latest run in a server's directory. Changes nothing.
///
/// # Errors
/// Where a file cannot be read.
pub fn find_problems(dir: &Path, trust: Trust) -> Result<Vec<Problem>, GroupStoreError> {
    let root = dir.join("groups");
    if !root.exists() {
        return Ok(Vec::new());
    }
    let Some((_, run)) = runs(&root)?.pop() else { return Ok(Vec::new()) };
    let (mut problems, mut found, mut cores) = (Vec::new(), 0, None);
    let mut report =
        |path: PathBuf, what: String, is_damage| problems.push(Problem { path, place: None, what, is_damage });
    for path in journals(&run)? {
        found += 1;
        match read_journal(&run, &path, trust) {
            Ok((_, header, torn)) => {
                cores = Some(header.cores);
                if let Some(torn) = torn {
                    report(path, torn.to_string(), false);
                }
            }
            Err(GroupStoreError::Damaged { path, what, at, why, .. }) => {
                report(path, format!("byte {at}: {what}, though {why}"), true);
            }
            Err(GroupStoreError::Header {
                path,
                source: source @ (HeaderError::Damaged | HeaderError::Version { .. }),
                ..
            }) => {
                report(path, source.to_string(), true);
            }
            Err(error @ (GroupStoreError::Io { .. } | GroupStoreError::Missing { .. })) => return Err(error),
        }
    }
    if found == 0 || cores.is_some_and(|cores| usize::from(cores) != found) {
        report(run, format!("has the journals of only {found} of {} cores", cores.unwrap_or_default()), true);
    }
    Ok(problems)
}

/// Whether all journals of the latest run end with an orderly shutdown.
pub fn has_ended(dir: &Path) -> bool {
    let latest = runs(&dir.join("groups")).ok().and_then(|mut runs| runs.pop());
    latest.is_some_and(|(_, run)| read_run(&run, None, Trust::All).is_ok())
}
