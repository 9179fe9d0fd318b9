//! `keytide check DIR`: checks a directory, repairs it if asked to, and reports line by line.

use crate::groups::store as group_store;
use keytide_engine::store::check::{self, CheckError, CheckReport, Problem};
use keytide_engine::store::directory::{Directory, DirectoryError, DirectoryOptions, PreviousShutdown};
use keytide_engine::store::recovery::Trust;
use std::io::{self, Write};
use std::path::Path;

/// Exit status: nothing is damaged, or everything was repaired.
const SOUND: u8 = 0;
/// Exit status: something is damaged.
const DAMAGED: u8 = 1;
/// Exit status: the directory cannot be checked or repaired.
const REFUSED: u8 = 2;

/// Checks a directory and reports to `out`; returns the exit status.
pub fn run(dir: &Path, repair: bool, out: &mut dyn Write) -> u8 {
    match checked(dir, repair, out) {
        Ok(true) => SOUND,
        Ok(false) => DAMAGED,
        Err(Failure::Check(CheckError::Directory(
            error
            @ (DirectoryError::MetaMissing { .. } | DirectoryError::Meta { .. } | DirectoryError::MetaLost { .. }),
        ))) => {
            eprintln!("keytide: {error}");
            DAMAGED
        }
        Err(Failure::Check(error)) => {
            eprintln!("keytide: {error}");
            REFUSED
        }
        // The reader of the output has gone.
        Err(Failure::Output) => REFUSED,
    }
}

enum Failure {
    Check(CheckError),
    Output,
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Failure {
        Failure::Output
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Failure {
        Failure::Check(error)
    }
}

/// Checks, and repairs if asked to. Returns whether everything is sound at the end.
fn checked(dir: &Path, repair: bool, out: &mut dyn Write) -> Result<bool, Failure> {
    let refused = |error| Failure::Check(CheckError::Directory(error));
    if repair && let Some(done) = Directory::repair_meta(dir, &DirectoryOptions::default()).map_err(refused)? {
        writeln!(out, "repaired: {done}")?;
    }
    let directory = Directory::open_existing(dir, repair, DirectoryOptions::default()).map_err(refused)?;
    let ended = match directory.previous_shutdown() {
        PreviousShutdown::None | PreviousShutdown::Clean => "ended in order",
        PreviousShutdown::Killed => "was killed",
        PreviousShutdown::SyncedPowerLoss => "ended with the system and `--fsync always`",
        PreviousShutdown::PowerLoss => "ended with the system, or this is a copy",
    };
    writeln!(out, "{}: history {}, the last run {ended}", dir.display(), directory.history_id())?;
    if let Some(problem) = directory.meta_copy_error() {
        writeln!(out, "  note: {problem}; a start makes it anew")?;
    }
    let trust = directory.trust();
    let report = check_logs(&directory, repair, out)?;
    let mut groups = group_problems(dir, trust);
    for problem in &groups {
        writeln!(out, "  {problem}")?;
    }
    let mut repaired = report.repaired.clone();
    if repair && groups.iter().any(|problem| problem.is_damage) {
        match group_store::repair(dir, &directory.history_id(), trust) {
            Ok(done) => {
                repaired.extend(done);
                groups = group_problems(dir, trust);
            }
            Err(error) => writeln!(out, "  damage: {error}")?,
        }
    }
    for line in &repaired {
        writeln!(out, "repaired: {line}")?;
    }
    let are_groups_sound = groups.iter().all(|problem| !problem.is_damage);
    if report.is_sound() {
        summary(&report, are_groups_sound, out)?;
        return Ok(are_groups_sound);
    }
    if !repair {
        summary(&report, false, out)?;
        writeln!(
            out,
            "`keytide check --repair {}` makes usable what is left; copy the directory before",
            dir.display()
        )?;
        return Ok(false);
    }
    // Check the result of the repair.
    let again = check_logs(&directory, false, out)?;
    let is_sound = again.is_sound() && are_groups_sound;
    summary(&again, is_sound, out)?;
    Ok(is_sound)
}

/// Checks the logs of all shards, and reports each shard as soon as it was checked.
fn check_logs(directory: &Directory, repair: bool, out: &mut dyn Write) -> Result<CheckReport, Failure> {
    let mut written = Ok(());
    let report = check::check(directory, repair, |shard| {
        let mut write = || {
            writeln!(out, "{shard}")?;
            shard.problems.iter().try_for_each(|problem| writeln!(out, "  {problem}"))?;
            out.flush()
        };
        if written.is_ok() {
            written = write();
        }
    })?;
    written?;
    Ok(report)
}

/// Writes the last line of a report.
fn summary(report: &CheckReport, is_sound: bool, out: &mut dyn Write) -> io::Result<()> {
    let (records, bytes, positions) = report.totals();
    let state = if is_sound { "sound" } else { "damaged" };
    write!(out, "{state}: {records} records, {bytes} bytes")?;
    match positions {
        Some((first, last)) => writeln!(out, ", positions {first} to {last}"),
        None => writeln!(out),
    }
}

/// The problems of the consumer groups' journals.
fn group_problems(dir: &Path, trust: Trust) -> Vec<Problem> {
    group_store::find_problems(dir, trust).unwrap_or_else(|error| {
        vec![Problem { path: dir.join("groups"), place: None, what: error.to_string(), is_damage: true }]
    })
}
