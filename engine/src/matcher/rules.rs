//! The interests that differ in their pattern only, by kind of pattern: none, exact names, prefixes, and automata.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::automata::Automata;
use super::pattern::AutomatonPattern;
use super::prefixes::Prefixes;
use crate::filter::{Glob, Pattern, Target, Whole};
use crate::position::ShardId;

/// How a pattern is looked up.
enum Rule<'p> {
    /// It matches every name.
    All,
    /// One exact name.
    Name(&'p [u8]),
    /// Names that begin with one of these; none of them begins with another.
    Prefixes(SmallVec<[&'p [u8]; 1]>),
    /// Everything else.
    Automaton(AutomatonPattern),
    /// Names are matched against it alone.
    Alone(&'p Pattern),
}

impl<'p> Rule<'p> {
    fn of(pattern: &'p Pattern, shard: ShardId) -> Rule<'p> {
        match pattern {
            Pattern::All => Rule::All,
            Pattern::Prefixes(prefixes) => Rule::Prefixes(prefixes.iter().map(|prefix| &**prefix).collect()),
            Pattern::Regex(regex) => match &regex.needs().whole {
                Some(Whole::Prefix(prefix)) => Rule::Prefixes(SmallVec::from_slice(&[&**prefix])),
                Some(Whole::Exact(name)) => Rule::Name(name),
                None => Rule::Automaton(AutomatonPattern::Regex(regex.clone())),
            },
            Pattern::Not(_) | Pattern::Lookaround(_) => Rule::Alone(pattern),
            Pattern::Glob(glob) => Rule::glob(glob),
            Pattern::Shard { shard: selected, keys, literal } if *selected == shard => {
                if keys.is_all() {
                    Rule::All
                } else {
                    Rule::Automaton(AutomatonPattern::Either(Box::new((keys.clone(), literal.clone()))))
                }
            }
            Pattern::Shard { literal, .. } => Rule::glob(literal),
        }
    }

    fn glob(glob: &'p Glob) -> Rule<'p> {
        match glob.exact() {
            _ if glob.is_all() => Rule::All,
            Some(name) => Rule::Name(name),
            None if glob.is_prefix() => Rule::Prefixes(SmallVec::from_slice(&[glob.prefix()])),
            None => Rule::Automaton(AutomatonPattern::Glob(glob.clone())),
        }
    }
}

/// Interests of one source, by their pattern.
#[derive(Default)]
pub struct Rules {
    all: Vec<u32>,
    streams: Option<Box<Names>>,
    types: Option<Box<Names>>,
}

/// Patterns on names of one kind.
pub struct Names {
    exact: HashMap<Box<[u8]>, SmallVec<[u32; 4]>, RandomState>,
    prefixes: Prefixes,
    /// The set of patterns that need automata, by its number there.
    set_id: Option<u32>,
    /// Patterns that are matched one by one. They are few: what is more is never live, see
    /// [`MATCHED_ALONE_MAX`](crate::limits::MATCHED_ALONE_MAX).
    alone: Vec<(u32, Pattern)>,
}

impl Names {
    fn new() -> Names {
        Names { exact: HashMap::default(), prefixes: Prefixes::new(), set_id: None, alone: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.set_id.is_none() && self.alone.is_empty()
    }

    #[inline]
    fn find(&self, name: &[u8], automata: &mut Automata, found: &mut Vec<u32>) {
        if !self.prefixes.is_empty() {
            self.prefixes.find(name, found);
        }
        if !self.exact.is_empty()
            && let Some(numbers) = self.exact.get(name)
        {
            found.extend_from_slice(numbers);
        }
        if let Some(set_id) = self.set_id {
            automata.find(set_id, name, found);
        }
        found.extend(self.alone.iter().filter(|(_, pattern)| pattern.matches_name(name)).map(|(number, _)| *number));
    }
}

impl Rules {
    /// Adds an interest by its pattern on the names that `on` selects. The number must not be present yet.
    pub fn insert(&mut self, on: Target, pattern: &Pattern, shard: ShardId, number: u32, automata: &mut Automata) {
        let by = Rule::of(pattern, shard);
        if matches!(by, Rule::All) {
            self.all.push(number);
            return;
        }
        let names = match on {
            Target::Stream => &mut self.streams,
            Target::Type => &mut self.types,
        };
        let names = names.get_or_insert_with(|| Box::new(Names::new()));
        match by {
            Rule::All => {}
            Rule::Name(name) => names.exact.entry(name.into()).or_default().push(number),
            Rule::Prefixes(prefixes) => prefixes.iter().for_each(|prefix| names.prefixes.insert(prefix, number)),
            Rule::Automaton(pattern) => {
                let set_id = *names.set_id.get_or_insert_with(|| automata.new_set());
                automata.insert(set_id, pattern, number);
            }
            Rule::Alone(pattern) => names.alone.push((number, pattern.clone())),
        }
    }

    /// Removes an interest that was added with these arguments.
    pub fn remove(&mut self, on: Target, pattern: &Pattern, shard: ShardId, number: u32, automata: &mut Automata) {
        let kept = match on {
            Target::Stream => &mut self.streams,
            Target::Type => &mut self.types,
        };
        match (Rule::of(pattern, shard), kept.as_deref_mut()) {
            (Rule::All, _) => remove_number(&mut self.all, number),
            (Rule::Name(name), Some(names)) => {
                if let Some(numbers) = names.exact.get_mut(name) {
                    numbers.retain(|known| *known != number);
                    if numbers.is_empty() {
                        names.exact.remove(name);
                    }
                }
            }
            (Rule::Prefixes(prefixes), Some(names)) => {
                prefixes.iter().for_each(|prefix| names.prefixes.remove(prefix, number));
            }
            (Rule::Automaton(pattern), Some(Names { set_id, .. })) => {
                if set_id.is_some_and(|set_id| automata.remove(set_id, &pattern, number)) {
                    *set_id = None;
                }
            }
            (Rule::Alone(_), Some(names)) => names.alone.retain(|(known, _)| *known != number),
            (Rule::Name(_) | Rule::Prefixes(_) | Rule::Automaton(_) | Rule::Alone(_), None) => {}
        }
        if kept.as_deref().is_some_and(Names::is_empty) {
            *kept = None;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.streams.is_none() && self.types.is_none()
    }

    /// Whether [`Rules::prefetch`] pays.
    #[inline]
    pub fn prefetch_pays(&self, automata: &Automata) -> bool {
        self.streams.as_ref().and_then(|names| names.set_id).is_some_and(|set_id| automata.prefetch_pays(set_id))
    }

    /// Prefetches the memory that [`Rules::find`] may need.
    #[inline]
    pub fn prefetch(&self, key: &[u8], automata: &Automata) {
        if let Some(set_id) = self.streams.as_ref().and_then(|names| names.set_id) {
            automata.prefetch(set_id, key);
        }
    }

    /// Appends the interests whose pattern matches.
    #[inline]
    pub fn find(&self, key: &[u8], type_name: &[u8], automata: &mut Automata, found: &mut Vec<u32>) {
        found.extend_from_slice(&self.all);
        if let Some(names) = &self.streams {
            names.find(key, automata, found);
        }
        if let Some(names) = &self.types {
            names.find(type_name, automata, found);
        }
    }
}

/// Removes a number from a list without order.
fn remove_number(numbers: &mut Vec<u32>, number: u32) {
    if let Some(index) = numbers.iter().position(|&known| known == number) {
        numbers.swap_remove(index);
    }
}
