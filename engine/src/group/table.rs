//! All groups, by key pattern and name: two groups of one name on different patterns have nothing in common.

use super::{GROUPS_MAX, Group, GroupError, GroupOptions, Start, check_name};
use crate::history::History;
use std::collections::BTreeMap;

/// By key pattern, or by name.
type ByName<T> = BTreeMap<Box<[u8]>, T>;

/// The groups of one core.
#[derive(Default)]
pub struct GroupTable {
    groups: ByName<ByName<Group>>,
    count: usize,
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
        if self.get(key_pattern, name).is_ok() {
            return Err(GroupError::Exists);
        }
        if self.count >= GROUPS_MAX {
            return Err(GroupError::TooManyGroups);
        }
        let group = Group::new(key_pattern, start, options, history)?;
        self.groups.entry(key_pattern.into()).or_default().insert(name.into(), group);
        self.count += 1;
        Ok(())
    }

    /// A group.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, key_pattern: &[u8], name: &[u8]) -> Result<&Group, GroupError> {
        self.groups.get(key_pattern).and_then(|groups| groups.get(name)).ok_or(GroupError::NoGroup)
    }

    /// A group, to work on.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_mut(&mut self, key_pattern: &[u8], name: &[u8]) -> Result<&mut Group, GroupError> {
        self.groups.get_mut(key_pattern).and_then(|groups| groups.get_mut(name)).ok_or(GroupError::NoGroup)
    }

    /// Removes a group with all its entries; tells whether there was one.
    pub fn destroy(&mut self, key_pattern: &[u8], name: &[u8]) -> bool {
        let Some(groups) = self.groups.get_mut(key_pattern) else { return false };
        let removed = groups.remove(name).is_some();
        if groups.is_empty() {
            self.groups.remove(key_pattern);
        }
        self.count -= usize::from(removed);
        removed
    }

    /// All groups with key pattern and name, in the order of these.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8], &Group)> {
        self.groups.iter().flat_map(|(key, groups)| groups.iter().map(move |(name, group)| (&**key, &**name, group)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}
