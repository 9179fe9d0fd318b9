//! The consumer groups that a core keeps, and when those who wait for their events should look again although nothing
//! was published.

use keytide_engine::group::GroupTable;

/// The consumer groups of one core.
#[derive(Default)]
pub struct Groups {
    /// The groups.
    pub table: GroupTable,
    changed: bool,
    due_ms: Option<u64>,
}

impl Groups {
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
