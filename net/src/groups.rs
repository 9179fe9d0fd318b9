//! The consumer groups that a core keeps, where they are kept on disk too, and when those who wait for their events should
//! look again although nothing was published.

use crate::group_store::GroupJournal;
use keytide_engine::group::GroupTable;
use keytide_engine::history::History;
use keytide_engine::position::ShardId;
use keytide_engine::slot::Slot;

/// The consumer groups of one core.
#[derive(Default)]
pub struct Groups {
    /// The groups.
    pub table: GroupTable,
    /// None where they end with the process.
    journal: Option<GroupJournal>,
    changed: bool,
    due_ms: Option<u64>,
    /// When their retention is looked at next, Unix milliseconds.
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

    /// Logs each group that is about to lose events, once until it has caught up.
    pub fn look_at_retention(&mut self, history: &History, now_ms: u64) {
        if self.table.is_empty() || now_ms < self.look_ms {
            return;
        }
        self.look_ms = now_ms + LOOK_EVERY_MS;
        self.table.look_at_retention(history, LOOKS, |key_pattern, name, group| {
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

    /// Notes that a group gave something back, or has room again: who waits should look.
    pub fn note_change(&mut self) {
        self.changed = true;
    }

    /// Notes that someone waits on a group whose next entry is due at `due_ms`, Unix milliseconds.
    pub fn wait_until(&mut self, due_ms: Option<u64>) {
        self.due_ms = [self.due_ms, due_ms].into_iter().flatten().min();
    }

    /// When those who wait should look again although nothing happens, Unix milliseconds.
    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Whether those who wait should look again. Asked once per turn, before they are run; who still has to wait
    /// says again until when.
    pub fn take_change(&mut self, now_ms: u64) -> bool {
        let is_due = self.due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        let changed = std::mem::take(&mut self.changed);
        if changed || is_due {
            self.due_ms = None;
        }
        changed || is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_looks_again_after_a_change_and_when_an_entry_is_due() {
        let mut groups = Groups::default();
        assert!(!groups.take_change(5));
        groups.note_change();
        assert!(groups.take_change(5) && !groups.take_change(5));
        groups.wait_until(Some(20));
        groups.wait_until(Some(30));
        groups.wait_until(None);
        assert!(groups.due_ms() == Some(20) && !groups.take_change(19));
        assert!(groups.take_change(20) && groups.due_ms().is_none());
    }
}
