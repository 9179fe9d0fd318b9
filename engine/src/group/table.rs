//! All groups, by key pattern and name: two groups of one name on different patterns have nothing in common.

use super::error::{GROUPS_MAX, GroupError, check_name};
use super::journal::Journal;
use super::{Group, GroupOptions, Start};
use crate::account::{Account, Share};
use crate::history::History;
use crate::interest::Interest;
use crate::position::Position;
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
    /// What all groups of the server together may take.
    account: Account,
    /// The group that was worked on last: what it takes is counted before the next one is worked on.
    worked_on: Option<u64>,
}

/// A group with its names.
pub(super) struct NamedGroup {
    pub(super) key_pattern: Arc<[u8]>,
    pub(super) name: Arc<[u8]>,
    pub(super) group: Group,
    /// The memory that it takes.
    share: Share,
}

/// What a group takes in the table, beside its names, in bytes.
const NAMED_BYTES: usize = 512;

impl NamedGroup {
    fn count(&mut self) {
        let names = self.key_pattern.len() + self.name.len();
        self.share.set((NAMED_BYTES + names + self.group.memory_bytes()) as u64);
    }
}

impl GroupTable {
    /// Creates a group.
    ///
    /// # Errors
    /// One that is there already, too many or too much memory for all of them, a name that is too long, and what
    /// [`Group::new`] refuses.
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
        self.settle();
        let group = Group::new(key_pattern, start, options, history)?;
        let bytes = NAMED_BYTES + key_pattern.len() + name.len() + group.memory_bytes();
        if self.account.over(bytes as u64).is_some() {
            return Err(self.account.refuse(false).into());
        }
        let number = self.next;
        self.put(number, key_pattern, name, group);
        if let (Some(journal), Some(created)) = (&mut self.journal, self.groups.get_mut(&number)) {
            journal.created(number, (&created.key_pattern, &created.name), &mut created.group);
        }
        Ok(())
    }

    /// Takes in a group under a number of its own, in place of those that had the name or the number.
    pub(super) fn put(&mut self, number: u64, key_pattern: &[u8], name: &[u8], group: Group) {
        self.remove_numbered(number);
        self.remove(key_pattern, name);
        let (key_pattern, name): (Arc<[u8]>, Arc<[u8]>) = (key_pattern.into(), name.into());
        self.numbers.entry(key_pattern.clone()).or_default().insert(name.clone(), number);
        let mut named = NamedGroup { key_pattern, name, group, share: self.account.share() };
        named.count();
        self.groups.insert(number, named);
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
        self.settle();
        self.worked_on = Some(number);
        let no_room = self.account.over(1);
        let named = self.groups.get_mut(&number).ok_or(GroupError::NoGroup)?;
        named.group.no_room = no_room;
        Ok(&mut named.group)
    }

    /// Counts what the groups take on this account from now on, which all tables of a server share. What is there is
    /// never refused.
    pub fn set_account(&mut self, account: Account) {
        for named in self.groups.values_mut() {
            named.share = account.share();
            named.count();
        }
        self.account = account;
    }

    /// Counts what the group takes that was worked on last.
    fn settle(&mut self) {
        if let Some(named) = self.worked_on.take().and_then(|number| self.groups.get_mut(&number)) {
            named.count();
        }
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
        for NamedGroup { key_pattern, name, group, .. } in other.groups.into_values() {
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
