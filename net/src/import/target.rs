//! The server that gets the keys. Commands are sent ahead of their replies, up to a window.

use super::ImportError;
use super::address::Address;
use super::link::{Link, LinkError};
use super::reply::Reply;
use super::report::{Outcome, Report};
use crate::limits::{IMPORT_VALUE_BYTES_MAX, IMPORT_WINDOW_BYTES, IMPORT_WINDOW_COMMANDS};
use foldhash::fast::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::path::Path;

/// The key of a database.
pub type Name = (u64, Vec<u8>);

/// See the description of this file.
pub struct Target {
    link: Link,
    replaces: bool,
    /// The database that gets all keys.
    only_db: Option<u64>,
    /// The selected database, or why it cannot be.
    db: Option<(u64, Result<(), String>)>,
    /// What was sent, in order.
    window: VecDeque<Sent>,
    window_bytes: u64,
    hasher: RandomState,
    /// The hashes of the keys that were written, which may be replaced; `None` if all may be.
    written: Option<HashSet<u64>>,
    /// The hashes of those that failed.
    failed: HashSet<u64>,
}

struct Sent {
    name: Name,
    /// The payload's bytes; `None` for a removal.
    bytes: Option<u64>,
}

/// Why a value of so many bytes is refused.
pub fn too_large(bytes: u64) -> String {
    format!("a value of {bytes} bytes: the limit is {IMPORT_VALUE_BYTES_MAX}")
}

impl Target {
    /// Connects.
    pub fn open(address: &Address, ca: Option<&Path>, replaces: bool) -> Result<Target, LinkError> {
        let link = Link::open(address, ca)?;
        let (window, failed, hasher) = (VecDeque::new(), HashSet::new(), RandomState::default());
        let only_db = address.db;
        Ok(Target { link, replaces, only_db, db: None, window, window_bytes: 0, hasher, written: None, failed })
    }

    /// Keeps in mind which keys were written, some 16 bytes for each: they may come again, and are replaced then.
    pub fn expect_again(&mut self) {
        if !self.replaces {
            self.written = Some(HashSet::new());
        }
    }

    fn hash(&self, name: &Name) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Whether a key was written and may be replaced.
    fn has_written(&self, name: &Name) -> bool {
        self.written.as_ref().is_some_and(|written| written.contains(&self.hash(name)))
    }

    /// Whether a key has failed: it is left at that.
    pub fn has_failed(&self, name: &Name) -> bool {
        self.failed.contains(&self.hash(name))
    }

    /// Whether a key was seen before, which a scan may show twice.
    pub fn has_seen(&self, name: &Name) -> bool {
        self.has_written(name) || self.has_failed(name)
    }

    /// Counts a key that failed, once.
    pub fn fail(&mut self, name: &Name, why: &str, report: &mut Report) {
        if self.failed.insert(self.hash(name)) {
            report.fail(name.0, &name.1, why);
        }
    }

    /// Writes a key.
    pub fn restore(
        &mut self,
        name: Name,
        payload: &[u8],
        expires_ms: Option<u64>,
        report: &mut Report,
    ) -> Result<(), ImportError> {
        if payload.len() as u64 > IMPORT_VALUE_BYTES_MAX {
            self.fail(&name, &too_large(payload.len() as u64), report);
            return Ok(());
        }
        if let Err(why) = self.select(name.0, report)? {
            self.fail(&name, &why, report);
            return Ok(());
        }
        let mut digits = itoa::Buffer::new();
        let at = digits.format(expires_ms.unwrap_or(0)).as_bytes();
        let replaces = self.replaces || self.has_written(&name);
        let replace: &[&[u8]] = if replaces { &[b"REPLACE"] } else { &[] };
        let words: [&[u8]; 5] = [b"RESTORE", &name.1, at, payload, b"ABSTTL"];
        self.link.send(&[&words, replace].concat())?;
        let hash = self.hash(&name);
        if let Some(written) = &mut self.written {
            written.insert(hash);
        }
        self.sent(Sent { name, bytes: Some(payload.len() as u64) }, report)
    }

    /// Removes a key that is not at the source any more, unless it was not written from here.
    pub fn remove(&mut self, name: Name, report: &mut Report) -> Result<(), ImportError> {
        let is_ours = self.replaces || self.has_written(&name);
        if !is_ours || self.select(name.0, report)?.is_err() {
            return Ok(());
        }
        self.link.send(&[b"DEL", &name.1])?;
        self.sent(Sent { name, bytes: None }, report)
    }

    /// Selects a database; the reply to this is waited for, so that no key can get into another one.
    fn select(&mut self, db: u64, report: &mut Report) -> Result<Result<(), String>, ImportError> {
        let db = self.only_db.unwrap_or(db);
        if let Some((selected, result)) = &self.db
            && *selected == db
        {
            return Ok(result.clone());
        }
        self.finish(report)?;
        let result = match self.link.call(&[b"SELECT", db.to_string().as_bytes()])? {
            Reply::Error(text) => Err(format!("database {db} at the target: {text}")),
            _ => Ok(()),
        };
        self.db = Some((db, result.clone()));
        Ok(result)
    }

    fn sent(&mut self, sent: Sent, report: &mut Report) -> Result<(), ImportError> {
        self.window_bytes += sent.bytes.unwrap_or(0);
        self.window.push_back(sent);
        if self.window.len() >= IMPORT_WINDOW_COMMANDS || self.window_bytes >= IMPORT_WINDOW_BYTES {
            // Half of it at once, so that not each command is a system call.
            for _ in 0..self.window.len().div_ceil(2) {
                self.settle(report)?;
            }
        }
        Ok(())
    }

    /// Reads the reply to what was sent first.
    fn settle(&mut self, report: &mut Report) -> Result<(), ImportError> {
        let Some(Sent { name, bytes }) = self.window.pop_front() else { return Ok(()) };
        self.window_bytes -= bytes.unwrap_or(0);
        match (self.link.reply()?, bytes) {
            (Reply::Error(text), _) => {
                // What was there before stays there.
                let hash = self.hash(&name);
                if let Some(written) = &mut self.written {
                    written.remove(&hash);
                }
                self.fail(&name, &text, report);
            }
            (_, Some(bytes)) => report.note(Outcome::Copied(bytes)),
            (Reply::Integer(0), None) => {}
            (_, None) => report.note(Outcome::Removed),
        }
        Ok(())
    }

    /// Reads all replies that are under way.
    pub fn finish(&mut self, report: &mut Report) -> Result<(), ImportError> {
        while !self.window.is_empty() {
            self.settle(report)?;
        }
        Ok(())
    }
}
