//! The regexes and globs of a shard: which of them match a name, what they cost, and which are stopped when that is too
//! much.

mod regroup;
mod stop;

use smallvec::SmallVec;

use super::builder::{Builder, Trash};
use super::governor::{Clock, Governor, Lap, Spent};
use super::group::PatternRef;
use super::memo::{Memo, MemoKey};
use super::pattern::AutomatonPattern;
use super::pattern_set::{PatternSet, PatternState, RunMode};
use crate::limits::{GROUP_NAME_BYTES_MAX, REGEX_HEAVY_BYTES, REGEX_NAME_BYTES_MAX, REGEX_NAME_WORK_MAX};

/// All patterns of a shard that need an automaton.
pub struct Automata {
    sets: Vec<PatternSet>,
    free_sets: Vec<u32>,
    states: Vec<Option<Box<PatternState>>>,
    free: Vec<u32>,
    /// The number of patterns ever added.
    generation: u64,
    /// The number of groups ever installed.
    groups_installed: u64,
    /// The stopped patterns.
    stopped: Vec<u32>,
    /// Pattern sets that may need groups.
    due: Vec<u32>,
    /// Names matched so far, and that number at the last review.
    names: u64,
    reviewed: u64,
    candidates: Vec<u32>,
    matches: Vec<u32>,
    trash: Vec<Trash>,
    memo: Memo,
    /// Whether memory for the memo must still be requested; `None` until there is something to remember.
    wants_memo: Option<bool>,
    governor: Governor,
    builder: Builder,
}

/// With little work, one name in this many is timed.
const TIMED_EVERY: u64 = 8;
/// From this much work on, every name is timed.
const TIMED_FROM: usize = 8;
/// The number of patterns that are timed together.
const TIMED_TOGETHER: usize = 16;
/// The runs in which a pattern builds most of its states.
const COLD_RUNS: u32 = 2;
/// The work of running a group, in patterns run by themselves.
const GROUP_WORK: usize = 2;
/// From this much work on, the memo is probed: a probe costs a cache miss.
const MEMO_FROM: usize = 4;
/// The number of names between reviews.
const REVIEW_EVERY: u64 = if cfg!(test) { 8 } else { 8 << 10 };

/// Whether a pattern is still present.
#[inline]
fn is_present(states: &[Option<Box<PatternState>>], member: PatternRef) -> bool {
    states[member.id as usize].as_ref().is_some_and(|state| state.generation == member.generation)
}

/// Whether this slot had its present pattern of this set at that generation: a newer pattern in the slot of a removed
/// one is not the one that matched then.
#[inline]
fn is_unchanged(states: &[Option<Box<PatternState>>], id: u32, newest: u64, set_id: u32) -> bool {
    states[id as usize].as_ref().is_some_and(|state| state.generation <= newest && state.set_id == set_id)
}

/// A name that is being matched.
struct NameRun<'n> {
    set_id: u32,
    name: &'n [u8],
    /// The running measurement, if the name is timed.
    lap: Option<Lap>,
    /// The number of names that its time stands for.
    times: u64,
    /// The pattern run last was in one of its first runs.
    is_cold: bool,
}

impl Automata {
    /// No patterns yet. `clock` measures their time.
    pub fn new(clock: Box<dyn Clock>) -> Automata {
        Automata {
            sets: Vec::new(),
            free_sets: Vec::new(),
            states: Vec::new(),
            free: Vec::new(),
            generation: 0,
            groups_installed: 0,
            stopped: Vec::new(),
            due: Vec::new(),
            names: 0,
            reviewed: 0,
            candidates: Vec::new(),
            matches: Vec::new(),
            trash: Vec::new(),
            memo: Memo::new(),
            wants_memo: None,
            governor: Governor::new(clock),
            builder: Builder::new(),
        }
    }

    /// Whether there is none.
    #[cfg(all(test, not(loom)))]
    pub fn is_empty(&self) -> bool {
        self.states.iter().all(Option::is_none) && self.sets.len() == self.free_sets.len()
    }

    /// The number of patterns in groups.
    #[cfg(all(test, not(loom)))]
    pub fn grouped(&self) -> usize {
        self.states.iter().flatten().filter(|state| state.mode.is_grouped()).count()
    }

