//! The keys of a running server: a scan of each database, and what changes meanwhile is copied again.

use super::address::Address;
use super::link::{Link, LinkError};
use super::reply::Reply;
use super::report::{Outcome, Report};
use super::target::{Name, Target};
use super::watch::Watch;
use super::{FAILED, ImportError, Wanted};
use crate::limits::{IMPORT_DUMPS_AT_ONCE, IMPORT_SCAN_COUNT};
use indexmap::IndexSet;
use keytide_engine::clock;
use keytide_engine::dump::skip::{foreign, is_stream};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a copy needs.
struct Copy<'c> {
    source: Link,
    /// The selected database.
    db: Option<u64>,
    /// Whether the source says when a key expires; else how long it has.
    has_expiretime: bool,
    target: Target,
    wanted: &'c Wanted,
    /// The Redis streams that were copied: what a group reads and acknowledges is not told.
    streams: IndexSet<Name>,
    stop: Arc<AtomicBool>,
    report: &'c mut Report,
}

/// Copies the keys of a server.
pub fn copy(
    from: &Address,
    ca: Option<&Path>,
    mut target: Target,
    wanted: &Wanted,
    follows: bool,
    report: &mut Report,
) -> Result<(), ImportError> {
    let mut source = Link::open(from, ca)?;
    let mut control = Link::open(from, ca)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The setting of the source is given back before the process ends. A second signal ends it at once.
        let second = signal_hook::flag::register_conditional_shutdown(signal, FAILED.into(), stop.clone());
        let first = second.and_then(|_| signal_hook::flag::register(signal, stop.clone()));
        first.map_err(ImportError::Signals)?;
    }
    let watch = match Watch::begin(&mut control, from, ca, wanted)? {
        Ok(watch) => Some(watch),
        Err(why) if follows => {
            return Err(source.refused(format!("--follow needs keyspace notifications: {why}")).into());
        }
        Err(why) => {
            report.say(&format!("no keyspace notifications ({why}): what changes meanwhile is not copied"));
            None
        }
    };
    // A scan may show keys twice, and keys that have changed come again.
    target.expect_again();
    let has_expiretime = !matches!(source.call(&[b"PEXPIRETIME", b""])?, Reply::Error(_));
    let streams = IndexSet::new();
    let mut copy = Copy { source, db: None, has_expiretime, target, wanted, streams, stop, report };
    let done = copy.all(watch.as_ref(), follows);
    let ended = watch.map_or(Ok(()), |watch| watch.end(&mut control));
    done?;
    ended.map_err(ImportError::from)
}

