//! All groups of a core, by key pattern and name. Groups of the same name on different patterns are unrelated.

use super::codec::ID_MAX;
use super::error::{GROUPS_MAX, GroupError, check_name};
use super::journal::Journal;
use super::spec::GroupSpec;
use super::{Group, GroupOptions, Start};
use crate::account::{Account, Owned, Owner, Share};
use crate::history::History;
use crate::interest::Interest;
use crate::position::Position;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// By key pattern, or by name.
type ByName<T> = BTreeMap<Arc<[u8]>, T>;

/// The groups of one core.
#[derive(Default)]
pub struct GroupTable {
    numbers: ByName<ByName<u64>>,
    /// The groups by number. A number is never used again.
    pub(super) groups: BTreeMap<u64, NamedGroup>,
    next: u64,
    /// The changes to write; none where no journal is kept.
    pub(super) journal: Option<Journal>,
    /// The group whose retention is checked next.
    next_check: u64,
    /// The account of the memory of all groups of the server.
    account: Account,
    /// The group that was last handed out for changes. Its memory is counted before the next one is.
    last_used: Option<u64>,
}

/// A group with its names.
pub(super) struct NamedGroup {
    pub(super) key_pattern: Arc<[u8]>,
    pub(super) name: Arc<[u8]>,
    pub(super) group: Group,
    /// Its memory.
    share: Share,
    /// What the user has of groups who has created it; none where that is not known.
    owned: Option<Owned>,
}

/// The memory of a group's rows in the table besides its names, in bytes.
const NAMED_BYTES: usize = 512;

impl NamedGroup {
    fn count_memory(&mut self) {
        let names = self.key_pattern.len() + self.name.len();
        let bytes = (NAMED_BYTES + names + self.group.memory_bytes()) as u64;
        self.share.set(bytes);
        if let Some(owned) = &mut self.owned {
            owned.set_bytes(bytes);
        }
    }
}

impl GroupTable {
    /// Creates a group.
    ///
    /// # Errors
    /// Where the group exists, there are too many groups or too much memory of them, the name is too long, or
    /// [`Group::new`] fails.
    pub fn create(
        &mut self,
        key_pattern: &[u8],
        name: &[u8],
        start: Start,
        options: GroupOptions,
        history: &History,
    ) -> Result<(), GroupError> {
        self.create_for(None, (key_pattern, name), start, options, history)
    }

    /// As [`GroupTable::create`], for a user with these accounts.
    ///
    /// # Errors
    /// As there, and where the user has as many groups as it may, or as many bytes of them.
    pub fn create_for(
        &mut self,
        user: Option<&Owner>,
        (key_pattern, name): (&[u8], &[u8]),
        start: Start,
        options: GroupOptions,
        history: &History,
    ) -> Result<(), GroupError> {
        self.create_made(user, (key_pattern, name), start, options, None, history)
    }

    /// As [`GroupTable::create_for`], made as a specification says, with the events of this interest, which is that of the
    /// specification.
    ///
    /// # Errors
    /// As there, and where its notes are too long.
    pub fn create_made(
        &mut self,
        user: Option<&Owner>,
        (key_pattern, name): (&[u8], &[u8]),
        start: Start,
        options: GroupOptions,
        made: Option<(GroupSpec, Interest)>,
        history: &History,
    ) -> Result<(), GroupError> {
        check_name(name)?;
        if self.number(key_pattern, name).is_some() {
            return Err(GroupError::Exists);
        }
        if self.groups.len() >= GROUPS_MAX || self.next > ID_MAX {
            return Err(GroupError::TooManyGroups);
        }
        self.count_last_used();
        let mut group = Group::new(key_pattern, start, options, history)?;
        if let Some((spec, interest)) = made {
            spec.check()?;
            group.set_spec(spec, interest);
        }
        let bytes = NAMED_BYTES + key_pattern.len() + name.len() + group.memory_bytes();
        if self.account.over(bytes as u64).is_some() {
            return Err(self.account.refuse(false).into());
        }
        let owned = user.map(|user| user.take(bytes as u64)).transpose()?;
        group.creator = user.map(|user| user.name.clone()).unwrap_or_default();
        let number = self.next;
        self.put(number, key_pattern, name, group);
        if let Some(created) = self.groups.get_mut(&number) {
            created.owned = owned;
        }
        if let (Some(journal), Some(created)) = (&mut self.journal, self.groups.get_mut(&number)) {
            journal.created(number, (&created.key_pattern, &created.name), &mut created.group);
        }
        Ok(())
    }

