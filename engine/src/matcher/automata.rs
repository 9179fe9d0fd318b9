//! The regexes and globs of a shard: which of them a name matches, and what they cost.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::governor::{ALL, Clock, Governor};
use super::grams::{Filed, Grams};
use crate::filter::{Glob, Regex};
use crate::limits::{REGEX_NAME_BYTES_MAX, REGEX_NAME_WORK_MAX};

/// A pattern that needs an automaton.
#[derive(Clone, Debug)]
pub enum Own {
    /// A regex.
    Regex(Regex),
    /// A glob.
    Glob(Glob),
    /// Either of two globs.
    Either(Glob, Glob),
}

impl Own {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Own::Regex(regex) => regex.matches(name),
            Own::Glob(glob) => glob.matches(name),
            Own::Either(one, other) => one.matches(name) || other.matches(name),
        }
    }

    fn clauses(&self) -> Vec<Vec<Vec<u8>>> {
        match self {
            Own::Regex(regex) => regex.needs().clauses.clone(),
            Own::Glob(glob) => glob.literals().into_iter().map(|literal| vec![literal]).collect(),
            Own::Either(..) => Vec::new(),
        }
    }

    /// About how large it is, in bytes.
    fn weight(&self) -> usize {
        match self {
            Own::Regex(regex) => regex.memory_bytes(),
            Own::Glob(glob) => glob.token_count() * 8,
            Own::Either(one, other) => (one.token_count() + other.token_count()) * 8,
        }
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Own) -> bool {
        match (self, other) {
            (Own::Regex(a), Own::Regex(b)) => a.text() == b.text(),
            (Own::Glob(a), Own::Glob(b)) => a == b,
            (Own::Either(a, b), Own::Either(c, d)) => a == c && b == d,
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
            Own::Either(one, other) => (one, other).hash(state),
        }
    }
}

/// A pattern with those who want what it matches.
struct One {
    own: Own,
    filed: Filed,
    numbers: SmallVec<[u32; 2]>,
    weight: usize,
    /// The last name it was run on.
    seen: u64,
    /// It was too expensive: not run any more, to be told at the turn's end.
    stopped: bool,
    /// What it has cost in its last window, and in those before, ever halved.
    spent: u64,
    window: u64,
}

/// Patterns that are run on the same names.
#[derive(Default)]
struct Place {
    by_own: HashMap<Own, u32, RandomState>,
    grams: Grams,
    /// Those that need nothing, and are run on every name.
    always: Vec<u32>,
}

/// All patterns of a shard that need an automaton.
pub struct Automata {
    places: Vec<Place>,
    free_places: Vec<u32>,
    ones: Vec<Option<One>>,
    free: Vec<u32>,
    stopped: Vec<u32>,
    /// Names looked at so far.
    names: u64,
    candidates: Vec<u32>,
    governor: Governor,
}

/// One in so many names is timed where little is to be run.
const TIMED_EVERY: u64 = 8;
/// From so many patterns on each name is timed.
const MANY: usize = 4;
/// A pattern of more bytes than this is timed each time.
const HEAVY_BYTES: usize = 64 << 10;

impl Automata {
    /// None yet. `clock` tells the time that they take.
    pub fn new(clock: Clock) -> Automata {
        Automata {
            places: Vec::new(),
            free_places: Vec::new(),
            ones: Vec::new(),
            free: Vec::new(),
            stopped: Vec::new(),
            names: 0,
            candidates: Vec::new(),
            governor: Governor::new(clock),
        }
    }

    /// Whether there is none.
    #[cfg(all(test, not(loom)))]
    pub fn is_empty(&self) -> bool {
        self.ones.iter().all(Option::is_none) && self.places.len() == self.free_places.len()
    }