    /// The memory of all groups, in bytes.
    #[cfg(all(test, not(loom)))]
    pub fn group_bytes(&self) -> usize {
        self.sets.iter().flat_map(|set| &set.groups).map(|group| group.automaton.memory_bytes()).sum()
    }

    /// A new set of patterns that are run on the same names.
    pub fn new_set(&mut self) -> u32 {
        self.free_sets.pop().unwrap_or_else(|| {
            self.sets.push(PatternSet::default());
            self.sets.len() as u32 - 1
        })
    }

    /// Adds a number to a pattern.
    pub fn insert(&mut self, set_id: u32, pattern: AutomatonPattern, number: u32) {
        let set = &mut self.sets[set_id as usize];
        if let Some(&known) = set.by_pattern.get(&pattern) {
            if let Some(state) = &mut self.states[known as usize] {
                state.numbers.push(number);
            }
            return;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.states.push(None);
            self.states.len() as u32 - 1
        });
        self.generation += 1;
        let generation = self.generation;
        let filed = set.grams.choose(&pattern.clauses(), &set.recent);
        set.by_pattern.insert(pattern.clone(), id);
        set.list(PatternRef { id, generation });
        let mode = if filed.is_empty() { RunMode::New } else { RunMode::Filed };
        match mode {
            RunMode::Filed => set.grams.insert(&filed, id),
            RunMode::New | RunMode::Alone | RunMode::Grouped(_) => {
                set.always.push(id);
                self.due.push(set_id);
            }
        }
        let numbers = SmallVec::from_slice(&[number]);
        let (weight, spent) = (pattern.weight(), Spent::default());
        let (seen, tries, runs, stopped) = (0, 0, 0, false);
        self.states[id as usize] = Some(Box::new(PatternState {
            pattern,
            set_id,
            generation,
            filed,
            numbers,
            weight,
            mode,
            seen,
            tries,
            runs,
            stopped,
            spent,
        }));
    }

    /// Removes a number from a pattern, if present. Returns whether the set is empty then: its slot is reused.
    pub fn remove(&mut self, set_id: u32, pattern: &AutomatonPattern, number: u32) -> bool {
        let set = &mut self.sets[set_id as usize];
        let Some(&id) = set.by_pattern.get(pattern) else { return false };
        let Some(state) = &mut self.states[id as usize] else { return false };
        state.numbers.retain(|known| *known != number);
        if !state.numbers.is_empty() {
            return false;
        }
        set.remove(id, state);
        // Freeing a regex with its caches takes long.
        self.trash.extend(self.states[id as usize].take().map(|state| state as Trash));
        self.free.push(id);
        self.stopped.retain(|&known| known != id);
        let is_empty = set.by_pattern.is_empty();
        // A pending build for this set must not be taken for one of a later set: the slot is reused only after it.
        if is_empty && set.replaced.is_none() {
            *set = PatternSet::default();
            self.free_sets.push(set_id);
        }
        is_empty
    }

    /// Frees something on the builder thread, once [`Automata::free_trash`] is called.
    pub fn free_later(&mut self, trash: Trash) {
        self.trash.push(trash);
    }

    /// Frees everything that was kept for patterns, once there is none any more: groups that are still being built, and the
    /// memory of the memo.
    pub fn clear(&mut self) {
        debug_assert!(self.states.iter().all(Option::is_none), "a pattern is still present");
        let answers = self.builder.forget_answers();
        let kept = (std::mem::take(&mut self.sets), std::mem::take(&mut self.states), std::mem::take(&mut self.memo));
        self.trash.push(Box::new((answers, kept)));
        (self.free_sets, self.free, self.stopped, self.due) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        (self.candidates, self.matches) = (Vec::new(), Vec::new());
        self.wants_memo = None;
    }

    /// Sends what is to be freed to the builder thread.
    #[inline]
    pub fn free_trash(&mut self) {
        if !self.trash.is_empty() {
            self.builder.free(std::mem::take(&mut self.trash));
        }
    }

    /// Appends the interests of a set whose pattern matches `name`.
    #[inline]
    pub fn find(&mut self, set_id: u32, name: &[u8], found: &mut Vec<u32>) {
        self.names += 1;
        self.governor.count_record();
        let set = &mut self.sets[set_id as usize];
        set.memo_use.names += 1;
        set.recent.offer(name);
        let key = if set.memo_use.probes_first() { self.memo.key(set_id, name) } else { None };
        self.matches.clear();
        if !key.as_ref().is_some_and(|key| self.recall_complete(set_id, key)) {
            self.match_name(set_id, name, key);
        }
        for &id in &self.matches {
            if let Some(state) = &self.states[id as usize] {
                found.extend_from_slice(&state.numbers);
            }
        }
    }

    /// Matches a name, with the memo if there is enough work.
    fn match_name(&mut self, set_id: u32, name: &[u8], key: Option<MemoKey>) {
        let set = &mut self.sets[set_id as usize];
        self.candidates.clear();
        self.candidates.extend_from_slice(&set.always);
        set.grams.find(name, &mut self.candidates);
        let work = self.candidates.len() + set.groups.len() * GROUP_WORK;
        set.memo_use.work = set.memo_use.work.saturating_add(work as u32);
        let key = if key.is_none() && work >= MEMO_FROM { self.memo.key(set_id, name) } else { key };
        if work == 0 && key.is_none() || key.as_ref().is_some_and(|key| self.recall(set_id, key, name)) {
            return;
        }
        self.run(set_id, name);
        if let Some(key) = key {
            self.wants_memo.get_or_insert(true);
            let set = &self.sets[set_id as usize];
            self.memo.put(&key, &self.matches, set.newest);
        }
    }

    /// Answers from the memo, if no pattern was added since.
    #[inline]
    fn recall_complete(&mut self, set_id: u32, key: &MemoKey) -> bool {
        let set = &mut self.sets[set_id as usize];
        let Some(known) = self.memo.get(key).filter(|known| known.newest >= set.newest) else { return false };
        set.memo_use.recalled += 1;
        self.matches.extend_from_slice(&known.ids[..known.count]);
        self.matches.retain(|&id| is_unchanged(&self.states, id, known.newest, set_id));
        true
    }

    /// Whether [`Automata::prefetch`] pays: the memo is probed first for this set.
    #[inline]
    pub fn prefetch_pays(&self, set_id: u32) -> bool {
        self.memo.is_used() && self.sets[set_id as usize].memo_use.probes_first()
    }

    /// Prefetches the memory that [`Automata::find`] may need for this name.
    #[inline]
    pub fn prefetch(&self, set_id: u32, name: &[u8]) {
        if let Some(key) = self.memo.key(set_id, name) {
            self.memo.prefetch(&key);
        }
    }

    /// Answers from the memo and runs newer patterns. Returns false if the name has to be matched anew.
    #[inline]
    fn recall(&mut self, set_id: u32, key: &MemoKey, name: &[u8]) -> bool {
        let set = &self.sets[set_id as usize];
        let Some(known) = self.memo.get(key) else { return false };
        let Some(since) = set.since(known.newest) else { return false };
        for &id in &known.ids[..known.count] {
            if is_unchanged(&self.states, id, known.newest, set_id) {
                self.matches.push(id);
            }
        }
        if since.is_empty() {
            return true;
        }
        // Newer patterns that are candidates, or in groups by now, have to be run on the name.
        let (states, newest) = (&self.states, known.newest);
        let grouped = |member: &&PatternRef| {
            states[member.id as usize]
                .as_ref()
                .is_some_and(|state| state.generation == member.generation && state.mode.is_grouped())
        };
        if since.iter().filter(grouped).count() > set.groups.len() * GROUP_WORK {
            // Running the groups takes less time.
            self.matches.clear();
            return false;
        }
        self.candidates.retain(|&id| states[id as usize].as_ref().is_some_and(|state| state.generation > newest));
        self.candidates.extend(since.iter().filter(grouped).map(|member| member.id));
        let mut run = self.start_run(set_id, name, self.candidates.len() >= TIMED_FROM);
        self.run_alone(&mut run);
        let set = &self.sets[set_id as usize];
        self.memo.put(key, &self.matches, set.newest);
        true
    }

    fn start_run<'n>(&mut self, set_id: u32, name: &'n [u8], timed: bool) -> NameRun<'n> {
        let each = timed || name.len() > REGEX_NAME_BYTES_MAX;
        let times = if each { 1 } else { TIMED_EVERY };
        let lap = (each || self.names.is_multiple_of(TIMED_EVERY)).then(|| self.governor.start());
        NameRun { set_id, name, lap, times, is_cold: false }
    }

    /// Runs the groups of the set, and the candidates.
    fn run(&mut self, set_id: u32, name: &[u8]) {
        let groups = self.sets[set_id as usize].groups.len();
        let mut run = self.start_run(set_id, name, self.candidates.len() + groups >= TIMED_FROM);
        for index in 0..groups {
            self.run_group(&mut run, index);
        }
        self.run_alone(&mut run);
    }

    fn run_group(&mut self, run: &mut NameRun<'_>, index: usize) {
        let group = &mut self.sets[run.set_id as usize].groups[index];
        if group.stopped {
            return;
        }
        if run.name.len() > GROUP_NAME_BYTES_MAX {
            self.stop_group(run.set_id as usize, index);
            return;
        }
        let before = self.matches.len();
        let (states, matches) = (&self.states, &mut self.matches);
        let matched = |member: PatternRef| {
            if is_present(states, member) {
                matches.push(member.id);
            }
        };
        // A glob's regex differs from it for the empty name.
        let is_for_each = run.name.is_empty() || group.automaton.may_take_long(run.name);
        if is_for_each || group.automaton.run(run.name, self.names, matched).is_err() {
            self.matches.truncate(before);
            group.undecided += 1;
            let there = |member: &&PatternRef| is_present(states, **member);
            self.candidates.extend(group.automaton.members.iter().filter(there).map(|member| member.id));
        }
        if let Some(lap) = &mut run.lap {
            let ns = self.governor.lap(lap, run.times);
            group.spent.add(ns, self.governor.window());
            if self.governor.is_over() {
                self.stop_some();
            }
        }
    }

    /// Runs the candidates.
    fn run_alone(&mut self, run: &mut NameRun<'_>) {
        let candidates = std::mem::take(&mut self.candidates);
        // The candidates since the clock was last read, and how many of them were run.
        let (mut from, mut ran) = (0, 0);
        for (index, &id) in candidates.iter().enumerate() {
            let Some(state) = &mut self.states[id as usize] else { continue };
            if state.stopped || state.seen == self.names {
                continue;
            }
            state.seen = self.names;
            let is_cold = state.runs < COLD_RUNS;
            state.runs += u32::from(is_cold);
            let heavy = is_cold || state.weight > REGEX_HEAVY_BYTES;
            if run.name.len() > REGEX_NAME_BYTES_MAX
                && state.weight.saturating_mul(run.name.len()) > REGEX_NAME_WORK_MAX
            {
                self.stop(id);
                continue;
            }
            if heavy && run.lap.is_none() {
                run.lap = Some(self.governor.start());
                (from, ran, run.times) = (index, 0, 1);
            } else if is_cold && ran > 0 {
                self.charge(run, &candidates[from..index]);
                (from, ran) = (index, 0);
            }
            let Some(state) = &mut self.states[id as usize] else { continue };
            if state.pattern.matches(run.name) {
                self.matches.push(id);
            }
            ran += 1;
            run.is_cold = is_cold;
            if heavy || ran == TIMED_TOGETHER || run.lap.is_some() && self.governor.is_close() {
                if self.charge(run, &candidates[from..=index]) {
                    // So much had to be stopped that the candidates not run yet may be as expensive.
                    candidates[index..].iter().for_each(|&id| self.stop(id));
                    ran = 0;
                    break;
                }
                (from, ran) = (index + 1, 0);
            }
        }
        if ran > 0 {
            self.charge(run, &candidates[from..]);
        }
        self.candidates = candidates;
    }

    /// Ends a turn: appends the interests of the patterns that were stopped in it. The caller removes them.
    #[inline]
    pub fn end_turn(&mut self, demoted: &mut Vec<u32>) {
        self.governor.end_turn();
        for &id in &self.stopped {
            if let Some(state) = &self.states[id as usize] {
                demoted.extend_from_slice(&state.numbers);
            }
        }
        while let Some(answer) = self.builder.next() {
            self.install(answer);
        }
        if self.wants_memo == Some(true) {
            self.wants_memo = Some(false);
            self.builder.request_slots();
        }
        let reviews = self.names - self.reviewed >= REVIEW_EVERY;
        if reviews {
            self.review();
        }
        while let Some(set_id) = self.due.pop() {
            self.start_build(set_id, reviews);
        }
        self.free_trash();
    }
}
