//! The consumer groups of a core, and their journal on disk. Also notes which groups have changed, so that commands that
//! wait for their events try again although nothing was published.

pub mod ask;
pub mod store;

use keytide_engine::group::GroupTable;
use keytide_engine::history::History;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::slot::Slot;
use std::ops::Range;
use store::GroupJournal;

/// The consumer groups of one core.
#[derive(Default)]
pub struct Groups {
    /// The groups.
    pub table: GroupTable,
    /// None where the groups end with the process.
    journal: Option<GroupJournal>,
    changed: Vec<u64>,
    /// The time of the next retention check, steady milliseconds.
    next_check_ms: u64,
}

/// The interval of retention checks, in milliseconds.
const CHECK_INTERVAL_MS: u64 = 1_000;

/// The number of groups of one retention check. It bounds the time that the check takes from a turn.
const CHECKED_GROUPS: usize = 1_024;

/// The core that keeps a group. Any rule would do on which all cores agree.
pub fn core_of(key_pattern: &[u8], name: &[u8], cores: u16) -> ShardId {
    ShardId((Slot::of(key_pattern).0 ^ Slot::of(name).0) % cores)
}

impl Groups {
    /// Groups that were read from disk, with the journal of their changes.
    pub(crate) fn new(table: GroupTable, journal: GroupJournal) -> Groups {
        Groups { table, journal: Some(journal), ..Groups::default() }
    }

    /// The error for commands that change a group, once the journal has failed.
    pub fn refusal(&self) -> Option<String> {
        let reason = self.journal.as_ref()?.failure()?;
        Some(format!("ERR consumer groups cannot be written: {reason}; restart the server when the disk is well"))
    }

    /// Writes the turn's changes to the journal, if there is one. If that fails, returns the error that the clients of these
    /// changes get instead of their replies. To be called before any of the replies leaves.
    pub fn write(&mut self) -> Option<String> {
        let journal = self.journal.as_mut()?;
        if journal.write(&mut self.table) { None } else { self.refusal() }
    }

    /// Writes and syncs all changes: for a server that stops.
    pub fn close(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.close(&mut self.table);
        }
    }

    /// Logs a warning for each group that is about to lose events, once until it has caught up. `now_ms` is steady. `passed`
    /// returns a range that has no event of the group with a number, if one is known.
    pub fn check_retention(&mut self, history: &History, now_ms: u64, passed: impl Fn(u64) -> Option<Range<Position>>) {
        if self.table.is_empty() || now_ms < self.next_check_ms {
            return;
        }
        self.next_check_ms = now_ms + CHECK_INTERVAL_MS;
        self.table.check_retention(history, CHECKED_GROUPS, passed, |key_pattern, name, group| {
            let (key, name, info) = (key_pattern.escape_ascii(), name.escape_ascii(), group.info());
            tracing::warn!(
                "consumer group {name} of {key} is about to lose events, or has lost some: the history begins at {}, the \
                 group has processed everything below {}, {} events are pending",
                history.first_available(),
                info.floor,
                info.pending
            );
        });
    }

    /// Notes that a group has released an entry, has room again, or will be destroyed: commands that wait for it try again.
    pub fn note_change(&mut self, key_pattern: &[u8], name: &[u8]) {
        self.changed.extend(self.table.number(key_pattern, name));
    }

    /// Takes the numbers of the groups that were noted since the last call.
    pub fn take_changed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.changed)
    }
}
