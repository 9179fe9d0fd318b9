//! `keytide import SOURCE`: copies the keys of an RDB file or of a running server into a running Keytide, as any client could:
//! with RESTORE, so each key is an event.
//!
//! | module | what is in it |
//! |---|---|
//! | `address` | where a server is, of a URL |
//! | `link` | a connection: commands out, replies in |
//! | `reply` | replies of the Redis protocol |
//! | `rdb` | RDB files |
//! | `target` | the server that gets the keys |
//! | `live` | the keys of a running server |
//! | `watch` | which of its keys change meanwhile |
//! | `report` | what was done: progress and summary |
//!
//! A snapshot has a value in the bytes that DUMP returns and RESTORE takes. So nothing here knows types of values: a file is
//! read as far as the ends of values need it (`keytide_engine::dump::skip`). The crates for RDB files do something else. They
//! make values of them, whose forms would have to be written anew, and stop at what they do not know: `rdb` at function
//! libraries and TTLs of fields. `librdb` is a library of C.

mod address;
mod link;
mod live;
mod rdb;
mod reply;
mod report;
mod target;
mod watch;

use crate::config::ImportFlags;
use address::Address;
use keytide_engine::clock;
use keytide_engine::filter::{Glob, GlobError};
use link::LinkError;
use rdb::{Item, RdbError, RdbFile, Stored};
use report::{Outcome, Report};
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use target::Target;
use thiserror::Error;

/// Exit status: everything was imported.
const DONE: u8 = 0;
/// Exit status: something was not.
const FAILED: u8 = 1;
/// Exit status: the command line is not right.
const MISUSED: u8 = 2;

/// Why an import ends early, or does not begin.
#[derive(Debug, Error)]
enum ImportError {
    #[error("{0}")]
    Usage(String),
    #[error("--match: {0}")]
    Pattern(#[from] GlobError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: RdbError },
    #[error("{path}: {source}", path = path.display())]
    Open { path: PathBuf, source: std::io::Error },
    #[error("stopped before all keys were copied")]
    Stopped,
    #[error("no handler of signals: {0}")]
    Signals(std::io::Error),
}

/// Which keys are wanted.
struct Wanted {
    db: Option<u64>,
    pattern: Option<Glob>,
    /// As it was given.
    text: Option<String>,
}

impl Wanted {
    fn takes(&self, db: u64, key: &[u8]) -> bool {
        self.db.is_none_or(|only| only == db) && self.pattern.as_ref().is_none_or(|pattern| pattern.matches(key))
    }
}

/// Imports, writes the summary to `out`, and returns the exit status.
pub fn run(flags: &ImportFlags, out: &mut dyn Write) -> u8 {
    let mut report = Report::new(flags.quiet);
    let ended = import(flags, &mut report);
    report.clear_progress();
    if let Err(error) = &ended {
        eprintln!("keytide: {error}");
    }
    if matches!(ended, Err(ImportError::Usage(_) | ImportError::Pattern(_))) {
        return MISUSED;
    }
    // Whoever reads the output may have gone; the status says it all the same.
    let _ = report.summarize(out);
    if ended.is_ok() && report.failed() == 0 { DONE } else { FAILED }
}

fn import(flags: &ImportFlags, report: &mut Report) -> Result<(), ImportError> {
    let usage = |text: String| ImportError::Usage(text);
    let from_server = Address::parse(&flags.source).transpose().map_err(usage)?;
    let to = Address::parse(&flags.to).unwrap_or_else(|| Err("--to: redis://host:port is expected".to_owned()));
    let mut to = to.map_err(usage)?;
    to.take_password(flags.to_password_file.as_deref(), "KEYTIDE_IMPORT_TO_PASSWORD").map_err(usage)?;
    let mut wanted = Wanted {
        db: flags.db,
        pattern: flags.pattern.as_ref().map(|pattern| Glob::new(pattern.as_bytes())).transpose()?,
        text: flags.pattern.clone(),
    };
    let ca = flags.tls_ca.as_deref();
    match from_server {
        Some(mut from) => {
            from.take_password(flags.from_password_file.as_deref(), "KEYTIDE_IMPORT_FROM_PASSWORD").map_err(usage)?;
            wanted.db = both(flags.db, from.db).map_err(usage)?;
            check_target(&to, &wanted)?;
            if (&from.host, from.port) == (&to.host, to.port) && (to.db.is_none() || to.db == wanted.db) {
                return Err(usage("--to is where the keys are: give another server, or another database".to_owned()));
            }
            let target = Target::open(&to, ca, flags.replace)?;
            live::copy(&from, ca, target, &wanted, flags.follow, report)
        }
        None if flags.follow => Err(usage("--follow: a file does not change; give a server".to_owned())),
        None => {
            check_target(&to, &wanted)?;
            file(Path::new(&flags.source), &to, ca, flags.replace, &wanted, report)
        }
    }
}

/// The database that a flag and a URL name.
fn both(flag: Option<u64>, url: Option<u64>) -> Result<Option<u64>, String> {
    match (flag, url) {
        (Some(flag), Some(url)) if flag != url => Err(format!("--db {flag} is not the database {url} of the source")),
        (flag, url) => Ok(flag.or(url)),
    }
}

/// Keys of several databases have no place in one.
fn check_target(to: &Address, wanted: &Wanted) -> Result<(), ImportError> {
    match to.db.is_some() && wanted.db.is_none() {
        true => Err(ImportError::Usage("--to names a database: say with --db which one goes there".to_owned())),
        false => Ok(()),
    }
}

/// Imports a file: first it is looked through to its end, so that nothing of a damaged one is imported.
fn file(
    path: &Path,
    to: &Address,
    ca: Option<&Path>,
    replace: bool,
    wanted: &Wanted,
    report: &mut Report,
) -> Result<(), ImportError> {
    let of_file = |source| ImportError::File { path: path.to_owned(), source };
    let of_open = |source| ImportError::Open { path: path.to_owned(), source };
    let open = || File::open(path).map_err(of_open);
    // What is no regular file can be read only once.
    if open()?.metadata().map_err(of_open)?.is_file() {
        let mut file = RdbFile::new(BufReader::new(open()?), 0).map_err(of_file)?;
        while file.next_item().map_err(of_file)?.is_some() {}
    }
    let mut target = Target::open(to, ca, replace)?;
    let mut file = RdbFile::new(BufReader::new(open()?), crate::limits::IMPORT_VALUE_BYTES_MAX).map_err(of_file)?;
    while let Some(item) = file.next_item().map_err(of_file)? {
        match item {
            Item::Entry(entry) if !wanted.takes(entry.db, &entry.key) => {}
            Item::Entry(entry) if entry.expires_ms.is_some_and(|at_ms| at_ms <= clock::unix_millis()) => {
                report.note(Outcome::Expired);
            }
            Item::Entry(entry) => match entry.value {
                Stored::Payload(payload) => {
                    target.restore((entry.db, entry.key), &payload, entry.expires_ms, report)?
                }
                Stored::Foreign(what) => report.fail(entry.db, &entry.key, &format!("{what} is not supported")),
                Stored::Large(bytes) => report.fail(entry.db, &entry.key, &target::too_large(bytes)),
            },
            Item::Other(what) => report.skip(&what),
        }
    }
    target.finish(report)
}
