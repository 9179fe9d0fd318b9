//! What is left of damaged shards made usable: of each the part of the log that its keys can be brought back from. What
//! is taken out of use stays under another name, and the positions that are missing are noted, so that readers are told
//! of them and none comes twice.

use super::report::CheckError;
use super::shard::{Run, Seen};
use crate::log::removal::remove_made;
use crate::log::scan::SegmentFile;
use crate::position::{Position, RingOffset};
use crate::store::directory::Directory;
use crate::store::lost::holes;
use crate::store::recovery::{FoundLog, Opening, Trust, find_log};
use crate::store::set_aside::{free_name, set_aside};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How many ranges of lost positions are noted apart; more become one.
const LOST_RANGES_MAX: usize = 1_000;

/// Repairs every shard that is damaged. Answers what was done and what is lost.
pub(super) fn repair(directory: &Directory, seen: &[Seen]) -> Result<Vec<String>, CheckError> {
    let is_damaged = |seen: &&Seen| seen.report.problems.iter().any(|problem| problem.is_damage);
    // Before anything changes: who is interrupted begins again.
    for shard in seen.iter().filter(is_damaged) {
        if shard.is_current && !shard.runs.is_empty() && shard.kept_run().is_none() {
            return Err(CheckError::NothingLeft { directory: shard.identity.directory.clone() });
        }
    }
    let trust = directory.trust();
    directory.expect_loss()?;
    let mut told = Vec::new();
    for generation in directory.generations() {
        let (mut ranges, mut cut_after) = (Vec::new(), None::<Position>);
        directory.create_shard_directories(generation.number, generation.shards)?;
        let shards: Vec<&Seen> = seen.iter().filter(|seen| seen.identity.generation == generation.number).collect();
        if !shards.iter().any(is_damaged) {
            continue;
        }
        let mut logs = Vec::new();
        for shard in &shards {
            let log = match is_damaged(shard) {
                true => {
                    let log = one(directory, shard, &mut told)?;
                    cut_after = Some(cut_after.map_or(log.end.last, |after| after.min(log.end.last)));
                    log
                }
                false => {
                    let note_cut = |seen| directory.note_cut(seen).map_err(io::Error::other);
                    find_log(&shard.identity, &**directory.storage(), Opening { trust, note_cut: &note_cut })?
                }
            };
            logs.push(log);
        }
        let after = cut_after.unwrap_or_default();
        for log in &logs {
            ranges.extend(log.positions_behind(after)?.into_iter().filter(|range| range.end > after));
        }
        ranges.push(after..after.next());
        if let Some(end) = generation.end {
            ranges.push(end..end.next());
        }
        let mut lost = holes(after, ranges);
        if lost.len() > LOST_RANGES_MAX {
            let last = lost.last().map_or(after, |range| range.end);
            lost.truncate(1);
            lost.iter_mut().for_each(|range| range.end = last);
        }
        directory.record_lost(&lost)?;
        let line = |range: &Range<Position>| format!("positions {} to {} may be lost", range.start, range.end.0 - 1);
        told.extend(lost.iter().map(line));
        if generation.end.is_some() {
            for (log, shard) in logs.into_iter().zip(&shards) {
                log.close(&shard.identity.directory, &**directory.storage())?;
            }
        } else {
            told.push(format!("the next start goes on at position {} or later", directory.limit()));
        }
    }
    Ok(told)
}

/// Repairs one shard.
fn one(directory: &Directory, seen: &Seen, told: &mut Vec<String>) -> Result<FoundLog, CheckError> {
    let name = format!("generation {} shard {}", seen.identity.generation, seen.identity.shard);
    let kept = seen.kept_run();
    let aside = |path: &Path| take_out(directory, path);
    for path in &seen.lost_files {
        told.push(format!("{name}: {} is {} now", path.display(), aside(path)?.display()));
    }
    let mut lost_records = Vec::new();
    for (_, run) in seen.runs.iter().enumerate().filter(|(index, _)| Some(*index) != kept) {
        for path in &run.files {
            told.push(format!("{name}: {} is {} now", path.display(), aside(path)?.display()));
        }
        lost_records.push(format!("positions {} to {}", run.start.1.next(), run.end.1));
    }
    let kept: Option<&Run> = kept.map(|index| &seen.runs[index]);
    if let Some(torn) = kept.filter(|run| run.is_torn).and_then(|run| run.files.last()) {
        // What stands behind the damage is overwritten: whoever wants to look at it has this.
        let copy = free_name(torn);
        std::fs::copy(torn, &copy).map_err(|source| CheckError::Io { path: copy.clone(), source })?;
        told.push(format!("{name}: {} is a copy of {} as it was", copy.display(), torn.display()));
    }
    let end = kept.map_or(RingOffset(0), |run| run.whole.0);
    for (path, _) in seen.snapshots.iter().filter(|(_, info)| info.end > end) {
        told.push(format!(
            "{name}: {} is {} now, for the log does not reach it",
            path.display(),
            aside(path)?.display()
        ));
    }
    for path in &seen.damaged_snapshots {
        told.push(format!("{name}: {} is {} now", path.display(), aside(path)?.display()));
    }
    for path in &seen.orphans {
        let refused = |source| CheckError::Io { path: path.clone(), source };
        directory.storage().remove(path).map_err(refused)?;
    }
    rewrite_header(directory, kept)?;
    // That there is a loss is noted already.
    let opening = Opening { trust: Trust::Nothing, note_cut: &|_| Ok(()) };
    let log = find_log(&seen.identity, &**directory.storage(), opening)?;
    if seen.is_mark_damaged {
        told.push(format!("{name}: the mark of what is surely on the disk begins anew"));
    }
    let lost = match lost_records.is_empty() {
        true => String::new(),
        false => format!("; out of use although they can be read: {}", lost_records.join(", ")),
    };
    told.push(format!("{name}: the log ends at offset {}, position {}{lost}", log.end.end, log.end.last));
    Ok(log)
}

/// Makes whole what a damaged copy of a header has left, and has it tell how long the file is.
fn rewrite_header(directory: &Directory, kept: Option<&Run>) -> Result<(), CheckError> {
    for path in kept.iter().flat_map(|run| &run.files) {
        let SegmentFile { mut header, file_bytes, .. } =
            SegmentFile::open(path).map_err(|error| CheckError::Recovery(error.into()))?;
        if header.is_writable() {
            // What was cut stays as short as it is.
            header.file_bytes = file_bytes;
        }
        let page = header.encode();
        let refused = |source| CheckError::Io { path: path.clone(), source };
        let file = directory.storage().open(path).map_err(refused)?;
        file.write_at(&[&page], 0).and_then(|()| file.sync()).map_err(refused)?;
    }
    Ok(())
}

/// Takes a file out of use, with what was made from it.
fn take_out(directory: &Directory, path: &Path) -> Result<PathBuf, CheckError> {
    let storage = &**directory.storage();
    remove_made(storage, path)
        .and_then(|()| set_aside(storage, path))
        .map_err(|source| CheckError::Io { path: path.to_owned(), source })
}
