//! Makes the intact part of damaged shards usable: of each shard the part of its log from which its keys can be restored.
//! Files that are taken out of use are renamed. The missing positions are recorded as lost, so that readers get a gap and
//! no position is reused.

use super::report::CheckError;
use super::shard::{CheckedShard, SegmentRun};
use crate::log::removal::remove_derived;
use crate::log::scan::SegmentFile;
use crate::position::{Position, RingOffset};
use crate::store::directory::Directory;
use crate::store::lost::holes;
use crate::store::recovery::{RecoveredLog, RecoveryOptions, Trust, recover_log};
use crate::store::set_aside::{free_name, set_aside};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The most ranges of lost positions that are recorded separately; more are merged into one.
const LOST_RANGES_MAX: usize = 1_000;

/// Repairs every damaged shard. Returns what was done and what is lost, as texts.
pub(super) fn repair(directory: &Directory, checked: &[CheckedShard]) -> Result<Vec<String>, CheckError> {
    let is_damaged = |shard: &&CheckedShard| shard.report.problems.iter().any(|problem| problem.is_damage);
    // Before anything is changed: an interrupted repair can be repeated.
    for shard in checked.iter().filter(is_damaged) {
        if shard.is_current && !shard.runs.is_empty() && shard.kept_run().is_none() {
            return Err(CheckError::NothingLeft { directory: shard.identity.directory.clone() });
        }
    }
    let trust = directory.trust();
    directory.assume_power_loss()?;
    let mut done = Vec::new();
    for generation in directory.generations() {
        let (mut ranges, mut cut_after) = (Vec::new(), None::<Position>);
        directory.create_shard_directories(generation.number, generation.shards)?;
        let shards: Vec<&CheckedShard> =
            checked.iter().filter(|shard| shard.identity.generation == generation.number).collect();
        if !shards.iter().any(is_damaged) {
            continue;
        }
        let mut logs = Vec::new();
        for shard in &shards {
            let log = match is_damaged(shard) {
                true => {
                    let log = repair_shard(directory, shard, &mut done)?;
                    cut_after = Some(cut_after.map_or(log.end.last, |after| after.min(log.end.last)));
                    log
                }
                false => {
                    let note_cut = |visibility| directory.note_cut(visibility).map_err(io::Error::other);
                    recover_log(
                        &shard.identity,
                        &**directory.storage(),
                        RecoveryOptions { trust, note_cut: &note_cut },
                    )?
                }
            };
            logs.push(log);
        }
        let after = cut_after.unwrap_or_default();
        for log in &logs {
            ranges.extend(log.positions_after(after)?.into_iter().filter(|range| range.end > after));
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
        done.extend(lost.iter().map(line));
        if generation.end.is_some() {
            for (log, shard) in logs.into_iter().zip(&shards) {
                log.close(&shard.identity.directory, &**directory.storage())?;
            }
        } else {
            done.push(format!("the next start goes on at position {} or later", directory.limit()));
        }
    }
    Ok(done)
}

/// Repairs one shard.
fn repair_shard(
    directory: &Directory,
    shard: &CheckedShard,
    done: &mut Vec<String>,
) -> Result<RecoveredLog, CheckError> {
    let name = format!("generation {} shard {}", shard.identity.generation, shard.identity.shard);
    let kept = shard.kept_run();
    let aside = |path: &Path| take_out(directory, path);
    for path in &shard.lost_files {
        done.push(format!("{name}: {} is {} now", path.display(), aside(path)?.display()));
    }
    let mut lost_records = Vec::new();
    for (_, run) in shard.runs.iter().enumerate().filter(|(index, _)| Some(*index) != kept) {
        for path in &run.files {
            done.push(format!("{name}: {} is {} now", path.display(), aside(path)?.display()));
        }
        lost_records.push(format!("positions {} to {}", run.start.1.next(), run.end.1));
    }
    let kept: Option<&SegmentRun> = kept.map(|index| &shard.runs[index]);
    if let Some(torn) = kept.filter(|run| run.is_torn).and_then(|run| run.files.last()) {
        // Recovery overwrites everything behind the damage; the copy keeps it for a later analysis.
        let copy = free_name(torn);
        std::fs::copy(torn, &copy).map_err(|source| CheckError::Io { path: copy.clone(), source })?;
        done.push(format!("{name}: {} is a copy of {} as it was", copy.display(), torn.display()));
    }
    let end = kept.map_or(RingOffset(0), |run| run.whole.0);
    for (path, _) in shard.snapshots.iter().filter(|(_, info)| info.end > end) {
        done.push(format!(
            "{name}: {} is {} now, for the log does not reach it",
            path.display(),
            aside(path)?.display()
        ));
    }
    for path in &shard.damaged_snapshots {
        done.push(format!("{name}: {} is {} now", path.display(), aside(path)?.display()));
    }
    for path in &shard.orphans {
        let refused = |source| CheckError::Io { path: path.clone(), source };
        directory.storage().remove(path).map_err(refused)?;
    }
    rewrite_headers(directory, kept)?;
    // The loss is recorded already.
    let recovery = RecoveryOptions { trust: Trust::Nothing, note_cut: &|_| Ok(()) };
    let log = recover_log(&shard.identity, &**directory.storage(), recovery)?;
    if shard.is_mark_damaged {
        done.push(format!("{name}: the mark of what is surely on the disk begins anew"));
    }
    let lost = match lost_records.is_empty() {
        true => String::new(),
        false => format!("; out of use although they can be read: {}", lost_records.join(", ")),
    };
    done.push(format!("{name}: the log ends at offset {}, position {}{lost}", log.end.end, log.end.last));
    Ok(log)
}

/// Rewrites the headers of the segments that are kept: both copies, with the current length of the file.
fn rewrite_headers(directory: &Directory, kept: Option<&SegmentRun>) -> Result<(), CheckError> {
    for path in kept.iter().flat_map(|run| &run.files) {
        let SegmentFile { mut header, file_bytes, .. } =
            SegmentFile::open(path).map_err(|error| CheckError::Recovery(error.into()))?;
        if header.is_writable() {
            // A file that was cut stays that short.
            header.file_bytes = file_bytes;
        }
        let page = header.encode();
        let refused = |source| CheckError::Io { path: path.clone(), source };
        let file = directory.storage().open(path).map_err(refused)?;
        file.write_at(&[&page], 0).and_then(|()| file.sync()).map_err(refused)?;
    }
    Ok(())
}

/// Sets a file aside and removes the files derived from it. Returns the new path.
fn take_out(directory: &Directory, path: &Path) -> Result<PathBuf, CheckError> {
    let storage = &**directory.storage();
    remove_derived(storage, path)
        .and_then(|()| set_aside(storage, path))
        .map_err(|source| CheckError::Io { path: path.to_owned(), source })
}
