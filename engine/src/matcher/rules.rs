//! The interests that differ in their pattern only, by pattern: none, names, prefixes, and what needs an automaton.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::automata::Automata;
use super::own::Own;
use super::prefixes::Prefixes;
use crate::filter::{Glob, Pattern, Target, Whole};
use crate::position::ShardId;

/// How a pattern is looked for.
enum By<'p> {
    /// It lets everything through.
    All,
    /// One name.
    Name(&'p [u8]),
    /// Names that begin with one of these, of which none begins with another.
    Prefixes(SmallVec<[&'p [u8]; 1]>),
    /// All else.
    Automaton(Own),
}

impl<'p> By<'p> {
    fn of(pattern: &'p Pattern, shard: ShardId) -> By<'p> {
        match pattern {
            Pattern::All => By::All,
            Pattern::Prefixes(prefixes) => By::Prefixes(prefixes.iter().map(|prefix| &**prefix).collect()),
            Pattern::Regex(regex) => match &regex.needs().whole {
                Some(Whole::Prefix(prefix)) => By::Prefixes(SmallVec::from_slice(&[&**prefix])),
                Some(Whole::Exact(name)) => By::Name(name),
                None => By::Automaton(Own::Regex(regex.clone())),
            },
            Pattern::Glob(glob) => By::glob(glob),
            Pattern::Shard { shard: selected, keys, literal } if *selected == shard => {
                if keys.is_all() {
                    By::All
                } else {
                    By::Automaton(Own::Either(Box::new((keys.clone(), literal.clone()))))
                }
            }
            Pattern::Shard { literal, .. } => By::glob(literal),
        }
    }

    fn glob(glob: &'p Glob) -> By<'p> {
        match glob.exact() {
            _ if glob.is_all() => By::All,
            Some(name) => By::Name(name),
            None if glob.is_prefix() => By::Prefixes(SmallVec::from_slice(&[glob.prefix()])),
            None => By::Automaton(Own::Glob(glob.clone())),
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
    /// What needs automata, known there under this number.
    place: Option<u32>,
}

impl Names {
    fn new() -> Names {
        Names { exact: HashMap::default(), prefixes: Prefixes::new(), place: None }
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty() && self.place.is_none()
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
        if let Some(place) = self.place {
            automata.find(place, name, found);
        }
    }
}

impl Rules {
    /// Adds an interest by its pattern on the names that `on` says. The number must not be there yet.
    pub fn insert(&mut self, on: Target, pattern: &Pattern, shard: ShardId, number: u32, automata: &mut Automata) {
        let by = By::of(pattern, shard);
        if matches!(by, By::All) {
            self.all.push(number);
            return;
        }
        let names = match on {
            Target::Stream => &mut self.streams,
            Target::Type => &mut self.types,
        };
        let names = names.get_or_insert_with(|| Box::new(Names::new()));
        match by {
            By::All => {}
            By::Name(name) => names.exact.entry(name.into()).or_default().push(number),
            By::Prefixes(prefixes) => prefixes.iter().for_each(|prefix| names.prefixes.insert(prefix, number)),
            By::Automaton(own) => {
                let place = *names.place.get_or_insert_with(|| automata.new_place());
                automata.insert(place, own, number);
            }
        }
    }

    /// Takes out what was added so.
    pub fn remove(&mut self, on: Target, pattern: &Pattern, shard: ShardId, number: u32, automata: &mut Automata) {
        let kept = match on {
            Target::Stream => &mut self.streams,
            Target::Type => &mut self.types,
        };
        match (By::of(pattern, shard), kept.as_deref_mut()) {
            (By::All, _) => take(&mut self.all, number),
            (By::Name(name), Some(names)) => {
                if let Some(numbers) = names.exact.get_mut(name) {
                    numbers.retain(|known| *known != number);
                    if numbers.is_empty() {
                        names.exact.remove(name);
                    }
                }
            }
            (By::Prefixes(prefixes), Some(names)) => {
                prefixes.iter().for_each(|prefix| names.prefixes.remove(prefix, number));
            }
            (By::Automaton(own), Some(Names { place, .. })) => {
                if place.is_some_and(|place| automata.remove(place, &own, number)) {
                    *place = None;
                }
            }
            (By::Name(_) | By::Prefixes(_) | By::Automaton(_), None) => {}
        }
        if kept.as_deref().is_some_and(Names::is_empty) {
            *kept = None;
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.streams.is_none() && self.types.is_none()
    }

    /// Whether there is anything to ask for ahead.
    #[inline]
    pub fn looks_ahead(&self, automata: &Automata) -> bool {
        self.streams.as_ref().and_then(|names| names.place).is_some_and(|place| automata.looks_ahead(place))
    }

    /// Asks for the memory that [`Rules::find`] may need.
    #[inline]
    pub fn prefetch(&self, key: &[u8], automata: &Automata) {
        if let Some(place) = self.streams.as_ref().and_then(|names| names.place) {
            automata.prefetch(place, key);
        }
    }

    /// Appends the numbers of those whose pattern matches.
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

/// Takes a number out of a list, whose order tells nothing.
fn take(numbers: &mut Vec<u32>, number: u32) {
    if let Some(index) = numbers.iter().position(|&known| known == number) {
        numbers.swap_remove(index);
    }
}
