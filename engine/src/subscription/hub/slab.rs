//! The members of a hub in a slab: the index of a removed member is used again.

use super::member::Member;
use std::ops::{Index, IndexMut};

/// A reference to a member. If the serial differs, the index is another member's by now.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub index: u32,
    pub serial: u32,
}

impl Slot {
    /// The slot as one number, for a request to a shard; the answer carries it back.
    pub fn token(self) -> u64 {
        (self.index as u64) << 32 | self.serial as u64
    }

    /// The inverse of [`Slot::token`].
    pub fn from_token(token: u64) -> Slot {
        Slot { index: (token >> 32) as u32, serial: token as u32 }
    }
}

/// The members, by index.
#[derive(Default)]
pub(super) struct Members {
    places: Vec<Option<Member>>,
    free: Vec<u32>,
    next_serial: u32,
}

impl Members {
    /// Adds the member that `make` returns for a serial. Returns its index.
    pub fn insert(&mut self, make: impl FnOnce(u32) -> Member) -> u32 {
        self.next_serial = self.next_serial.wrapping_add(1);
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() as u32 - 1
        });
        self.places[index as usize] = Some(make(self.next_serial));
        index
    }

    pub fn remove(&mut self, index: u32) {
        if self.places[index as usize].take().is_some() {
            self.free.push(index);
        }
    }

    pub fn get_mut(&mut self, index: u32) -> Option<&mut Member> {
        self.places.get_mut(index as usize)?.as_mut()
    }

    /// The index of a member, if it is still there.
    pub fn at(&self, slot: Slot) -> Option<u32> {
        let member = self.places.get(slot.index as usize)?.as_ref()?;
        (member.serial == slot.serial).then_some(slot.index)
    }

    /// The number of places, including free ones.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// References to all members.
    pub fn slots(&self) -> Vec<Slot> {
        let members = self.places.iter().enumerate();
        members
            .filter_map(|(index, place)| Some(Slot { index: index as u32, serial: place.as_ref()?.serial }))
            .collect()
    }

    /// The indexes of all members.
    pub fn indexes(&self) -> Vec<u32> {
        let taken = self.places.iter().enumerate().filter(|(_, place)| place.is_some());
        taken.map(|(index, _)| index as u32).collect()
    }
}

impl Index<u32> for Members {
    type Output = Member;

    fn index(&self, index: u32) -> &Member {
        match &self.places[index as usize] {
            Some(member) => member,
            None => unreachable!("an index that is in use has a member: removing one removes its index everywhere"),
        }
    }
}

impl IndexMut<u32> for Members {
    fn index_mut(&mut self, index: u32) -> &mut Member {
        match &mut self.places[index as usize] {
            Some(member) => member,
            None => unreachable!("an index that is in use has a member: removing one removes its index everywhere"),
        }
    }
}
