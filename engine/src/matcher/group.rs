//! Many patterns in one lazy DFA, which finds all that match in one pass over the name.
//!
//! A lazy DFA builds its states as names ask for them, which pays where they come again. Patterns that are free to begin
//! anywhere multiply each other's states; together they can ask for new ones for ever. So a group is made off the hot
//! path, tried on names that were seen lately, and halved as long as it is not at ease with them.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};
use regex_syntax::hir::{Hir, Look};

use super::own::Own;
use crate::filter::Regex;
use crate::limits::{GROUP_CACHE_BYTES_MAX, GROUP_NFA_BYTES_MAX};

/// Several patterns in one automaton.
pub struct Group {
    dfa: DFA,
    cache: Cache,
    /// Whose pattern each is, by its number in the automaton.
    pub members: Vec<Member>,
    /// Whether all its patterns are anchored at the start, so that they do not multiply each other's states.
    pub anchored: bool,
    /// For each pattern the last name that it matched.
    matched: Vec<u64>,
}

/// One pattern of a group: where it is kept, and which of those that were ever kept there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where.
    pub id: u32,
    /// Which.
    pub born: u64,
}

/// The automaton cannot tell for this name: it does not decide it, or it would take too long.
#[derive(Debug)]
pub struct Undecided;

impl Group {
    /// Answers by `matched` the patterns that match `name`, which is not empty, each once. `serial` tells one name from
    /// another.
    ///
    /// # Errors
    /// Where the automaton cannot tell. Some may have been answered by then.
    #[inline]
    pub fn run(&mut self, name: &[u8], serial: u64, mut matched: impl FnMut(Member)) -> Result<(), Undecided> {
        let (dfa, cache) = (&self.dfa, &mut self.cache);
        let mut state = dfa.start_state_forward(cache, &Input::new(name)).map_err(|_| Undecided)?;
        // What keeps an automaton whose cache is full again and again from going on.
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

    /// How often the cache was full.
    pub fn clear_count(&self) -> usize {
        self.cache.clear_count()
    }

    /// The memory that it takes, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.dfa.memory_usage() + self.cache.memory_usage()
    }

    fn new(patterns: &[Parsed], anchored: bool) -> Option<Group> {
        let thompson = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(GROUP_NFA_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let hirs: Vec<&Hir> = patterns.iter().map(|pattern| &pattern.hir).collect();
        let nfa = thompson::Compiler::new().configure(thompson).build_many_from_hir(&hirs).ok()?;
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .unicode_word_boundary(true)
            .cache_capacity(GROUP_CACHE_BYTES_MAX)
            .minimum_cache_clear_count(Some(2))
            .minimum_bytes_per_state(Some(16));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa).ok()?;
        let cache = dfa.create_cache();
        let members = patterns.iter().map(|pattern| pattern.member).collect();
        Some(Group { dfa, cache, members, anchored, matched: vec![0; patterns.len()] })
    }

    /// Whether these names, once seen, are matched without many new states for names like them.
    fn is_at_ease(&mut self, names: &[Box<[u8]>]) -> bool {
        let first = names.len() * 3 / 4;
        let run = |group: &mut Group, names: &[Box<[u8]>]| {
            // Serials of their own: those of the shard only grow, from one.
            names.iter().all(|name| group.run(name, u64::MAX, |_| ()).is_ok() || !name.is_ascii())
        };
        if !run(self, &names[..first]) {
            return false;
        }
        let before = self.cache.memory_usage();
        let at_ease = run(self, &names[first..]) && self.cache.clear_count() == 0;
        let grown = self.cache.memory_usage().saturating_sub(before);
        at_ease && grown <= (names.len() - first) * GROWTH_PER_NAME_MAX
    }
}

/// How many bytes of states a name may add that is like those seen before: about what is built in the time that a few
/// patterns take alone.
const GROWTH_PER_NAME_MAX: usize = 512;

struct Parsed {
    member: Member,
    hir: Hir,
}

/// What came out of the making of groups.
pub struct Made {
    /// The groups.
    pub groups: Vec<Group>,
    /// Those that are better run by themselves.
    pub alone: Vec<Member>,
    /// Whether they could not all be together.
    pub divided: bool,
}

/// Makes groups of these patterns, each list by itself, that are at ease with these names.
pub fn make(lists: &[Vec<(Member, Own)>], names: &[Box<[u8]>]) -> Made {
    let mut made = Made { groups: Vec::new(), alone: Vec::new(), divided: lists.len() > 1 };
    for list in lists {
        let (mut anchored, mut free) = (Vec::new(), Vec::new());
        for (member, own) in list {
            match syntax::parse_with(&own.to_regex(), &Regex::syntax()) {
                Ok(hir) if hir.properties().look_set_prefix().contains(Look::Start) => {
                    anchored.push(Parsed { member: *member, hir });
                }
                Ok(hir) => free.push(Parsed { member: *member, hir }),
                Err(_) => made.alone.push(*member),
            }
        }
        divide(&anchored, true, names, &mut made);
        divide(&free, false, names, &mut made);
    }
    made
}

/// Makes one group, or of each half as many as it takes.
fn divide(patterns: &[Parsed], anchored: bool, names: &[Box<[u8]>], made: &mut Made) {
    if patterns.is_empty() {
        return;
    }
    match Group::new(patterns, anchored).and_then(|mut group| group.is_at_ease(names).then_some(group)) {
        Some(group) => made.groups.push(group),
        None if patterns.len() == 1 => made.alone.push(patterns[0].member),
        None => {
            made.divided = true;
            let (one, other) = patterns.split_at(patterns.len() / 2);
            divide(one, anchored, names, made);
            divide(other, anchored, names, made);
        }
    }
}
