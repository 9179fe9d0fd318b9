//! A pattern that needs an automaton, as it came: what it is compared by, and run by as long as it is alone.

use std::hash::{Hash, Hasher};

use crate::filter::{Glob, Regex};

/// A glob takes no longer for a byte than a regex of so many bytes.
const GLOB_WEIGHT: usize = 256;

/// A pattern that needs an automaton.
#[derive(Clone, Debug)]
pub enum Own {
    /// A regex.
    Regex(Regex),
    /// A glob.
    Glob(Glob),
    /// Either of two globs.
    Either(Box<(Glob, Glob)>),
}

impl Own {
    /// Whether it matches.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match self {
            Own::Regex(regex) => regex.matches(name),
            Own::Glob(glob) => glob.matches(name),
            Own::Either(both) => both.0.matches(name) || both.1.matches(name),
        }
    }

    /// Lists of strings, of each of which at least one is in every name that matches.
    pub fn clauses(&self) -> Vec<Vec<Vec<u8>>> {
        match self {
            Own::Regex(regex) => regex.needs().clauses.clone(),
            Own::Glob(glob) => glob.literals().into_iter().map(|literal| vec![literal]).collect(),
            Own::Either(_) => Vec::new(),
        }
    }

    /// About how much time it takes for a byte of a name at the worst: for a regex that grows with its size, in bytes.
    pub fn weight(&self) -> usize {
        match self {
            Own::Regex(regex) => regex.memory_bytes(),
            Own::Glob(_) => GLOB_WEIGHT,
            Own::Either(_) => 2 * GLOB_WEIGHT,
        }
    }

    /// As a regex that matches the same names, but for the empty one.
    pub fn to_regex(&self) -> String {
        match self {
            Own::Regex(regex) => regex.text().to_owned(),
            Own::Glob(glob) => glob.to_regex(),
            Own::Either(both) => format!("(?:{})|(?:{})", both.0.to_regex(), both.1.to_regex()),
        }
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Own) -> bool {
        match (self, other) {
            (Own::Regex(a), Own::Regex(b)) => a.text() == b.text(),
            (Own::Glob(a), Own::Glob(b)) => a == b,
            (Own::Either(a), Own::Either(b)) => a == b,
            (Own::Regex(_) | Own::Glob(_) | Own::Either(..), _) => false,
        }
    }
}

impl Eq for Own {}

impl Hash for Own {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Own::Regex(regex) => regex.text().hash(state),
            Own::Glob(glob) => glob.hash(state),
            Own::Either(both) => both.hash(state),
        }
    }
}