impl Copy<'_> {
    fn all(&mut self, watch: Option<&Watch>, follows: bool) -> Result<(), ImportError> {
        for db in self.databases()? {
            self.scan(db, watch)?;
        }
        self.target.finish(self.report)?;
        if let Some(watch) = watch {
            if follows {
                self.report.say("all keys are copied; changes follow until Ctrl-C");
            }
            self.follow(watch, follows)?;
        }
        Ok(())
    }

    /// Copies what has changed, until that is nothing, or until it should stop.
    fn follow(&mut self, watch: &Watch, follows: bool) -> Result<(), ImportError> {
        let mut has_streams = false;
        loop {
            let is_stopped = self.is_stopped();
            if is_stopped && !follows {
                return Err(ImportError::Stopped);
            }
            watch.catch_up()?;
            let mut keys = watch.take();
            let is_last = if follows { is_stopped } else { keys.is_empty() };
            if is_last && !has_streams {
                keys.extend(std::mem::take(&mut self.streams));
                has_streams = true;
            } else if is_last {
                return self.changed(keys);
            }
            if keys.is_empty() && !is_last {
                watch.wait();
            }
            self.changed(keys)?;
        }
    }

    fn is_stopped(&self) -> bool {
        // Nothing else is told by it.
        self.stop.load(Ordering::Relaxed)
    }

    /// The databases with keys.
    fn databases(&mut self) -> Result<Vec<u64>, ImportError> {
        if let Some(db) = self.wanted.db {
            return Ok(vec![db]);
        }
        let Reply::Bulk(Some(text)) = self.source.demand(&[b"INFO", b"keyspace"])? else {
            return Err(self.source.refused("INFO keyspace has no text").into());
        };
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.strip_prefix("db")?.split_once(':'));
        Ok(lines.filter_map(|(db, _)| db.parse().ok()).collect())
    }

    fn select(&mut self, db: u64) -> Result<(), LinkError> {
        if self.db != Some(db) {
            self.source.demand(&[b"SELECT", db.to_string().as_bytes()])?;
            self.db = Some(db);
        }
        Ok(())
    }

    fn scan(&mut self, db: u64, watch: Option<&Watch>) -> Result<(), ImportError> {
        let wrong = "SCAN has no cursor and keys";
        let mut cursor = b"0".to_vec();
        loop {
            self.select(db)?;
            let matching: Vec<&[u8]> =
                self.wanted.text.iter().flat_map(|text| [&b"MATCH"[..], text.as_bytes()]).collect();
            let words: [&[u8]; 4] = [b"SCAN", &cursor, b"COUNT", IMPORT_SCAN_COUNT.as_bytes()];
            let reply = self.source.demand(&[&words, &matching[..]].concat())?;
            let Reply::Array(parts) = reply else { return Err(self.source.refused(wrong).into()) };
            let Ok([Reply::Bulk(Some(next)), Reply::Array(keys)]) = <[Reply; 2]>::try_from(parts) else {
                return Err(self.source.refused(wrong).into());
            };
            let keys = keys.into_iter().filter_map(|key| if let Reply::Bulk(key) = key { key } else { None });
            let names: Vec<Name> = keys.map(|key| (db, key)).filter(|name| !self.target.has_seen(name)).collect();
            for some in names.chunks(IMPORT_DUMPS_AT_ONCE) {
                self.copy(some, false)?;
            }
            if self.is_stopped() {
                return Err(ImportError::Stopped);
            }
            if watch.is_some_and(Watch::is_half_full) {
                self.changed(watch.map(Watch::take).unwrap_or_default())?;
            }
            cursor = next;
            if cursor == b"0" {
                return Ok(());
            }
        }
    }

    /// Copies keys that have changed, each database's together.
    fn changed(&mut self, mut names: Vec<Name>) -> Result<(), ImportError> {
        names.retain(|name| !self.target.has_failed(name));
        names.sort_unstable();
        names.dedup();
        for of_db in names.chunk_by(|one, other| one.0 == other.0) {
            for some in of_db.chunks(IMPORT_DUMPS_AT_ONCE) {
                self.copy(some, true)?;
            }
        }
        // Nothing may follow for long.
        self.target.finish(self.report)
    }

    /// Copies keys of one database. Where one is not there any more, it is removed if it may have been copied before.
    fn copy(&mut self, names: &[Name], has_changed: bool) -> Result<(), ImportError> {
        let Some((db, _)) = names.first() else { return Ok(()) };
        self.select(*db)?;
        let when: &[u8] = if self.has_expiretime { b"PEXPIRETIME" } else { b"PTTL" };
        for (_, key) in names {
            self.source.send(&[b"DUMP", key])?;
            self.source.send(&[when, key])?;
        }
        for name in names {
            let (dump, when) = (self.source.reply()?, self.source.reply()?);
            let now_ms = clock::unix_millis();
            let expires_ms = match when {
                Reply::Integer(-1) => None,
                Reply::Integer(at_ms) if self.has_expiretime => Some(u64::try_from(at_ms).unwrap_or(0)),
                Reply::Integer(left_ms) => Some(u64::try_from(left_ms).map_or(0, |left_ms| now_ms + left_ms)),
                Reply::Error(text) => {
                    self.target.fail(name, &text, self.report);
                    continue;
                }
                _ => return Err(self.source.refused("a TTL is no number").into()),
            };
            match dump {
                Reply::Bulk(None) if has_changed => self.target.remove(name.clone(), self.report)?,
                // Whoever has removed it may have been told of.
                Reply::Bulk(None) => {}
                Reply::Bulk(Some(_)) if expires_ms.is_some_and(|at_ms| at_ms <= now_ms) => match has_changed {
                    true => self.target.remove(name.clone(), self.report)?,
                    false => self.report.note(Outcome::Expired),
                },
                Reply::Bulk(Some(payload)) => match foreign(&payload) {
                    Some(what) => self.target.fail(name, &format!("{what} is not supported"), self.report),
                    None => {
                        if is_stream(&payload) {
                            self.streams.insert(name.clone());
                        }
                        self.target.restore(name.clone(), &payload, expires_ms, self.report)?;
                    }
                },
                Reply::Error(text) => self.target.fail(name, &text, self.report),
                _ => return Err(self.source.refused("DUMP has no value").into()),
            }
        }
        Ok(())
    }
}
