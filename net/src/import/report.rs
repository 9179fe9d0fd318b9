//! What an import has done: progress while it goes on, and a summary. Keys are shown with their database.

use crate::limits::IMPORT_SHOWN_MAX;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was copied, with a payload of so many bytes.
    Copied(u64),
    /// It was removed from the target, as it was at the source.
    Removed,
    /// It had expired already.
    Expired,
}

/// See the description of this file.
pub struct Report {
    started: Instant,
    /// When progress was shown last; `None` if it is not shown.
    shown: Option<Instant>,
    copied: u64,
    bytes: u64,
    removed: u64,
    expired: u64,
    failed: u64,
    /// Why keys failed, and how many for each reason.
    reasons: BTreeMap<String, u64>,
    skipped: u64,
}

impl Report {
    /// Nothing was done yet. Progress is shown at a terminal, unless it should be quiet.
    pub fn new(is_quiet: bool) -> Report {
        let now = Instant::now();
        let shown = (!is_quiet && io::stderr().is_terminal()).then_some(now);
        let reasons = BTreeMap::new();
        Report { started: now, shown, copied: 0, bytes: 0, removed: 0, expired: 0, failed: 0, reasons, skipped: 0 }
    }

    /// Counts a key, and shows progress where it is time to.
    pub fn note(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Copied(bytes) => {
                self.copied += 1;
                self.bytes += bytes;
            }
            Outcome::Removed => self.removed += 1,
            Outcome::Expired => self.expired += 1,
        }
        if let Some(shown) = &mut self.shown
            && shown.elapsed() >= PROGRESS_EVERY
        {
            *shown = Instant::now();
            eprint!("\r{}, {} failed \x1b[K", self.rate(), self.failed);
        }
    }

    /// What was copied, and how fast.
    fn rate(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let megabytes = self.bytes as f64 / 1e6;
        format!("{} keys, {megabytes:.1} MB, {:.0} keys/s", self.copied, self.copied as f64 / seconds)
    }

    /// Removes the line of progress, before another one is written.
    pub fn clear_progress(&self) {
        if self.shown.is_some() {
            eprint!("\r\x1b[K");
        }
    }

    /// Writes a line for the operator.
    pub fn say(&self, text: &str) {
        self.clear_progress();
        eprintln!("keytide: {text}");
    }

    /// Counts a key that was not imported. The first ones are shown by name.
    pub fn fail(&mut self, db: u64, key: &[u8], why: &str) {
        self.failed += 1;
        if self.failed <= IMPORT_SHOWN_MAX {
            self.say(&format!("not imported: db{db} \"{}\": {why}", key.escape_ascii()));
        }
        // Reasons are few, unless they have numbers in them.
        let is_known = self.reasons.contains_key(why);
        let why = if is_known || (self.reasons.len() as u64) < IMPORT_SHOWN_MAX { why } else { "others" };
        *self.reasons.entry(why.to_owned()).or_default() += 1;
    }

    /// Counts something that has no place here and is no key. The first ones are shown.
    pub fn skip(&mut self, what: &str) {
        self.skipped += 1;
        if self.skipped <= IMPORT_SHOWN_MAX {
            self.say(&format!("skipped: {what}"));
        }
    }

    /// The number of keys that were not imported.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Writes what was done.
    ///
    /// # Errors
    /// Those of the output.
    pub fn summarize(&self, out: &mut dyn Write) -> io::Result<()> {
        write!(out, "imported: {}", self.rate())?;
        let counts = [
            (self.removed, "removed as at the source"),
            (self.expired, "had expired"),
            (self.skipped, "skipped that are no keys"),
            (self.failed, "failed"),
        ];
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(out, "; {count} {what}")?;
        }
        writeln!(out)?;
        self.reasons.iter().try_for_each(|(why, count)| writeln!(out, "  {count} failed: {why}"))
    }
}
