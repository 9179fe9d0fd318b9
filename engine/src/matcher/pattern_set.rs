//! A set of patterns that are run on the same names. Each pattern is run in one of four ways ([`RunMode`]); reviews move
//! patterns from one to another, by what they have cost.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::governor::Spent;
use super::grams::{Filed, Grams};
use super::group::{GroupAutomaton, PatternRef};
use super::memo_use::MemoUse;
use super::pattern::AutomatonPattern;
use super::recent::RecentNames;

/// How a pattern is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// By itself, on names that contain the grams that it is filed under.
    Filed,
    /// By itself on every name, until it is in a group.
    New,
    /// By itself on every name, because no group is stable with it.
    Alone,
    /// In the group of this number.
    Grouped(u64),
}

impl RunMode {
    /// Whether it is in a group.
    pub fn is_grouped(self) -> bool {
        matches!(self, RunMode::Grouped(_))
    }
}

/// A pattern with the interests that want its matches.
pub struct PatternState {
    /// The pattern.
    pub pattern: AutomatonPattern,
    /// The pattern set that it belongs to.
    pub set_id: u32,
    /// The count of all patterns when it was added, itself included: tells it from others in the same slot.
    pub generation: u64,
    /// The grams that it is filed under.
    pub filed: Filed,
    /// The interests that want its matches.
    pub numbers: SmallVec<[u32; 2]>,
    /// Roughly its worst-case time per byte of a name: see [`AutomatonPattern::weight`].
    pub weight: usize,
    /// How it is run.
    pub mode: RunMode,
    /// The serial of the last name that it was run on by itself.
    pub seen: u64,
    /// How often it was refiled.
    pub tries: u32,
    /// How often it was run by itself; counted up to a few.
    pub runs: u32,
    /// Too expensive: not run any more, and demoted at the turn's end.
    pub stopped: bool,
    /// What it has cost by itself.
    pub spent: Spent,
}

/// A group in use.
pub struct GroupState {
    /// Its number, never used twice.
    pub number: u64,
    /// Its automaton.
    pub automaton: GroupAutomaton,
    /// How many of its members are still present.
    pub live: usize,
    /// It comes from a division, so it is not merged with others.
    pub divided: bool,
    /// Too expensive: not run any more.
    pub stopped: bool,
    /// What it has cost.
    pub spent: Spent,
    /// How often its cache had been full at the last review.
    pub clears: usize,
    /// Names that it could not decide since then.
    pub undecided: u32,
}

/// Patterns that are run on the same names.
#[derive(Default)]
pub struct PatternSet {
    /// The slot of each pattern.
    pub by_pattern: HashMap<AutomatonPattern, u32, RandomState>,
    /// The filed patterns.
    pub grams: Grams,
    /// The patterns that are run by themselves on every name.
    pub always: Vec<u32>,
    /// The groups.
    pub groups: Vec<GroupState>,
    /// The patterns added last, in order.
    pub latest: Vec<PatternRef>,
    /// `latest` has every pattern that is newer than this generation.
    known_since: u64,
    /// A sample of the names.
    pub recent: RecentNames,
    /// The generation of the newest pattern.
    pub newest: u64,
    /// The counts since the last review, and whether the memo is probed first.
    pub memo_use: MemoUse,
    /// The groups that the pending build replaces; `None` if there is no build.
    pub replaced: Option<Vec<u64>>,
}

/// How many of the latest patterns are listed at least.
const LATEST_MAX: usize = 64;

/// The most patterns of small groups that are merged at once, so that new patterns do not wait long meanwhile.
const MERGED_MAX: usize = 1024;

/// Lists of patterns; each list is built into groups of its own.
pub type PatternLists = Vec<Vec<(PatternRef, AutomatonPattern)>>;

type States = [Option<Box<PatternState>>];

fn get(states: &States, id: u32) -> Option<&PatternState> {
    states[id as usize].as_deref()
}

impl PatternSet {
    /// Appends an added pattern to `latest`.
    pub fn list(&mut self, member: PatternRef) {
        self.newest = member.generation;
        if self.latest.len() == 2 * LATEST_MAX {
            self.known_since = self.latest[LATEST_MAX - 1].generation;
            self.latest.drain(..LATEST_MAX);
        }
        self.latest.push(member);
    }

    /// The patterns that are newer than this generation; `None` if there are too many to know.
    #[inline]
    pub fn since(&self, generation: u64) -> Option<&[PatternRef]> {
        if self.newest <= generation {
            return Some(&[]);
        }
        (generation >= self.known_since)
            .then(|| &self.latest[self.latest.partition_point(|member| member.generation <= generation)..])
    }

    /// Removes the pattern from where it is filed or run.
    pub fn remove(&mut self, id: u32, state: &PatternState) {
        match state.mode {
            RunMode::Filed => self.grams.remove(&state.filed, id),
            RunMode::New | RunMode::Alone => {
                if let Some(index) = self.always.iter().position(|&known| known == id) {
                    self.always.swap_remove(index);
                }
            }
            RunMode::Grouped(number) => {
                if let Some(index) = self.groups.iter().position(|group| group.number == number) {
                    self.groups[index].live -= 1;
                    if self.groups[index].live == 0 {
                        self.groups.swap_remove(index);
                    }
                }
            }
        }
        self.by_pattern.remove(&state.pattern);
    }