    /// Changes the options of a group, and what it is made of but its events. Its attached consumers are removed, and what was
    /// delivered and not acknowledged is delivered again. A group that has got no event starts at `start`.
    ///
    /// # Errors
    /// There is no such group, the notes are too long, or the start is beyond the head of the history.
    pub fn update(
        &mut self,
        (key_pattern, name): (&[u8], &[u8]),
        start: Start,
        options: GroupOptions,
        spec: GroupSpec,
        history: &History,
    ) -> Result<(), GroupError> {
        let number = self.number(key_pattern, name).ok_or(GroupError::NoGroup)?;
        self.get_mut(key_pattern, name)?.update(start, options, spec, history)?;
        let GroupTable { groups, journal, .. } = self;
        if let (Some(journal), Some(named)) = (journal, groups.get_mut(&number)) {
            // The complete state comes before all other changes of the frame, and has those that were not written.
            named.group.changes.restart(named.group.cursor);
            journal.created(number, (&named.key_pattern, &named.name), &mut named.group);
        }
        Ok(())
    }

    /// The group of a number, to change it.
    pub fn numbered(&mut self, number: u64) -> Option<&mut Group> {
        let NamedGroup { key_pattern, name, .. } = self.groups.get(&number)?;
        let (key_pattern, name) = (key_pattern.clone(), name.clone());
        self.get_mut(&key_pattern, &name).ok()
    }

    /// Adds a group with this number. Replaces groups that had the number or the names.
    pub(super) fn put(&mut self, number: u64, key_pattern: &[u8], name: &[u8], group: Group) {
        self.remove_numbered(number);
        self.remove(key_pattern, name);
        let (key_pattern, name): (Arc<[u8]>, Arc<[u8]>) = (key_pattern.into(), name.into());
        self.numbers.entry(key_pattern.clone()).or_default().insert(name.clone(), number);
        let mut named = NamedGroup { key_pattern, name, group, share: self.account.share(), owned: None };
        named.count_memory();
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

    /// A group, to change it.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_mut(&mut self, key_pattern: &[u8], name: &[u8]) -> Result<&mut Group, GroupError> {
        let number = self.number(key_pattern, name).ok_or(GroupError::NoGroup)?;
        if let Some(journal) = &mut self.journal {
            journal.touched(number);
        }
        self.count_last_used();
        self.last_used = Some(number);
        let over_limit = self.account.over(1);
        let named = self.groups.get_mut(&number).ok_or(GroupError::NoGroup)?;
        named.group.over_limit = over_limit.or_else(|| named.owned.as_ref()?.over());
        Ok(&mut named.group)
    }

    /// Counts the memory of the groups on this account, which all tables of a server share. Present groups are never
    /// refused.
    pub fn set_account(&mut self, account: Account) {
        for named in self.groups.values_mut() {
            named.share = account.share();
            named.count_memory();
        }
        self.account = account;
    }

    /// Counts groups that were restored for the users who have created them; `owner_of` finds a user's accounts by its name.
    /// Present groups are never refused.
    pub fn set_owners(&mut self, owner_of: impl Fn(&[u8]) -> Option<Owner>) {
        for named in self.groups.values_mut().filter(|named| named.owned.is_none() && !named.group.creator.is_empty()) {
            named.owned = owner_of(&named.group.creator).map(|owner| owner.hold(0));
            named.count_memory();
        }
    }

