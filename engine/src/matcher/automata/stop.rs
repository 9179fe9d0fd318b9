//! Attributes measured time to patterns, and stops the most expensive when it is too much.

use super::{Automata, NameRun, is_present};
use crate::matcher::governor::ALL;
use crate::matcher::group::PatternRef;

impl Automata {
    /// Adds the measured time, if any, to these patterns, and stops the most expensive if a bound is passed. Returns
    /// whether everything had to be stopped.
    pub(super) fn charge(&mut self, run: &mut NameRun<'_>, ids: &[u32]) -> bool {
        let Some(lap) = &mut run.lap else { return false };
        let ns = match run.is_cold {
            true => self.governor.cold_lap(lap),
            false => self.governor.lap(lap, run.times),
        };
        let window = self.governor.window();
        let each = ns / ids.len().max(1) as u64;
        for &id in ids {
            if let Some(state) = &mut self.states[id as usize] {
                state.spent.add(each, window);
            }
        }
        self.governor.is_over() && self.stop_some()
    }

    /// Stops the most expensive patterns and groups. Returns whether that was all of them.
    #[cold]
    pub(super) fn stop_some(&mut self) -> bool {
        enum Costly {
            Pattern(u32),
            Group(usize, usize),
        }
        let part = self.governor.stop();
        let window = self.governor.window();
        let mut by_cost: Vec<(u64, Costly)> = Vec::new();
        for (id, state) in self.states.iter().enumerate() {
            if let Some(state) = state.as_ref().filter(|state| !state.stopped) {
                by_cost.push((state.spent.at(window), Costly::Pattern(id as u32)));
            }
        }
        for (set_id, set) in self.sets.iter().enumerate() {
            let running = set.groups.iter().enumerate().filter(|(_, group)| !group.stopped);
            by_cost.extend(running.map(|(index, group)| (group.spent.at(window), Costly::Group(set_id, index))));
        }
        by_cost.retain(|(cost, _)| *cost > 0);
        by_cost.sort_unstable_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        let total: u64 = by_cost.iter().map(|(cost, _)| cost).sum();
        let mut stopped = 0;
        for (cost, costly) in by_cost {
            if stopped * ALL >= total * part {
                break;
            }
            stopped += cost;
            match costly {
                Costly::Pattern(id) => self.stop(id),
                Costly::Group(set_id, index) => self.stop_group(set_id, index),
            }
        }
        part == ALL
    }

    pub(super) fn stop(&mut self, id: u32) {
        if let Some(state) = &mut self.states[id as usize]
            && !state.stopped
        {
            state.stopped = true;
            self.stopped.push(id);
        }
    }

    pub(super) fn stop_group(&mut self, set_id: usize, index: usize) {
        let group = &mut self.sets[set_id].groups[index];
        group.stopped = true;
        let members: Vec<PatternRef> = group.automaton.members.clone();
        for member in members {
            if is_present(&self.states, member) {
                self.stop(member.id);
            }
        }
    }
}
