//! The consumer groups that a core keeps, where they are kept on disk too, and which of them have changed so that those who
//! wait for their events should look again although nothing was published.

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
    /// None where they end with the process.
    journal: Option<GroupJournal>,
    changed: Vec<u64>,
    /// When their retention is looked at next, steady milliseconds.
    look_ms: u64,
}

/// How often it is looked whether groups are about to lose events, milliseconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// At how many groups, so that it takes no turn's time to speak of.
const LOOKS: usize = 1_024;

/// The core that keeps a group: any rule does, as long as all cores agree.
pub fn core_of(key_pattern: &[u8], name: &[u8], cores: u16) -> ShardId {
    ShardId((Slot::of(key_pattern).0 ^ Slot::of(name).0) % cores)
}

impl Groups {
    /// Groups that were read from disk, with the journal of what changes in them.
    pub(crate) fn new(table: GroupTable, journal: GroupJournal) -> Groups {
        Groups { table, journal: Some(journal), ..Groups::default() }
    }

    /// What a command that changes a group is refused with, where its change could not be kept.
    pub fn refusal(&self) -> Option<String> {
        let reason = self.journal.as_ref()?.failure()?;
        Some(format!("ERR consumer groups cannot be written: {reason}; restart the server when the disk is well"))
    }

    /// Writes what the turn has changed, if groups are written; tells what those who changed something are to be told
    /// instead of their replies where that fails. To be called before any of these leaves.
    pub fn write(&mut self) -> Option<String> {
        let journal = self.journal.as_mut()?;
        if journal.write(&mut self.table) { None } else { self.refusal() }
    }

    /// Writes and syncs everything: for a server that stops.
    pub fn close(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.close(&mut self.table);
        }
    }

    /// Logs each group that is about to lose events, once until it has caught up. `now_ms` is steady; `passed` says in which
    /// range the group of a number has no event, if that is known.
    pub fn check_retention(&mut self, history: &History, now_ms: u64, passed: impl Fn(u64) -> Option<Range<Position>>) {
        if self.table.is_empty() || now_ms < self.look_ms {
            return;
        }
        self.look_ms = now_ms + LOOK_EVERY_MS;
        self.table.check_retention(history, LOOKS, passed, |key_pattern, name, group| {
            let (key, name, info) = (key_pattern.escape_ascii(), name.escape_ascii(), group.info());
            tracing::warn!(
                "consumer group {name} of {key} is about to lose events, or has: the history begins at {}, the group has \
                 worked off what is below {}, {} events are pending",
                history.first_available(),
                info.floor,
                info.pending
            );
        });
    }

    /// Notes that a group gave something back, has room again, or is about to go: who waits for it should look.
    pub fn note_change(&mut self, key_pattern: &[u8], name: &[u8]) {
        self.changed.extend(self.table.number(key_pattern, name));
    }

    /// The groups, by number, that have changed so since this was asked last.
    pub fn take_changed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.changed)
    }
}