    /// A place for patterns that are run on the same names.
    pub fn new_place(&mut self) -> u32 {
        self.free_places.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() as u32 - 1
        })
    }

    /// Adds a number to a pattern.
    pub fn insert(&mut self, place: u32, own: Own, number: u32) {
        let here = &mut self.places[place as usize];
        if let Some(&known) = here.by_own.get(&own) {
            if let Some(one) = &mut self.ones[known as usize] {
                one.numbers.push(number);
            }
            return;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.ones.push(None);
            self.ones.len() as u32 - 1
        });
        let filed = here.grams.choose(&own.clauses(), [].into_iter());
        here.by_own.insert(own.clone(), id);
        match filed.is_empty() {
            true => here.always.push(id),
            false => here.grams.insert(&filed, id),
        }
        let weight = own.weight();
        self.ones[id as usize] = Some(One {
            own,
            filed,
            numbers: SmallVec::from_slice(&[number]),
            weight,
            seen: 0,
            stopped: false,
            spent: 0,
            window: 0,
        });
    }

    /// Takes a number from a pattern, if it is there. Tells whether the place is empty then: it is given back.
    pub fn remove(&mut self, place: u32, own: &Own, number: u32) -> bool {
        let here = &mut self.places[place as usize];
        let Some(&id) = here.by_own.get(own) else { return false };
        let Some(one) = &mut self.ones[id as usize] else { return false };
        one.numbers.retain(|known| *known != number);
        if !one.numbers.is_empty() {
            return false;
        }
        here.by_own.remove(own);
        here.always.retain(|&known| known != id);
        here.grams.remove(&one.filed, id);
        self.ones[id as usize] = None;
        self.free.push(id);
        self.stopped.retain(|&known| known != id);
        let is_empty = here.by_own.is_empty();
        if is_empty {
            *here = Place::default();
            self.free_places.push(place);
        }
        is_empty
    }

    /// Appends the numbers of the patterns of a place that match `name`.
    #[inline]
    pub fn find(&mut self, place: u32, name: &[u8], found: &mut Vec<u32>) {
        let here = &self.places[place as usize];
        self.candidates.clear();
        self.candidates.extend_from_slice(&here.always);
        here.grams.find(name, &mut self.candidates);
        self.names += 1;
        self.governor.saw_record();
        if !self.candidates.is_empty() {
            self.run(name, found);
        }
    }

    /// Runs the candidates.
    fn run(&mut self, name: &[u8], found: &mut Vec<u32>) {
        let candidates = std::mem::take(&mut self.candidates);
        let heavy = name.len() > REGEX_NAME_BYTES_MAX || candidates.len() >= MANY || self.governor.is_close();
        let mut times = if heavy { 1 } else { TIMED_EVERY };
        let mut since = (heavy || self.names.is_multiple_of(TIMED_EVERY)).then(|| self.governor.now());
        // Those since the clock was last read.
        let mut from = 0;
        for (index, &id) in candidates.iter().enumerate() {
            let Some(one) = &mut self.ones[id as usize] else { continue };
            if one.stopped || one.seen == self.names {
                continue;
            }
            one.seen = self.names;
            let weight = one.weight;
            if name.len() > REGEX_NAME_BYTES_MAX && weight.saturating_mul(name.len()) > REGEX_NAME_WORK_MAX {
                self.stop(id);
                continue;
            }
            if weight > HEAVY_BYTES && since.is_none() {
                since = Some(self.governor.now());
                (from, times) = (index, 1);
            }
            if one.own.matches(name) {
                found.extend_from_slice(&one.numbers);
            }
            let last = index + 1 == candidates.len();
            if let Some(start) = since
                && (last || weight > HEAVY_BYTES || index - from >= 16 || self.governor.is_close())
            {
                let now = self.governor.now();
                since = Some(now);
                if self.charge(&candidates[from..=index], now, now.saturating_sub(start) * times) {
                    // So many had to be stopped that those who have not run yet may be as expensive.
                    candidates[index..].iter().for_each(|&id| self.stop(id));
                    break;
                }
                from = index + 1;
            }
        }
        self.candidates = candidates;
    }

    /// Puts the time on the account of those who took it, and stops the most expensive if it is too much. Tells whether
    /// all have to be stopped.
    fn charge(&mut self, ids: &[u32], now: u64, ns: u64) -> bool {
        let over = self.governor.spend(now, ns);
        let window = self.governor.window();
        let each = ns / ids.len().max(1) as u64;
        for &id in ids {
            if let Some(one) = &mut self.ones[id as usize] {
                one.spent = (one.spent >> (window - one.window).min(63)) + each;
                one.window = window;
            }
        }
        over && self.stop_some()
    }

    #[cold]
    fn stop_some(&mut self) -> bool {
        let part = self.governor.stop();
        let window = self.governor.window();
        let mut by_cost: Vec<(u64, u32)> = self
            .ones
            .iter()
            .enumerate()
            .filter_map(|(id, one)| Some((id, one.as_ref().filter(|one| !one.stopped)?)))
            .map(|(id, one)| (one.spent >> (window - one.window).min(63), id as u32))
            .filter(|(cost, _)| *cost > 0)
            .collect();
        by_cost.sort_unstable_by(|a, b| b.cmp(a));
        let total: u64 = by_cost.iter().map(|(cost, _)| cost).sum();
        let mut stopped = 0;
        for (cost, id) in by_cost {
            if stopped * ALL >= total * part {
                break;
            }
            stopped += cost;
            self.stop(id);
        }
        part == ALL
    }

    fn stop(&mut self, id: u32) {
        if let Some(one) = &mut self.ones[id as usize]
            && !one.stopped
        {
            one.stopped = true;
            self.stopped.push(id);
        }
    }

    /// Ends a turn: appends the numbers of the patterns that were stopped in it. They are to be removed.
    pub fn end_turn(&mut self, demoted: &mut Vec<u32>) {
        self.governor.end_turn();
        for id in &self.stopped {
            if let Some(one) = &self.ones[*id as usize] {
                demoted.extend_from_slice(&one.numbers);
            }
        }
    }
}
