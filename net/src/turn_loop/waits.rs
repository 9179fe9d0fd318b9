//! The waits of a core's commands. Each kind of wait has an index of its own: an event finds the commands that wait for it, and
//! the others cost nothing.
//!
//! | what | by | found by |
//! |---|---|---|
//! | a deadline | the time | [`Waits::take_due`] |
//! | an event | the command | the hub: [`Watcher::Command`] |
//! | a consumer group: an event of its pattern, an entry given back or due, room | the group | [`Waits::first_of`] |
//! | a value of a key, such as an element of a list | the key | the shard: [`Waiters`](keytide_engine::waiters::Waiters) |

use crate::command::WaitFor;
use keytide_engine::subscription::WatcherId;
use std::collections::{BTreeSet, HashMap};

/// The number of a deferred command. A core uses each number once, and later commands have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct CommandId(pub u64);

/// A command or a group that waits for events at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watcher {
    /// One command.
    Command(CommandId),
    /// All commands that wait for the consumer group of this number.
    Group(u64),
}

impl Watcher {
    /// The watcher's id at the hub.
    pub fn id(self) -> WatcherId {
        match self {
            Watcher::Command(CommandId(number)) => WatcherId(number << 1),
            Watcher::Group(number) => WatcherId(number << 1 | 1),
        }
    }

    /// The inverse of [`Watcher::id`].
    pub fn of(WatcherId(word): WatcherId) -> Watcher {
        if word & 1 == 0 { Watcher::Command(CommandId(word >> 1)) } else { Watcher::Group(word >> 1) }
    }
}

/// The waits of one core's deferred commands. Times are steady milliseconds, see `keytide_engine::clock`.
#[derive(Default)]
pub(super) struct Waits {
    deadlines: BTreeSet<(u64, CommandId)>,
    groups: HashMap<u64, GroupWait>,
    /// The groups with an entry that is due again, by that time, steady milliseconds.
    group_dues: BTreeSet<(u64, u64)>,
}

/// The commands that wait for a consumer group. The one that has waited longest runs first, and the next one only if the first
/// got events.
#[derive(Default)]
struct GroupWait {
    commands: BTreeSet<CommandId>,
    due_ms: Option<u64>,
}

/// The waits that are due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Commands whose deadline has passed.
    pub commands: Vec<CommandId>,
    /// Groups of which an entry is due again.
    pub groups: Vec<u64>,
}

impl Waits {
    /// Adds the wait of a command, which ends at `deadline_ms` at the latest.
    pub fn add(&mut self, id: CommandId, wait: WaitFor, deadline_ms: Option<u64>) {
        self.deadlines.extend(deadline_ms.map(|at_ms| (at_ms, id)));
        if let WaitFor::Group { number, due_ms, .. } = wait {
            self.groups.entry(number).or_default().commands.insert(id);
            self.set_due(number, due_ms);
        }
    }

    /// Ends the wait of a command. The group for which it waited stays known, with its due entry: see
    /// [`Waits::first_of`].
    pub fn remove(&mut self, id: CommandId, wait: WaitFor, deadline_ms: Option<u64>) {
        if let Some(at_ms) = deadline_ms {
            self.deadlines.remove(&(at_ms, id));
        }
        if let WaitFor::Group { number, .. } = wait
            && let Some(group) = self.groups.get_mut(&number)
        {
            group.commands.remove(&id);
        }
    }

    /// The command that has waited longest for a group. A group without waiting commands is forgotten.
    pub fn first_of(&mut self, group: u64) -> Option<CommandId> {
        let first = self.groups.get(&group)?.commands.first().copied();
        if first.is_none() {
            self.set_due(group, None);
            self.groups.remove(&group);
        }
        first
    }

    /// Whether any command waits for a group, or did at the last check.
    pub fn has_group(&self, group: u64) -> bool {
        self.groups.contains_key(&group)
    }

    /// The groups for which commands wait.
    pub fn groups(&self) -> Vec<u64> {
        self.groups.keys().copied().collect()
    }

    fn set_due(&mut self, number: u64, due_ms: Option<u64>) {
        let Some(group) = self.groups.get_mut(&number) else { return };
        if let Some(before) = std::mem::replace(&mut group.due_ms, due_ms) {
            self.group_dues.remove(&(before, number));
        }
        self.group_dues.extend(due_ms.map(|due_ms| (due_ms, number)));
    }

    /// The time at which the next wait is due.
    pub fn next_due_ms(&self) -> Option<u64> {
        let deadline = self.deadlines.first().map(|(at_ms, _)| *at_ms);
        let group = self.group_dues.first().map(|(due_ms, _)| *due_ms);
        [deadline, group].into_iter().flatten().min()
    }

    /// Takes the waits that are due; none of them is due a second time.
    pub fn take_due(&mut self, now_ms: u64) -> Due {
        let mut due = Due::default();
        while let Some(&(at_ms, id)) = self.deadlines.first().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.deadlines.remove(&(at_ms, id));
            due.commands.push(id);
        }
        while let Some(&(_, number)) = self.group_dues.first().filter(|(due_ms, _)| *due_ms <= now_ms) {
            self.set_due(number, None);
            due.groups.push(number);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keytide_engine::position::Position;

    const A: CommandId = CommandId(1);
    const B: CommandId = CommandId(2);

    fn of_group(number: u64, due_ms: Option<u64>) -> WaitFor {
        WaitFor::Group { number, reads_from: Some(Position(7)), due_ms }
    }

    #[test]
    fn a_watcher_is_known_by_its_number() {
        for watcher in [Watcher::Command(A), Watcher::Group(1), Watcher::Group(0)] {
            assert_eq!(Watcher::of(watcher.id()), watcher);
        }
    }

    #[test]
    fn deadlines_come_in_their_order_and_once() {
        let mut waits = Waits::default();
        waits.add(A, WaitFor::Deadline, Some(30));
        waits.add(B, WaitFor::Events(Position(1)), Some(20));
        waits.add(CommandId(3), WaitFor::Deadline, None);
        assert_eq!((waits.next_due_ms(), waits.take_due(19)), (Some(20), Due::default()));
        assert_eq!(waits.take_due(25), Due { commands: vec![B], groups: vec![] });
        waits.remove(B, WaitFor::Events(Position(1)), Some(20));
        waits.remove(A, WaitFor::Deadline, Some(30));
        assert_eq!((waits.next_due_ms(), waits.take_due(99)), (None, Due::default()));
    }

    #[test]
    fn the_group_is_the_key_and_who_has_waited_longest_is_first() {
        let mut waits = Waits::default();
        waits.add(B, of_group(5, Some(40)), None);
        waits.add(A, of_group(5, Some(20)), Some(90));
        assert_eq!((waits.first_of(5), waits.first_of(6), waits.next_due_ms()), (Some(A), None, Some(20)));
        assert_eq!(waits.take_due(20), Due { commands: vec![], groups: vec![5] });
        waits.remove(A, of_group(5, None), Some(90));
        assert_eq!(waits.first_of(5), Some(B));
        waits.add(A, of_group(5, None), Some(90));
        assert_eq!(waits.first_of(5), Some(A), "it keeps its place");
        waits.remove(A, of_group(5, None), Some(90));
        waits.remove(B, of_group(5, None), None);
        assert!(waits.has_group(5) && waits.first_of(5).is_none() && !waits.has_group(5));
        assert_eq!(waits.next_due_ms(), None);
    }
}
