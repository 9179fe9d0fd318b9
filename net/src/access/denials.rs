//! What was denied, for ACL LOG: the newest entries first, equal ones within a minute counted together.

use super::check::Reason;
use crate::limits::{DENIAL_OBJECT_BYTES_MAX, DENIALS_GROUPED_MS, DENIALS_LOOKED_AT};
use crate::paced::Paced;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a denied command came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// A client sent it by itself.
    TopLevel,
    /// It is part of a transaction.
    Multi,
}

impl Context {
    /// Its name in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Context::TopLevel => "toplevel",
            Context::Multi => "multi",
        }
    }
}

impl Reason {
    /// All.
    pub const ALL: [Reason; 5] = [Reason::Command, Reason::Key, Reason::Channel, Reason::Auth, Reason::TlsCertificate];

    /// Its name in ACL LOG.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Auth => "auth",
            Reason::TlsCertificate => "tls-cert",
        }
    }
}

/// Something that is being denied.
#[derive(Clone, Copy, Debug)]
pub struct DeniedRequest<'a> {
    /// Why.
    pub reason: Reason,
    /// Where it came from.
    pub context: Context,
    /// The command, key or channel; for a failed login the command that tried it.
    pub object: &'a [u8],
    /// The name of the user; for a failed login the name that was given.
    pub user: &'a [u8],
    /// The client's number.
    pub client: u64,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
}

/// An entry of ACL LOG.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number, from 0.
    pub id: u64,
    /// How often it happened.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Where the command came from.
    pub context: Context,
    /// The command, key or channel, its first [`DENIAL_OBJECT_BYTES_MAX`] bytes.
    pub object: Box<[u8]>,
    /// The name of the user.
    pub user: Box<[u8]>,
    /// When it happened first, Unix milliseconds.
    pub created_ms: u64,
    /// When it happened last, Unix milliseconds.
    pub updated_ms: u64,
    /// The client to whom it happened last, as CLIENT LIST describes it.
    pub client_info: String,
}

impl Entry {
    fn is_like(&self, denied: &DeniedRequest<'_>) -> bool {
        self.reason == denied.reason
            && self.context == denied.context
            && self.updated_ms.abs_diff(denied.now_ms) <= DENIALS_GROUPED_MS
            && *self.object == *shortened(denied.object)
            && *self.user == *shortened(denied.user)
    }
}

fn shortened(object: &[u8]) -> &[u8] {
    &object[..object.len().min(DENIAL_OBJECT_BYTES_MAX)]
}

/// What was denied, to all users.
#[derive(Debug)]
pub struct Denials {
    log: Mutex<Log>,
    max: AtomicU64,
    /// By reason, since the counters were last reset.
    counts: [AtomicU64; Reason::ALL.len()],
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    next_id: u64,
    told: [Paced; Reason::ALL.len()],
}

