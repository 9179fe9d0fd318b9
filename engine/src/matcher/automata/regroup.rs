//! Groups made off the hot path and taken in at a turn's end, and what is filed better than before.

use super::Automata;
use crate::limits::GROUPS_BYTES_MAX;
use crate::matcher::builder::{Answer, Trash};
use crate::matcher::group::{Made, Member};
use crate::matcher::place::Place;

impl Automata {
    pub(super) fn take_in(&mut self, answer: Answer) {
        match answer {
            Answer::Groups(place, made) => self.swap_in(place, made),
            Answer::Slots(slots) => self.memo.set_slots(slots),
        }
    }

    #[cold]
    fn swap_in(&mut self, place: u32, made: Made) {
        // Of all places: each source that is subscribed to is one.
        let seats = self.places.iter().flat_map(|place| &place.seats);
        let mut bytes: usize = seats.map(|seat| seat.group.memory_bytes()).sum();
        let here = &mut self.places[place as usize];
        let mut alone = made.alone;
        for group in made.groups {
            bytes += group.memory_bytes();
            if bytes > GROUPS_BYTES_MAX {
                alone.extend_from_slice(&group.members);
                continue;
            }
            self.seated += 1;
            here.seat(self.seated, group, made.divided, &mut self.ones);
        }
        self.trash.extend(here.settle(&alone, &mut self.ones).map(|seat| Box::new(seat) as Trash));
        if here.by_own.is_empty() {
            *here = Place::default();
            self.free_places.push(place);
        } else {
            self.due.push(place);
        }
    }

    #[cold]
    pub(super) fn look_through(&mut self) {
        let mut more = false;
        for (place, here) in self.places.iter_mut().enumerate().filter(|(_, here)| !here.by_own.is_empty()) {
            more |= here.review(&mut self.ones);
            self.due.push(place as u32);
        }
        if !more {
            self.reviewed = self.names;
        }
    }

    /// Has groups made of what is to be grouped, if nothing of the place is being made.
    pub(super) fn group(&mut self, place: u32, looked_through: bool) {
        let here = &mut self.places[place as usize];
        let Some(lists) = here.start_grouping(&self.ones, looked_through) else { return };
        let members: Vec<Member> = lists.iter().flatten().map(|(member, _)| *member).collect();
        if !self.builder.start(place, lists, here.recent.all()) {
            drop(here.settle(&members, &mut self.ones));
        }
    }

    /// As [`Automata::wait`], for one of them.
    #[cfg(all(test, not(loom)))]
    pub fn wait_for_one(&mut self) {
        if let Some(answer) = self.builder.wait() {
            self.take_in(answer);
        }
    }

    /// Waits for the groups that are being made, and takes them in.
    #[cfg(all(test, not(loom)))]
    pub fn wait(&mut self) {
        while let Some(answer) = self.builder.wait() {
            self.take_in(answer);
        }
    }
}
