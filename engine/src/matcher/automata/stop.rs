//! Who pays for the time that was measured, and who is stopped when it is too much.

use super::{Automata, Run, is_there};
use crate::matcher::governor::ALL;
use crate::matcher::group::Member;

impl Automata {
    /// Puts the time on the accounts of those who took it, if it is measured, and stops the most expensive if it is too
    /// much. Tells whether everything had to be stopped.
    pub(super) fn charge(&mut self, run: &mut Run<'_>, ids: &[u32]) -> bool {
        let Some(lap) = &mut run.lap else { return false };
        let ns = match run.is_cold {
            true => self.governor.cold_lap(lap),
            false => self.governor.lap(lap, run.times),
        };
        let window = self.governor.window();
        let each = ns / ids.len().max(1) as u64;
        for &id in ids {
            if let Some(one) = &mut self.ones[id as usize] {
                one.spent.add(each, window);
            }
        }
        self.governor.is_over() && self.stop_some()
    }

    /// Stops the most expensive. Tells whether that was all.
    #[cold]
    pub(super) fn stop_some(&mut self) -> bool {
        enum Who {
            One(u32),
            Seat(usize, usize),
        }
        let part = self.governor.stop();
        let window = self.governor.window();
        let mut by_cost: Vec<(u64, Who)> = Vec::new();
        for (id, one) in self.ones.iter().enumerate() {
            if let Some(one) = one.as_ref().filter(|one| !one.stopped) {
                by_cost.push((one.spent.at(window), Who::One(id as u32)));
            }
        }
        for (place, here) in self.places.iter().enumerate() {
            let running = here.seats.iter().enumerate().filter(|(_, seat)| !seat.stopped);
            by_cost.extend(running.map(|(index, seat)| (seat.spent.at(window), Who::Seat(place, index))));
        }
        by_cost.retain(|(cost, _)| *cost > 0);
        by_cost.sort_unstable_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        let total: u64 = by_cost.iter().map(|(cost, _)| cost).sum();
        let mut stopped = 0;
        for (cost, who) in by_cost {
            if stopped * ALL >= total * part {
                break;
            }
            stopped += cost;
            match who {
                Who::One(id) => self.stop(id),
                Who::Seat(place, index) => self.stop_group(place, index),
            }
        }
        part == ALL
    }

    pub(super) fn stop(&mut self, id: u32) {
        if let Some(one) = &mut self.ones[id as usize]
            && !one.stopped
        {
            one.stopped = true;
            self.stopped.push(id);
        }
    }

    pub(super) fn stop_group(&mut self, place: usize, index: usize) {
        let seat = &mut self.places[place].seats[index];
        seat.stopped = true;
        let members: Vec<Member> = seat.group.members.clone();
        for member in members {
            if is_there(&self.ones, member) {
                self.stop(member.id);
            }
        }
    }
}