    /// Refiles patterns with too many false candidates, or has them grouped. Returns whether there may be more.
    pub fn review(&mut self, states: &mut States) -> bool {
        /// Bounds the time of one review.
        const REFILED_MAX: usize = 8;
        /// Refile a pattern that is a candidate for more than one name in this many.
        const BUSY: u32 = 512;
        /// Refile a pattern this often at the most.
        const TRIES_MAX: u32 = 3;
        let (busy, more) = self.grams.busy(self.memo_use.names, BUSY, REFILED_MAX);
        for (id, met) in busy {
            let Some(state) = &mut states[id as usize] else { continue };
            let often = u64::from(met) * 4 > u64::from(self.memo_use.names);
            if state.mode != RunMode::Filed || state.tries >= TRIES_MAX && !often {
                continue;
            }
            state.tries += 1;
            self.grams.remove(&state.filed, id);
            let filed = self.grams.choose(&state.pattern.clauses(), &self.recent);
            if often && (filed == state.filed || state.tries > TRIES_MAX) {
                state.mode = RunMode::New;
                self.always.push(id);
            } else {
                state.filed = filed;
                self.grams.insert(&state.filed, id);
            }
        }
        if !more {
            self.memo_use.review();
        }
        more
    }

    /// The groups to merge, if any: whether those of anchored patterns, and the largest number of patterns of one.
    fn groups_to_merge(&self) -> Option<(bool, usize)> {
        [true, false].into_iter().find_map(|anchored| {
            let mut sizes: Vec<usize> = self
                .groups
                .iter()
                .filter(|group| !group.divided && group.automaton.anchored == anchored)
                .map(|group| group.live)
                .collect();
            sizes.sort_unstable();
            match sizes[..] {
                [a, b, ..] if a + b <= MERGED_MAX && b <= (2 * a).max(MERGED_MAX / 8) => {
                    Some((anchored, b.max(MERGED_MAX / 8)))
                }
                _ => None,
            }
        })
    }

    /// The patterns to build groups of now. Their present groups are remembered in `replaced`.
    pub fn start_grouping(&mut self, states: &States, reviewed: bool) -> Option<PatternLists> {
        if self.replaced.is_some() {
            return None;
        }
        let entry = |member: &PatternRef| {
            Some((
                *member,
                get(states, member.id).filter(|state| state.generation == member.generation)?.pattern.clone(),
            ))
        };
        let mut new: Vec<(PatternRef, AutomatonPattern)> = Vec::new();
        for &id in &self.always {
            if let Some(state) = get(states, id)
                && state.mode == RunMode::New
            {
                new.push((PatternRef { id, generation: state.generation }, state.pattern.clone()));
            }
        }
        // New patterns first, for they cost most as they are; small groups are merged when there are none.
        let merge = if new.is_empty() { self.groups_to_merge() } else { None };
        let mut lists = PatternLists::new();
        let mut replaced = Vec::new();
        let mut merged = 0;
        for group in &mut self.groups {
            let members = || group.automaton.members.iter().filter_map(entry);
            let is_small = merge.is_some_and(|(anchored, live)| {
                !group.divided
                    && group.automaton.anchored == anchored
                    && group.live <= live
                    && merged + group.live <= MERGED_MAX
            });
            let is_sparse = group.live * 2 < group.automaton.members.len();
            let is_unstable = reviewed && (group.automaton.clear_count() > group.clears || group.undecided > 64);
            if is_unstable {
                let mut left: Vec<_> = members().collect();
                let right = left.split_off(left.len() / 2);
                lists.extend([left, right]);
            } else if is_small {
                merged += group.live;
                new.extend(members());
            } else if is_sparse {
                lists.push(members().collect());
            } else {
                continue;
            }
            replaced.push(group.number);
        }
        if reviewed {
            self.groups
                .iter_mut()
                .for_each(|group| (group.clears, group.undecided) = (group.automaton.clear_count(), 0));
        }
        lists.push(new);
        lists.retain(|list| !list.is_empty());
        (!lists.is_empty()).then(|| {
            self.replaced = Some(replaced);
            lists
        })
    }

    /// Installs a built group, which from now on runs those of its members that are still present.
    pub fn install(&mut self, number: u64, automaton: GroupAutomaton, divided: bool, states: &mut States) {
        let mut live = 0;
        for member in &automaton.members {
            if let Some(state) =
                states[member.id as usize].as_mut().filter(|state| state.generation == member.generation)
            {
                state.mode = RunMode::Grouped(number);
                live += 1;
            }
        }
        if live > 0 {
            let clears = automaton.clear_count();
            let (stopped, spent, undecided) = (false, Spent::default(), 0);
            self.groups.push(GroupState { number, automaton, live, divided, stopped, spent, clears, undecided });
        }
    }

    /// Completes what [`PatternSet::start_grouping`] began: patterns in no group now are run by themselves. Returns the
    /// replaced groups.
    pub fn complete(&mut self, alone: &[PatternRef], states: &mut States) -> impl Iterator<Item = GroupState> + use<> {
        let replaced = self.replaced.take().unwrap_or_default();
        let (gone, kept) = self.groups.drain(..).partition::<Vec<_>, _>(|group| replaced.contains(&group.number));
        self.groups = kept;
        for member in alone {
            if let Some(state) =
                states[member.id as usize].as_mut().filter(|state| state.generation == member.generation)
            {
                if !matches!(state.mode, RunMode::New | RunMode::Alone) {
                    self.always.push(member.id);
                }
                state.mode = RunMode::Alone;
            }
        }
        self.always
            .retain(|&id| get(states, id).is_some_and(|state| matches!(state.mode, RunMode::New | RunMode::Alone)));
        gone.into_iter()
    }
}
