//! The journals of a run read: the groups that they make, and what of them is no change of a group.
//!
//! | the run before | a bad frame | allowed |
//! |---|---|---|
//! | ended in order | any, or no word of the end | never |
//! | was killed | the last one, which was being written | with nothing that is a frame behind it |
//! | ended with the system | behind what the journal began with | always |
//!
//! In versions before 2 a journal says nothing of its end, nor of what it began with.

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
            "from byte {at} on {bytes} bytes are no changes of consumer groups: they were being written when the server "
        )?;
        f.write_str("ended; groups are as they were before, what was given since is given again")
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

/// One journal: its groups, its header, and its torn end if it has one.
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
    let what = if is_whole { "the journal ends" } else { "there is no change of consumer groups" };
    if replayed.frames < header.frames as usize {
        return damaged(what, &format!("it began with {} groups", header.frames));
    }
    let is_trusted = matches!(trust, Trust::All | Trust::Written);
    if !is_whole
        && is_trusted
        && let Some(behind) = first_frame(frames, replayed.bytes + 1, place)
    {
        return damaged(what, &format!("changes follow at byte {}", HEADER_BYTES + behind));
    }
    if trust == Trust::All && header.has_end() && !(is_whole && replayed.is_ended) {
        return damaged(what, "the server stopped in order, and that is written at the end");
    }
    let torn = (!is_whole).then(|| Torn { at, bytes: bytes.len() - at });
    Ok((table, header, torn))
}

/// All groups of a run. With the name of a history those of another one begin anew.
pub(super) fn read_run(run: &Path, history_id: Option<&str>, trust: Trust) -> Result<ReadRun, GroupStoreError> {
    let (mut all, mut found, mut cores) = (ReadRun::default(), 0, 0);
    for path in journals(run)? {
        let (mut table, header, torn) = read_journal(run, &path, trust)?;
        if history_id.is_some_and(|history_id| header.history_id != history_id) && !table.is_empty() {
            tracing::warn!("{}: the consumer groups are those of another history: they begin anew", path.display());
            table.forget_positions();
        }
        (found, cores) = (found + 1, header.cores);
        all.torn.extend(torn.map(|torn| (path, torn)));
        // A group is in one journal of a run.
        all.groups.take_matching(table, |_, _| true);
    }
    if found != usize::from(cores) || found == 0 {
        return Err(GroupStoreError::Missing { run: run.to_owned(), found, cores });
    }
    Ok(all)
}

/// What is wrong with the journals of the latest run below a server's directory. Nothing is changed.
///
/// # Errors
/// A file that the system refuses.
pub fn look(dir: &Path, trust: Trust) -> Result<Vec<Problem>, GroupStoreError> {
    let root = dir.join("groups");
    if !root.exists() {
        return Ok(Vec::new());
    }
    let Some((_, run)) = runs(&root)?.pop() else { return Ok(Vec::new()) };
    let (mut problems, mut found, mut cores) = (Vec::new(), 0, None);
    let mut tell =
        |path: PathBuf, what: String, is_damage| problems.push(Problem { path, place: None, what, is_damage });
    for path in journals(&run)? {
        found += 1;
        match read_journal(&run, &path, trust) {
            Ok((_, header, torn)) => {
                cores = Some(header.cores);
                if let Some(torn) = torn {
                    tell(path, torn.to_string(), false);
                }
            }
            Err(GroupStoreError::Damaged { path, what, at, why, .. }) => {
                tell(path, format!("byte {at}: {what}, though {why}"), true);
            }
            Err(GroupStoreError::Header {
                path,
                source: source @ (HeaderError::Damaged | HeaderError::Version { .. }),
                ..
            }) => {
                tell(path, source.to_string(), true);
            }
            Err(error @ (GroupStoreError::Io { .. } | GroupStoreError::Missing { .. })) => return Err(error),
        }
    }
    if found == 0 || cores.is_some_and(|cores| usize::from(cores) != found) {
        tell(run, format!("the journals of {found} cores are there, of {}", cores.unwrap_or_default()), true);
    }
    Ok(problems)
}

/// Whether all journals of the latest run say that they have ended in order.
pub fn has_ended(dir: &Path) -> bool {
    let latest = runs(&dir.join("groups")).ok().and_then(|mut runs| runs.pop());
    latest.is_some_and(|(_, run)| read_run(&run, None, Trust::All).is_ok())
}
