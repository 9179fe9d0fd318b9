//! All groups, by key pattern and name: two groups of one name on different patterns have nothing in common.

use super::journal::Journal;
use super::{GROUPS_MAX, Group, GroupError, GroupOptions, Start, check_name};
use crate::history::History;
use crate::position::Position;
use crate::subscription::Interest;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// By key pattern, or by name.
type ByName<T> = BTreeMap<Arc<[u8]>, T>;

/// The groups of one core.
#[derive(Default)]
pub struct GroupTable {
    numbers: ByName<ByName<u64>>,
    /// By number. A table gives no number twice.
    pub(super) groups: BTreeMap<u64, NamedGroup>,
    next: u64,
    /// What has changed; none where nobody wants to know.
    pub(super) journal: Option<Journal>,
    /// Which group's retention is looked at next.
    next_look: u64,
}

/// A group with its names.
pub(super) struct NamedGroup {
    pub(super) key_pattern: Arc<[u8]>,
    pub(super) name: Arc<[u8]>,
    pub(super) group: Group,
}

impl GroupTable {
    /// Creates a group.
    ///
    /// # Errors
    /// One that is there already, too many, a name that is too long, and what [`Group::new`] refuses.
    pub fn create(
        &mut self,
        key_pattern: &[u8],
        name: &[u8],
        start: Start,
        options: GroupOptions,
        history: &History,
    ) -> Result<(), GroupError> {
        check_name(name)?;
        if self.number(key_pattern, name).is_some() {
            return Err(GroupError::Exists);
        }
        if self.groups.len() >= GROUPS_MAX {
            return Err(GroupError::TooManyGroups);
        }
        let group = Group::new(key_pattern, start, options, history)?;
        let number = self.next;
        self.put(number, key_pattern, name, group);
        if let (Some(journal), Some(created)) = (&mut self.journal, self.groups.get_mut(&number)) {
            journal.created(number, created);
        }
        Ok(())
    }

    /// Takes in a group under a number of its own, in place of one of that name.
    pub(super) fn put(&mut self, number: u64, key_pattern: &[u8], name: &[u8], group: Group) {
        self.remove(key_pattern, name);
        let (key_pattern, name): (Arc<[u8]>, Arc<[u8]>) = (key_pattern.into(), name.into());
        self.numbers.entry(key_pattern.clone()).or_default().insert(name.clone(), number);
        self.groups.insert(number, NamedGroup { key_pattern, name, group });
        self.next = self.next.max(number + 1);
    }

    /// The number of a group, which no other group of the table ever has.
    pub fn number(&self, key_pattern: &[u8], name: &[u8]) -> Option<u64> {
        self.numbers.get(key_pattern)?.get(name).copied()
    }

    /// A group.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, key_pattern: &[u8], name: &[u8]) -> Result<&Group, GroupError> {
        let number = self.number(key_pattern, name).ok_or(GroupError::NoGroup)?;
        self.groups.get(&number).map(|named| &named.group).ok_or(GroupError::NoGroup)
    }

    /// A group, to work on.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_mut(&mut self, key_pattern: &[u8], name: &[u8]) -> Result<&mut Group, GroupError> {
        let number = self.number(key_pattern, name).ok_or(GroupError::NoGroup)?;
        if let Some(journal) = &mut self.journal {
            journal.touched(number);
        }
        self.groups.get_mut(&number).map(|named| &mut named.group).ok_or(GroupError::NoGroup)
    }

    /// The events that the group of a number shares out, if there is one.
    pub fn interest(&self, number: u64) -> Option<&Arc<Interest>> {
        self.groups.get(&number).map(|named| named.group.interest())
    }

    /// Notes that there is no event of a group in a range: see [`Group::pass_over`].
    pub fn pass_over(&mut self, number: u64, range: Range<Position>) {
        if let Some(named) = self.groups.get_mut(&number) {
            named.group.pass_over(range);
            if let Some(journal) = &mut self.journal {
                journal.touched(number);
            }
        }
    }

    /// Removes a group with all its entries; tells whether there was one.
    pub fn destroy(&mut self, key_pattern: &[u8], name: &[u8]) -> bool {
        let removed = self.remove(key_pattern, name);
        if let (Some(journal), Some((number, _))) = (&mut self.journal, &removed) {
            journal.destroyed(*number);
        }
        removed.is_some()
    }

    fn remove(&mut self, key_pattern: &[u8], name: &[u8]) -> Option<(u64, NamedGroup)> {
        let groups = self.numbers.get_mut(key_pattern)?;
        let number = groups.remove(name);
        if groups.is_empty() {
            self.numbers.remove(key_pattern);
        }
        Some((number?, self.groups.remove(&number?)?))
    }

    /// Removes the group of a number, if there is one.
    pub(super) fn remove_numbered(&mut self, number: u64) {
        if let Some(NamedGroup { key_pattern, name, .. }) = self.groups.get(&number) {
            let (key_pattern, name) = (key_pattern.clone(), name.clone());
            self.remove(&key_pattern, &name);
        }
    }

    /// Moves those groups of another table here that are wanted, by key pattern and name, in place of those of the same
    /// names; answers the others. For tables whose changes nobody keeps yet; there may be more than [`GROUPS_MAX`] then.
    pub fn take_wanted(&mut self, other: GroupTable, mut wants: impl FnMut(&[u8], &[u8]) -> bool) -> GroupTable {
        let mut others = GroupTable::default();
        for NamedGroup { key_pattern, name, group } in other.groups.into_values() {
            let target = if wants(&key_pattern, &name) { &mut *self } else { &mut others };
            target.put(target.next, &key_pattern, &name, group);
        }
        others
    }

    /// Calls `tell` for each group that has come within reach of what the history is losing since it was looked at last:
    /// see [`Group::retention_warning`]. Looks at `looks` groups, the next ones the next time. `passed` says in which range
    /// the group of a number has no event, if that is known.
    pub fn look_at_retention(
        &mut self,
        history: &History,
        looks: usize,
        passed: impl Fn(u64) -> Option<Range<Position>>,
        mut tell: impl FnMut(&[u8], &[u8], &Group),
    ) {
        let mut looked = 0;
        for (number, named) in self.groups.range_mut(self.next_look..).take(looks) {
            if let Some(range) = passed(*number) {
                named.group.pass_over(range);
                if let Some(journal) = &mut self.journal {
                    journal.touched(*number);
                }
            }
            let warns = named.group.retention_warning(history);
            if warns && !named.group.is_warned_of {
                tell(&named.key_pattern, &named.name, &named.group);
            }
            named.group.is_warned_of = warns;
            self.next_look = number + 1;
            looked += 1;
        }
        if looked < looks {
            self.next_look = 0;
        }
    }

    /// All groups with key pattern and name, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], &Group)> {
        let numbered = self.numbers.values().flat_map(|groups| groups.values());
        numbered
            .filter_map(|number| self.groups.get(number))
            .map(|named| (&*named.key_pattern, &*named.name, &named.group))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
