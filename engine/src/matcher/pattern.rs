//! A pattern that needs an automaton, as it was given: its identity, and what runs while it is in no group.

use std::hash::{Hash, Hasher};

use crate::filter::{Glob, Regex};

/// A glob takes no longer per byte than a regex of this size in bytes.
const GLOB_WEIGHT: usize = 256;

/// A pattern that needs an automaton.
#[derive(Clone, Debug)]
pub enum AutomatonPattern {
    /// A regex.
    Regex(Regex),
    /// A glob.
    Glob(Glob),
    /// Either of two globs.
    Either(Box<(Glob, Glob)>),
}

impl AutomatonPattern {
    /// Whether it matches.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            AutomatonPattern::Regex(regex) => regex.matches(name),
            AutomatonPattern::Glob(glob) => glob.matches(name),
            AutomatonPattern::Either(both) => both.0.matches(name) || both.1.matches(name),
        }
    }

    /// Clauses that every match satisfies: of each list, the name contains at least one string.
    pub fn clauses(&self) -> Vec<Vec<Vec<u8>>> {
        match self {
            AutomatonPattern::Regex(regex) => regex.needs().clauses.clone(),
            AutomatonPattern::Glob(glob) => glob.literals().into_iter().map(|literal| vec![literal]).collect(),
            AutomatonPattern::Either(_) => Vec::new(),
        }
    }

    /// Roughly its worst-case time per byte of a name: for a regex this grows with its size in bytes.
    pub fn weight(&self) -> usize {
        match self {
            AutomatonPattern::Regex(regex) => regex.memory_bytes(),
            AutomatonPattern::Glob(_) => GLOB_WEIGHT,
            AutomatonPattern::Either(_) => 2 * GLOB_WEIGHT,
        }
    }

    /// A regex that matches the same names, except for the empty one.
    pub fn to_regex(&self) -> String {
        match self {
            AutomatonPattern::Regex(regex) => regex.text().to_owned(),
            AutomatonPattern::Glob(glob) => glob.to_regex(),
            AutomatonPattern::Either(both) => format!("(?:{})|(?:{})", both.0.to_regex(), both.1.to_regex()),
        }
    }
}

impl PartialEq for AutomatonPattern {
    fn eq(&self, other: &AutomatonPattern) -> bool {
        match (self, other) {
            (AutomatonPattern::Regex(a), AutomatonPattern::Regex(b)) => a.text() == b.text(),
            (AutomatonPattern::Glob(a), AutomatonPattern::Glob(b)) => a == b,
            (AutomatonPattern::Either(a), AutomatonPattern::Either(b)) => a == b,
            (AutomatonPattern::Regex(_) | AutomatonPattern::Glob(_) | AutomatonPattern::Either(..), _) => false,
        }
    }
}

impl Eq for AutomatonPattern {}

impl Hash for AutomatonPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            AutomatonPattern::Regex(regex) => regex.text().hash(state),
            AutomatonPattern::Glob(glob) => glob.hash(state),
            AutomatonPattern::Either(both) => both.hash(state),
        }
    }
}
