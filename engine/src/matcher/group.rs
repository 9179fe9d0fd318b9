//! Many patterns in one lazy DFA, which finds all matches in one pass over the name.
//!
//! A lazy DFA builds its states as names need them, which pays if the states recur. Unanchored patterns multiply each
//! other's states; together they can need new ones forever. So a group is built off the hot path, tried on recent
//! names, and halved until its states settle.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Hir, Look};

use super::pattern::AutomatonPattern;
use crate::filter::Regex;
use crate::limits::{GROUP_CACHE_BYTES_MAX, GROUP_NAME_WORK_MAX, GROUP_NFA_BYTES_MAX, REGEX_NAME_BYTES_MAX};

/// Several patterns in one automaton.
pub struct GroupAutomaton {
    dfa: DFA,
    cache: Cache,
    /// The patterns, by their number in the automaton.
    pub members: Vec<PatternRef>,
    /// Whether all patterns are anchored at the start, so that they do not multiply each other's states.
    pub anchored: bool,
    /// The memory of the compiled patterns, in bytes: roughly its worst-case time per byte of a name, for which it may have
    /// to build a state.
    weight: usize,
    /// For each pattern, the serial of the last name that it matched.
    matched: Vec<u64>,
}

/// A pattern's slot, and the generation that tells it from other patterns in the same slot before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternRef {
    /// The slot.
    pub id: u32,
    /// The generation.
    pub generation: u64,
}

/// The automaton gave no answer for this name: it cannot decide it, or it would take too long.
#[derive(Debug)]
pub struct Undecided;

impl GroupAutomaton {
    /// Whether a name is so long that it may take too much time here: each byte may need a new state, made of as many of
    /// the patterns' own as there are.
    #[inline]
    pub fn may_take_long(&self, name: &[u8]) -> bool {
        name.len() > REGEX_NAME_BYTES_MAX && name.len().saturating_mul(self.weight) > GROUP_NAME_WORK_MAX
    }

    /// Calls `matched` once for each pattern that matches `name`, which must not be empty. `serial` identifies the
    /// name.
    ///
    /// [`Undecided`] if the automaton cannot decide; `matched` may have been called for some patterns by then.
    #[inline]
    pub fn run(&mut self, name: &[u8], serial: u64, mut matched: impl FnMut(PatternRef)) -> Result<(), Undecided> {
        let (dfa, cache) = (&self.dfa, &mut self.cache);
        let mut state = dfa.start_state_forward(cache, &Input::new(name)).map_err(|_| Undecided)?;
        // Lets the automaton give up instead of filling its cache again and again.
        cache.search_start(0);
        let mut at = 0;
        loop {
            state = match name.get(at) {
                Some(&byte) => dfa.next_state(cache, state, byte),
                None => dfa.next_eoi_state(cache, state),
            }
            .map_err(|_| Undecided)?;
            if state.is_tagged() {
                if state.is_match() {
                    for index in 0..dfa.match_len(cache, state) {
                        let pattern = dfa.match_pattern(cache, state, index).as_usize();
                        if self.matched[pattern] != serial {
                            self.matched[pattern] = serial;
                            matched(self.members[pattern]);
                        }
                    }
                } else if state.is_dead() {
                    break;
                } else if state.is_quit() {
                    return Err(Undecided);
                }
            }
            if at == name.len() {
                break;
            }
            at += 1;
            cache.search_update(at);
        }
        cache.search_finish(at);
        Ok(())
    }

    /// How often the cache was full and cleared.
    pub fn clear_count(&self) -> usize {
        self.cache.clear_count()
    }

    /// Its memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.dfa.memory_usage() + self.cache.memory_usage()
    }

    fn new(patterns: &[Parsed], anchored: bool) -> Option<GroupAutomaton> {
        let thompson = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(GROUP_NFA_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let hirs: Vec<&Hir> = patterns.iter().map(|pattern| &pattern.hir).collect();
        let nfa = thompson::Compiler::new().configure(thompson).build_many_from_hir(&hirs).ok()?;
        let weight = nfa.memory_usage();
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .unicode_word_boundary(true)
            .cache_capacity(GROUP_CACHE_BYTES_MAX)
            .minimum_cache_clear_count(Some(2))
            .minimum_bytes_per_state(Some(16));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let cache = dfa.create_cache();
        let members = patterns.iter().map(|pattern| pattern.member).collect();
        Some(GroupAutomaton { dfa, cache, members, anchored, weight, matched: vec![0; patterns.len()] })
    }

    /// Whether the states settle: after some of these names, the others add few new states.
    fn is_stable(&mut self, names: &[Box<[u8]>]) -> bool {
        let first = names.len() * 3 / 4;
        let run = |group: &mut GroupAutomaton, names: &[Box<[u8]>]| {
            // Not a serial of any of the shard's names, which count up from one.
            names.iter().all(|name| group.run(name, u64::MAX, |_| ()).is_ok() || !name.is_ascii())
        };
        if !run(self, &names[..first]) {
            return false;
        }
        let before = self.cache.memory_usage();
        let stable = run(self, &names[first..]) && self.cache.clear_count() == 0;
        let grown = self.cache.memory_usage().saturating_sub(before);
        stable && grown <= (names.len() - first) * GROWTH_PER_NAME_MAX
    }
}

/// The most bytes of states that a further, similar name may add: about as much as can be built in the time that a few
/// patterns take by themselves.
const GROWTH_PER_NAME_MAX: usize = 512;

struct Parsed {
    member: PatternRef,
    hir: Hir,
}

/// The result of building groups.
pub struct Built {
    /// The groups, whose states settle.
    pub groups: Vec<GroupAutomaton>,
    /// Patterns that are better run by themselves.
    pub alone: Vec<PatternRef>,
    /// Whether they had to be divided into several groups.
    pub divided: bool,
}

/// Builds groups of these patterns, each list for itself, whose states settle on these names.
pub fn build_groups(lists: &[Vec<(PatternRef, AutomatonPattern)>], names: &[Box<[u8]>]) -> Built {
    let mut built = Built { groups: Vec::new(), alone: Vec::new(), divided: lists.len() > 1 };
    for list in lists {
        let (mut anchored, mut free) = (Vec::new(), Vec::new());
        for (member, pattern) in list {
            match syntax::parse_with(&pattern.to_regex(), &Regex::syntax()) {
                Ok(hir) if hir.properties().look_set_prefix().contains(Look::Start) => {
                    anchored.push(Parsed { member: *member, hir });
                }
                Ok(hir) => free.push(Parsed { member: *member, hir }),
                Err(_) => built.alone.push(*member),
            }
        }
        divide(&anchored, true, names, &mut built);
        divide(&free, false, names, &mut built);
    }
    built
}

/// Builds one group, or recursively one of each half.
fn divide(patterns: &[Parsed], anchored: bool, names: &[Box<[u8]>], built: &mut Built) {
    if patterns.is_empty() {
        return;
    }
    match GroupAutomaton::new(patterns, anchored).and_then(|mut group| group.is_stable(names).then_some(group)) {
        Some(group) => built.groups.push(group),
        None if patterns.len() == 1 => built.alone.push(patterns[0].member),
        None => {
            built.divided = true;
            let (left, right) = patterns.split_at(patterns.len() / 2);
            divide(left, anchored, names, built);
            divide(right, anchored, names, built);
        }
    }
}
