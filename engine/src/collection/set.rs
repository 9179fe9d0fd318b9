//! A set: members.

use super::{Bytes, Member};
use crate::limits::SCAN_WHOLE_MAX;
use indexmap::IndexSet;

/// The members of a set.
#[derive(Clone, Debug, Default)]
pub struct SetValue {
    set: Box<IndexSet<Bytes, foldhash::fast::RandomState>>,
}

impl SetValue {
    /// The set, for reading.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        SetRef { set: &self.set }
    }

    /// Adds a member; returns whether it is new.
    pub(crate) fn insert(&mut self, member: &[u8]) -> bool {
        !self.set.contains(member) && self.set.insert(Bytes::from_slice(member))
    }

    /// Removes a member; returns whether it existed.
    pub(crate) fn remove(&mut self, member: &[u8]) -> bool {
        self.set.get_index_of(member).is_some_and(|place| self.remove_at(place).is_some())
    }

    /// Removes the member at a place of the set's own order.
    ///
    /// As in a hash: small sets preserve their order, and no member moves to a higher place.
    pub(crate) fn remove_at(&mut self, place: usize) -> Option<Bytes> {
        if self.set.len() <= SCAN_WHOLE_MAX {
            self.set.shift_remove_index(place)
        } else {
            self.set.swap_remove_index(place)
        }
    }
}

/// A set, for reading.
#[derive(Clone, Copy, Debug)]
pub struct SetRef<'a> {
    set: &'a IndexSet<Bytes, foldhash::fast::RandomState>,
}

impl<'a> SetRef<'a> {
    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        self.set.len()
    }

    /// Whether there are none, as in no set that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the set has a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        self.set.contains(member)
    }

    /// The member at a place of the set's own order.
    pub fn at(self, place: usize) -> Option<Member<'a>> {
        self.set.get_index(place).map(|member| Member::of(member))
    }

    /// All members, in the set's own order.
    pub fn iter(self) -> impl Iterator<Item = Member<'a>> {
        self.set.iter().map(|member| Member::of(member))
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        std::ptr::from_ref(self.set).cast()
    }
}
