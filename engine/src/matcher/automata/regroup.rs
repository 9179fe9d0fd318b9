//! Installs groups at a turn's end, and refiles patterns.

use super::Automata;
use crate::limits::GROUPS_BYTES_MAX;
use crate::matcher::builder::{Answer, Trash};
use crate::matcher::group::{Built, PatternRef};
use crate::matcher::pattern_set::PatternSet;

impl Automata {
    pub(super) fn install(&mut self, answer: Answer) {
        match answer {
            Answer::Groups(set_id, built) => self.install_groups(set_id, built),
            Answer::Slots(slots) => self.memo.set_slots(slots),
        }
    }

    #[cold]
    fn install_groups(&mut self, set_id: u32, built: Built) {
        // The bound covers all sets: each source that is subscribed to has one.
        let groups = self.sets.iter().flat_map(|set| &set.groups);
        let mut bytes: usize = groups.map(|group| group.automaton.memory_bytes()).sum();
        let set = &mut self.sets[set_id as usize];
        let mut alone = built.alone;
        for automaton in built.groups {
            bytes += automaton.memory_bytes();
            if bytes > GROUPS_BYTES_MAX {
                alone.extend_from_slice(&automaton.members);
                continue;
            }
            self.groups_installed += 1;
            set.install(self.groups_installed, automaton, built.divided, &mut self.states);
        }
        self.trash.extend(set.complete(&alone, &mut self.states).map(|group| Box::new(group) as Trash));
        if set.by_pattern.is_empty() {
            *set = PatternSet::default();
            self.free_sets.push(set_id);
        } else {
            self.due.push(set_id);
        }
    }

    #[cold]
    pub(super) fn review(&mut self) {
        let mut more = false;
        for (set_id, set) in self.sets.iter_mut().enumerate().filter(|(_, set)| !set.by_pattern.is_empty()) {
            more |= set.review(&mut self.states);
            self.due.push(set_id as u32);
        }
        if !more {
            self.reviewed = self.names;
        }
    }

    /// Starts building groups for a set, unless a build for it is pending.
    pub(super) fn start_build(&mut self, set_id: u32, reviewed: bool) {
        let set = &mut self.sets[set_id as usize];
        let Some(lists) = set.start_grouping(&self.states, reviewed) else { return };
        let members: Vec<PatternRef> = lists.iter().flatten().map(|(member, _)| *member).collect();
        if !self.builder.request_groups(set_id, lists, set.recent.all()) {
            drop(set.complete(&members, &mut self.states));
        }
    }

    /// As [`Automata::wait`], for one build.
    #[cfg(all(test, not(loom)))]
    pub fn wait_for_one(&mut self) {
        if let Some(answer) = self.builder.wait() {
            self.install(answer);
        }
    }

    /// Waits for all pending builds and installs them.
    #[cfg(all(test, not(loom)))]
    pub fn wait(&mut self) {
        while let Some(answer) = self.builder.wait() {
            self.install(answer);
        }
    }
}