    /// Counts the memory of the group that was last handed out for changes.
    fn count_last_used(&mut self) {
        if let Some(named) = self.last_used.take().and_then(|number| self.groups.get_mut(&number)) {
            named.count_memory();
        }
    }

    /// The events that the group of a number distributes; none where there is no such group.
    pub fn interest(&self, number: u64) -> Option<&Arc<Interest>> {
        self.groups.get(&number).map(|named| named.group.interest())
    }

    /// Notes that a range of the history has no event of a group: see [`Group::pass_over`].
    pub fn pass_over(&mut self, number: u64, range: Range<Position>) {
        if let Some(named) = self.groups.get_mut(&number) {
            named.group.pass_over(range);
            if let Some(journal) = &mut self.journal {
                journal.touched(number);
            }
        }
    }

    /// Removes a group with all its entries. Returns whether there was one.
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

    /// Moves groups of another table here whose key pattern and name match, replacing groups of the same names. Returns the
    /// others. For tables without a journal. The result may have more than [`GROUPS_MAX`] groups.
    pub fn take_matching(&mut self, other: GroupTable, mut matches: impl FnMut(&[u8], &[u8]) -> bool) -> GroupTable {
        let mut others = GroupTable::default();
        for NamedGroup { key_pattern, name, group, .. } in other.groups.into_values() {
            let target = if matches(&key_pattern, &name) { &mut *self } else { &mut others };
            target.put(target.next, &key_pattern, &name, group);
        }
        others
    }

    /// Checks the next `count` groups, and calls `warn` for each that has a [retention
    /// warning](Group::retention_warning) and had none at its last check. `passed` returns a range that has no event of the
    /// group with a number, if one is known.
    pub fn check_retention(
        &mut self,
        history: &History,
        count: usize,
        passed: impl Fn(u64) -> Option<Range<Position>>,
        mut warn: impl FnMut(&[u8], &[u8], &Group),
    ) {
        let mut checked = 0;
        for (number, named) in self.groups.range_mut(self.next_check..).take(count) {
            if let Some(range) = passed(*number) {
                named.group.pass_over(range);
                if let Some(journal) = &mut self.journal {
                    journal.touched(*number);
                }
            }
            let warns = named.group.retention_warning(history);
            if warns && !named.group.was_warned {
                warn(&named.key_pattern, &named.name, &named.group);
            }
            named.group.was_warned = warns;
            self.next_check = number + 1;
            checked += 1;
        }
        if checked < count {
            self.next_check = 0;
        }
    }

    /// All groups with key pattern and name, in the order of key pattern and name.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], &Group)> {
        let numbered = self.numbers.values().flat_map(|groups| groups.values());
        numbered
            .filter_map(|number| self.groups.get(number))
            .map(|named| (&*named.key_pattern, &*named.name, &named.group))
    }

    /// At most `count` groups from the one with these names on, or behind it, in the same order.
    pub fn iter_from<'t>(
        &'t self,
        (key_pattern, name): (&[u8], &[u8]),
        is_behind: bool,
        count: usize,
    ) -> impl Iterator<Item = (&'t [u8], &'t [u8], &'t Group)> {
        let first = if is_behind { Bound::Excluded(name) } else { Bound::Included(name) };
        let of_key =
            self.numbers.get_key_value(key_pattern).into_iter().flat_map(move |(_, groups)| {
                groups.range::<[u8], _>((first, Bound::Unbounded)).map(|(_, number)| number)
            });
        let rest = self.numbers.range::<[u8], _>((Bound::Excluded(key_pattern), Bound::Unbounded));
        let numbers: Vec<u64> =
            of_key.chain(rest.flat_map(|(_, groups)| groups.values())).take(count).copied().collect();
        let named = numbers.into_iter().filter_map(|number| self.groups.get(&number));
        named.map(|named| (&*named.key_pattern, &*named.name, &named.group))
    }

    /// The number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are no groups.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
