//! The members of a hub, by places that are given anew.

use super::member::Member;
use std::ops::{Index, IndexMut};

/// A member by its place; no longer that member if the serial differs.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub index: u32,
    pub serial: u32,
}

impl Slot {
    /// What an answer to a question about the member carries.
    pub fn token(self) -> u64 {
        (self.index as u64) << 32 | self.serial as u64
    }

    /// The inverse of [`Slot::token`].
    pub fn from_token(token: u64) -> Slot {
        Slot { index: (token >> 32) as u32, serial: token as u32 }
    }
}

/// The members, by their places.
#[derive(Default)]
pub(super) struct Members {
    places: Vec<Option<Member>>,
    free: Vec<u32>,
    next_serial: u32,
}

impl Members {
    /// Adds the member that `make` makes with its serial; answers its place.
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

    /// The place of a member that is still the one that was meant.
    pub fn at(&self, slot: Slot) -> Option<u32> {
        let member = self.places.get(slot.index as usize)?.as_ref()?;
        (member.serial == slot.serial).then_some(slot.index)
    }

    /// How many places there are, free ones included.
    pub fn places(&self) -> u32 {
        self.places.len() as u32
    }

    pub fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// The members that are there.
    pub fn slots(&self) -> Vec<Slot> {
        let members = self.places.iter().enumerate();
        members
            .filter_map(|(index, place)| Some(Slot { index: index as u32, serial: place.as_ref()?.serial }))
            .collect()
    }

    /// The places that are taken.
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
            None => unreachable!("a place that is known holds a member: who removes one forgets its place"),
        }
    }
}

impl IndexMut<u32> for Members {
    fn index_mut(&mut self, index: u32) -> &mut Member {
        match &mut self.places[index as usize] {
            Some(member) => member,
            None => unreachable!("a place that is known holds a member: who removes one forgets its place"),
        }
    }
}