impl Denials {
    /// Without any. At most `max` entries are kept.
    pub(super) fn new(max: u64) -> Denials {
        Denials { log: Mutex::default(), max: AtomicU64::new(max), counts: Default::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        // Entries are whole, whatever a panic has interrupted.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps, counts, and now and then logs, something that is being denied.
    pub fn note(&self, denied: &DeniedRequest<'_>, client_info: String) {
        // Relaxed: a figure by itself.
        let total = self.counts[denied.reason as usize].fetch_add(1, Ordering::Relaxed) + 1;
        // Names that clients give themselves are as long as they like.
        let client_info = String::from_utf8_lossy(shortened(client_info.as_bytes())).into_owned();
        let mut log = self.lock();
        if log.told[denied.reason as usize].is_due() {
            let (user, object) = (shortened(denied.user).escape_ascii(), shortened(denied.object).escape_ascii());
            let (reason, context, client) = (denied.reason.name(), denied.context.name(), denied.client);
            tracing::warn!(%user, reason, context, %object, client, total, "access denied");
        }
        let place = log.entries.iter().take(DENIALS_LOOKED_AT).position(|entry| entry.is_like(denied));
        let entry = match place.and_then(|place| log.entries.remove(place)) {
            Some(before) => Entry { count: before.count + 1, updated_ms: denied.now_ms, client_info, ..before },
            None => {
                log.next_id += 1;
                Entry {
                    id: log.next_id - 1,
                    count: 1,
                    reason: denied.reason,
                    context: denied.context,
                    object: shortened(denied.object).into(),
                    user: shortened(denied.user).into(),
                    created_ms: denied.now_ms,
                    updated_ms: denied.now_ms,
                    client_info,
                }
            }
        };
        log.entries.push_front(entry);
        log.entries.truncate(self.max() as usize);
    }

    /// The newest entries, `count` at the most.
    pub fn newest(&self, count: usize) -> Vec<Entry> {
        self.lock().entries.iter().take(count).cloned().collect()
    }

    /// Removes all entries.
    pub fn clear(&self) {
        self.lock().entries.clear();
    }

    /// How many entries are kept at the most.
    pub fn max(&self) -> u64 {
        // Relaxed: a number by itself.
        self.max.load(Ordering::Relaxed)
    }

    /// Changes that; what is too much goes with the next entry.
    pub fn set_max(&self, max: u64) {
        // Relaxed: as above.
        self.max.store(max, Ordering::Relaxed);
    }

    /// How often something was denied for this reason since the counters were last reset.
    pub fn count(&self, reason: Reason) -> u64 {
        // Relaxed: a figure by itself.
        self.counts[reason as usize].load(Ordering::Relaxed)
    }

    /// Lets the counters begin at 0 again.
    pub fn reset_counts(&self) {
        // Relaxed: as above.
        self.counts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(object: &str, now_ms: u64) -> DeniedRequest<'_> {
        let (reason, context) = (Reason::Key, Context::TopLevel);
        DeniedRequest { reason, context, object: object.as_bytes(), user: b"u", client: 7, now_ms }
    }

    fn shown(denials: &Denials) -> Vec<(u64, u64, String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = |entry: Entry| (entry.id, entry.count, text(&entry.object), entry.client_info);
        denials.newest(100).into_iter().map(shown).collect()
    }

    fn row(id: u64, count: u64, object: &str, info: &str) -> (u64, u64, String, String) {
        (id, count, object.to_owned(), info.to_owned())
    }

    #[test]
    fn equal_denials_within_a_minute_are_one_entry() {
        let denials = Denials::new(128);
        denials.note(&denied("a", 1_000), "first".into());
        denials.note(&denied("b", 1_000), "b".into());
        denials.note(&denied("a", 61_000), "second".into());
        assert_eq!(shown(&denials), [row(0, 2, "a", "second"), row(1, 1, "b", "b")]);
        denials.note(&DeniedRequest { context: Context::Multi, ..denied("a", 61_000) }, "multi".into());
        denials.note(&denied("a", 121_001), "later".into());
        let rows = shown(&denials);
        assert_eq!(rows[0], row(3, 1, "a", "later"));
        assert_eq!(rows[1], row(2, 1, "a", "multi"));
        assert_eq!(denials.count(Reason::Key), 5);
        denials.reset_counts();
        denials.clear();
        assert_eq!((denials.count(Reason::Key), denials.newest(9).len()), (0, 0));
    }

    #[test]
    fn the_oldest_go_and_long_names_are_cut() {
        let denials = Denials::new(3);
        let long = "k".repeat(DENIAL_OBJECT_BYTES_MAX + 1);
        for object in ["a", "b", "c", &long] {
            denials.note(&denied(object, 1_000), String::new());
        }
        let rows = shown(&denials);
        assert_eq!(rows.iter().map(|row| row.2.len()).collect::<Vec<_>>(), [DENIAL_OBJECT_BYTES_MAX, 1, 1]);
        denials.set_max(1);
        denials.note(&denied("d", 1_000), String::new());
        assert_eq!(shown(&denials), [row(4, 1, "d", "")]);
        denials.set_max(0);
        denials.note(&denied("e", 1_000), String::new());
        assert!(shown(&denials).is_empty());
    }
}
