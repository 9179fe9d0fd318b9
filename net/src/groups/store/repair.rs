//! Repairs a damaged run: the certain content of its journals begins a new run, and the damaged one is kept under another
//! name.

use super::header::{HEADER_BYTES, Header};
use super::read::{find_problems, journals};
use super::{GroupStoreError, GroupStoreOptions, begin_run, refused, retire, runs};
use crate::groups::Groups;
use keytide_engine::group::GroupTable;
use keytide_engine::log::Fsync;
use keytide_engine::position::Position;
use keytide_engine::store::recovery::Trust;
use std::fs;
use std::path::Path;

/// Repairs the consumer groups of a directory that no server uses, if they are damaged. Returns the actions taken, as text.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn repair(dir: &Path, history_id: &str, trust: Trust) -> Result<Vec<String>, GroupStoreError> {
    if find_problems(dir, trust)?.iter().all(|problem| !problem.is_damage) {
        return Ok(Vec::new());
    }
    let root = dir.join("groups");
    let Some((number, run)) = runs(&root)?.pop() else { return Ok(Vec::new()) };
    let (mut all, mut actions, mut cores, mut found) = (GroupTable::default(), Vec::new(), None, 0);
    for path in journals(&run)? {
        let bytes = fs::read(&path).map_err(refused(&path))?;
        let mut table = GroupTable::default();
        let (name, before) = (path.display(), all.len());
        let header = Header::parse(&bytes).ok();
        let frames = bytes.get(HEADER_BYTES..).unwrap_or_default();
        // Without a valid header, the journal is taken to be in the current format and of this history.
        let place = header.as_ref().map_or(Some(HEADER_BYTES as u64), Header::place);
        for lost in table.salvage(frames, place) {
            let (from, to) = (HEADER_BYTES + lost.start, HEADER_BYTES + lost.end);
            actions.push(format!("{name}: bytes {from} to {to} are not valid changes of consumer groups"));
        }
        if header.as_ref().is_some_and(|header| header.history_id != history_id) {
            table.forget_positions();
        }
        cores = cores.or(header.map(|header| header.cores));
        found += 1;
        all.take_matching(table, |_, _| true);
        actions.push(format!("{name}: {} groups are kept", all.len() - before));
    }
    let cores = cores.unwrap_or(found).max(1);
    // The next start knows the end of the history, and sets back cursors beyond it.
    let options = GroupStoreOptions { dir, fsync: Fsync::Always, history_id, next: Position::END, cores, trust };
    let mut begun = begin_run(&root, number + 1, all, &options)?;
    begun.iter_mut().for_each(Groups::close);
    retire(&run, false);
    actions.push(format!(
        "{} was renamed to {}; groups that existed before the damage continue from their state at that time",
        run.display(),
        run.with_extension("damaged").display()
    ));
    Ok(actions)
}
