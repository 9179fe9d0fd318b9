//! Which keys of the source change: its keyspace notifications, on a connection with a thread of its own.

use super::Wanted;
use super::address::Address;
use super::link::{Link, LinkError};
use super::reply::Reply;
use super::target::Name;
use crate::limits::{IMPORT_CHANGED_BYTES_MAX, IMPORT_REPLY_SECONDS};
use indexmap::IndexSet;
use keytide_engine::filter::Glob;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a key takes beside its name, in bytes.
const KEY_BYTES: usize = 64;

/// So long the thread waits for a notification before it looks whether it is asked for something.
const PATIENCE: Duration = Duration::from_millis(20);

/// The setting of the source.
const SETTING: &[u8] = b"notify-keyspace-events";

/// The keys that have changed and were not copied again yet.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// The setting that the source had, if it was changed.
    former: Option<Vec<u8>>,
    server: String,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    keys: IndexSet<Name>,
    bytes: usize,
    /// The number of marks that were asked for, and of those that came back through the connection.
    asked: u64,
    answered: u64,
    /// Why there are no notifications any more.
    failed: Option<String>,
    is_stopping: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Begins to watch; the setting of the source is changed for that over `control`. The inner error says why the source
    /// does not tell what changes.
    pub fn begin(
        control: &mut Link,
        from: &Address,
        ca: Option<&Path>,
        wanted: &Wanted,
    ) -> Result<Result<Watch, String>, LinkError> {
        let former = match control.call(&[b"CONFIG", b"GET", SETTING])? {
            Reply::Array(pair) => match pair.as_slice() {
                [_, Reply::Bulk(Some(value))] => value.clone(),
                _ => return Ok(Err("it has no notifications".to_owned())),
            },
            Reply::Error(text) => return Ok(Err(text)),
            _ => return Ok(Err("it has no notifications".to_owned())),
        };
        let mut link = Link::open(from, ca)?;
        let pattern = wanted.db.map_or("*".to_owned(), |db| db.to_string());
        let pattern = format!("__keyspace@{pattern}__:*");
        match link.call(&[b"PSUBSCRIBE", pattern.as_bytes()])? {
            Reply::Error(text) => return Ok(Err(text)),
            _ => link.wait_for(PATIENCE)?,
        }
        // Whoever else listens goes on to get what they got.
        let missing = b"KA".iter().filter(|class| !former.contains(class));
        let setting: Vec<u8> = former.iter().chain(missing).copied().collect();
        let is_new = setting.len() > former.len();
        if is_new && let Reply::Error(text) = control.call(&[b"CONFIG", b"SET", SETTING, &setting])? {
            return Ok(Err(text));
        }
        let shared = Arc::new(Shared::default());
        let (of_thread, pattern) = (shared.clone(), wanted.pattern.clone());
        let thread = std::thread::spawn(move || {
            let failed = listen(&of_thread, &mut link, pattern.as_ref()).err().map(|error| error.to_string());
            of_thread.lock().failed = failed;
            of_thread.changed.notify_all();
        });
        Ok(Ok(Watch { shared, thread: Some(thread), former: is_new.then_some(former), server: control.server.clone() }))
    }

    /// Ends, and gives the source back its setting.
    pub fn end(mut self, control: &mut Link) -> Result<(), LinkError> {
        self.stop();
        match &self.former {
            Some(former) => control.demand(&[b"CONFIG", b"SET", SETTING, former]).map(drop),
            None => Ok(()),
        }
    }

    fn stop(&mut self) {
        self.shared.lock().is_stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It has told of its errors.
            let _ = thread.join();
        }
    }

    /// Whether so many keys wait that they should be copied before others.
    pub fn is_half_full(&self) -> bool {
        self.shared.lock().bytes > IMPORT_CHANGED_BYTES_MAX / 2
    }

    /// Takes the keys that have changed.
    pub fn take(&self) -> Vec<Name> {
        let mut state = self.shared.lock();
        state.bytes = 0;
        let keys = std::mem::take(&mut state.keys);
        drop(state);
        self.shared.changed.notify_all();
        keys.into_iter().collect()
    }

    /// Waits until everything has come that the source has sent so far.
    pub fn catch_up(&self) -> Result<(), LinkError> {
        let failed = |why: &str| {
            let text = format!("notifications of changes ended, so some may be lost: {why}");
            Err(LinkError::Refused { server: self.server.clone(), text })
        };
        let until = Instant::now() + Duration::from_secs(IMPORT_REPLY_SECONDS);
        let mut state = self.shared.lock();
        state.asked += 1;
        let mark = state.asked;
        loop {
            if let Some(why) = &state.failed {
                return failed(why);
            }
            // A full set is taken, and what comes then is waited for later.
            if state.answered >= mark || state.bytes > IMPORT_CHANGED_BYTES_MAX {
                return Ok(());
            }
            if Instant::now() > until {
                return failed("no answer in time");
            }
            let waited = self.shared.changed.wait_timeout(state, PATIENCE);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits a moment, or until a key changes.
    pub fn wait(&self) {
        let state = self.shared.lock();
        if state.keys.is_empty() && state.failed.is_none() {
            drop(self.shared.changed.wait_timeout(state, 5 * PATIENCE));
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Collects the keys of notifications until it should stop.
fn listen(shared: &Shared, link: &mut Link, pattern: Option<&Glob>) -> Result<(), LinkError> {
    let mut sent = 0;
    loop {
        let asked = {
            let mut state = shared.lock();
            // While the set is full the source has to wait, which it does not do for ever.
            while state.bytes > IMPORT_CHANGED_BYTES_MAX && !state.is_stopping {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_stopping {
                return Ok(());
            }
            state.asked
        };
        if sent < asked {
            // Its answer comes behind all that was sent before.
            link.send(&[b"PING", b"mark"])?;
            sent += 1;
        }
        let Some(reply) = link.reply_within()? else { continue };
        let Reply::Array(words) = reply else { continue };
        let mut state = shared.lock();
        match words.as_slice() {
            [Reply::Bulk(Some(kind)), _, Reply::Bulk(Some(channel)), _] if kind == b"pmessage" => {
                if let Some(name) = name_of(channel)
                    && pattern.is_none_or(|pattern| pattern.matches(&name.1))
                {
                    let bytes = name.1.len() + KEY_BYTES;
                    if state.keys.insert(name) {
                        state.bytes += bytes;
                    }
                }
            }
            [Reply::Bulk(Some(kind)), ..] if kind == b"pong" => state.answered += 1,
            _ => continue,
        }
        drop(state);
        shared.changed.notify_all();
    }
}

/// The key that a channel is about, `__keyspace@<database>__:<key>`.
fn name_of(channel: &[u8]) -> Option<Name> {
    let rest = channel.strip_prefix(b"__keyspace@")?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let db = str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    Some((db, rest[digits..].strip_prefix(b"__:")?.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_a_database_and_a_key() {
        assert_eq!(name_of(b"__keyspace@12__:a__:b"), Some((12, b"a__:b".to_vec())));
        assert_eq!(name_of(b"__keyspace@0__:"), Some((0, Vec::new())));
        for other in [&b"__keyevent@0__:set"[..], b"__keyspace@x__:a", b"__keyspace@1_:a", b"other"] {
            assert_eq!(name_of(other), None);
        }
    }
}
