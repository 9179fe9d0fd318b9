//! All live interests of one shard, combined: each newly published record is matched once, however many interests there
//! are.
//!
//! | module | what is in it |
//! |---|---|
//! | [`rules`] | the interests of one source by their pattern |
//! | [`prefixes`] | prefixes as a radix tree |
//! | [`prefix_bloom`] | which names certainly begin with no prefix |
//! | [`automata`] | regexes and globs, and their cost |
//! | [`grams`] | which regexes a name cannot match |
//! | [`pattern`] | one regex or glob as it was given |
//! | [`pattern_set`] | the patterns that are run on the same names |
//! | [`group`] | many patterns in one automaton |
//! | [`builder`] | the thread that builds groups |
//! | [`memo`] | matches remembered by name |
//! | [`memo_use`] | whether to probe the memo first |
//! | [`recent`] | a sample of recent names |
//! | [`governor`] | the bounds on matching time |
//! | [`names`] | patterns on names of channels |
//!
//! An interest is filed under its source first, because that is one look-up, then under whether it excludes system
//! events, then under its pattern. So no rule that is reached needs a further check, and unwanted records cost nothing,
//! whatever the combination of sources and patterns.

mod automata;
mod builder;
mod governor;
mod grams;
mod group;
mod memo;
mod memo_use;
mod names;
mod pattern;
mod pattern_set;
mod prefix_bloom;
mod prefixes;
mod recent;
mod rules;
#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub use builder::BuilderThread;
pub use names::NamePatterns;

use automata::Automata;
use foldhash::fast::RandomState;
use governor::{Clock, SystemClock};
use rules::Rules;

use crate::filter::Pattern;
use crate::interest::{Interest, Source, category_of};
use crate::position::{Revision, ShardId};
use crate::ring::Record;
use crate::stream_name::is_system;

/// The interests of one source, split by whether they want its system events.
#[derive(Default)]
struct Scope {
    every: Rules,
    no_system: Rules,
}

impl Scope {
    fn is_empty(&self) -> bool {
        self.every.is_empty() && self.no_system.is_empty()
    }

    fn rules(&mut self, no_system: bool) -> &mut Rules {
        if no_system { &mut self.no_system } else { &mut self.every }
    }

    #[inline]
    fn find(&self, event: &EventNames<'_>, automata: &mut Automata, found: &mut Vec<u32>) {
        self.every.find(event.key, event.type_name, automata, found);
        if !event.is_system {
            self.no_system.find(event.key, event.type_name, automata, found);
        }
    }
}

/// The parts of a record that matching needs.
struct EventNames<'a> {
    key: &'a [u8],
    type_name: &'a [u8],
    is_system: bool,
}

type Scopes = HashMap<Box<[u8]>, Box<Scope>, RandomState>;

/// The live interests of one shard.
pub struct Matcher {
    shard: ShardId,
    /// The interests, indexed by their number.
    interests: Vec<Option<Arc<Interest>>>,
    count: usize,
    /// What the interests take, in bytes: see [`Interest::memory_bytes`].
    memory_bytes: u64,
    /// `$all`, and this shard's own stream.
    any: Scope,
    /// `$streams`.
    first: Scope,
    streams: Scopes,
    categories: Scopes,
    types: Scopes,
    automata: Automata,
}

impl Matcher {
    /// A matcher without interests.
    pub fn new(shard: ShardId) -> Matcher {
        Matcher::with_clock(shard, Box::new(SystemClock))
    }

    /// The same with a given clock, which measures the time that regexes take.
    fn with_clock(shard: ShardId, clock: Box<dyn Clock>) -> Matcher {
        Matcher {
            shard,
            interests: Vec::new(),
            count: 0,
            memory_bytes: 0,
            any: Scope::default(),
            first: Scope::default(),
            streams: Scopes::default(),
            categories: Scopes::default(),
            types: Scopes::default(),
            automata: Automata::new(clock),
        }
    }

    /// Adds an interest, effective from the next record. The caller chooses `number`, unique among the present ones and
    /// small: memory is allocated for all lower numbers. An interest with the same number is replaced.
    pub fn add(&mut self, number: u32, interest: Arc<Interest>) {
        self.remove(number);
        let (filter, shard) = (&interest.filter, self.shard);
        if let Some((scope, automata)) = self.scope(&interest.source) {
            let rules = scope.rules(filter.no_system());
            rules.insert(filter.on(), filter.pattern(), shard, number, automata);
        }
        let index = number as usize;
        if index >= self.interests.len() {
            self.interests.resize(index + 1, None);
        }
        self.memory_bytes += interest.memory_bytes();
        self.interests[index] = Some(interest);
        self.count += 1;
    }

    /// Removes an interest. Does nothing if there is none with this number. [`Matcher::free_removed`] frees it.
    pub fn remove(&mut self, number: u32) {
        let Some(interest) = self.interests.get_mut(number as usize).and_then(Option::take) else { return };
        self.count -= 1;
        self.memory_bytes -= interest.memory_bytes();
        let (source, filter, shard) = (&interest.source, &interest.filter, self.shard);
        let Some((scope, automata)) = self.scope(source) else { return };
        scope.rules(filter.no_system()).remove(filter.on(), filter.pattern(), shard, number, automata);
        if scope.is_empty() {
            match source {
                Source::Stream(name) => self.streams.remove(name),
                Source::Category(name) => self.categories.remove(name),
                Source::Type(name) => self.types.remove(name),
                Source::All | Source::Shard(_) | Source::Streams => None,
            };
        }
        if matches!(interest.filter.pattern(), Pattern::Regex(_)) {
            self.automata.free_later(Box::new(interest));
        }
        if self.count == 0 {
            self.interests = Vec::new();
            self.automata.clear();
        }
    }

    /// Frees removed interests and patterns on another thread. The caller that has removed an interest calls this: a shard
    /// that records nothing ends no turn here.
    #[inline]
    pub fn free_removed(&mut self) {
        self.automata.free_trash();
    }

    /// The memory of the interests that are present, in bytes: see [`Interest::memory_bytes`].
    #[inline]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// The interests in a source, created if missing; `None` for another shard's stream.
    fn scope(&mut self, source: &Source) -> Option<(&mut Scope, &mut Automata)> {
        let scope = match source {
            Source::All => &mut self.any,
            Source::Shard(shard) if *shard == self.shard => &mut self.any,
            Source::Shard(_) => return None,
            Source::Streams => &mut self.first,
            Source::Stream(name) => self.streams.entry(name.clone()).or_default(),
            Source::Category(name) => self.categories.entry(name.clone()).or_default(),
            Source::Type(name) => self.types.entry(name.clone()).or_default(),
        };
        Some((scope, &mut self.automata))
    }

    /// Waits for all pending groups and installs them.
    #[cfg(all(test, not(loom)))]
    fn wait(&mut self) {
        self.automata.wait();
    }

    /// Waits for one pending group, if any; it is installed at the end of the turn.
    #[cfg(all(test, not(loom)))]
    fn wait_for_one(&mut self) {
        self.automata.wait_for_one();
    }

    /// The number of patterns in groups.
    #[cfg(all(test, not(loom)))]
    fn grouped(&self) -> usize {
        self.automata.grouped()
    }

    /// Whether no memory is left in use.
    #[cfg(all(test, not(loom)))]
    fn holds_nothing(&self) -> bool {
        let no_scopes = self.streams.is_empty() && self.categories.is_empty() && self.types.is_empty();
        self.is_empty() && self.any.is_empty() && self.first.is_empty() && no_scopes && self.automata.is_empty()
    }

    /// Whether there is no interest, so that records need not be matched.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Replaces `found` by the numbers of all interests that want the record, each once, in any order. Not to be called
    /// for flushes: every interest wants them.
    ///
    /// Interests that the next [`Matcher::end_turn`] demotes may be included or missing.
    #[inline]
    pub fn find(&mut self, record: &Record<'_>, found: &mut Vec<u32>) {
        found.clear();
        let (key, type_name) = (record.key(), record.type_name());
        let event = EventNames { key, type_name, is_system: is_system(key) || is_system(type_name) };
        let automata = &mut self.automata;
        self.any.find(&event, automata, found);
        if record.revision() == Revision(0) {
            self.first.find(&event, automata, found);
        }
        if !self.streams.is_empty()
            && let Some(scope) = self.streams.get(key)
        {
            scope.find(&event, automata, found);
        }
        if !self.categories.is_empty()
            && let Some(scope) = category_of(key).and_then(|category| self.categories.get(category))
        {
            scope.find(&event, automata, found);
        }
        if !self.types.is_empty()
            && let Some(scope) = self.types.get(type_name)
        {
            scope.find(&event, automata, found);
        }
    }

    /// Whether calling [`Matcher::prefetch`] for the turn's records pays.
    #[inline]
    pub fn prefetch_pays(&self) -> bool {
        self.any.every.prefetch_pays(&self.automata)
    }

    /// Prefetches the memory that [`Matcher::find`] will need for a record. Call it a few records ahead; optional.
    #[inline]
    pub fn prefetch(&self, record: &Record<'_>) {
        self.any.every.prefetch(record.key(), &self.automata);
    }

    /// Ends a turn: to be called once after the records of each turn. Replaces `demoted` by the interests that are too
    /// expensive to match here. They are removed already; [`Matcher::find`] may have reported them for some of this
    /// turn's records and not for others.
    pub fn end_turn(&mut self, demoted: &mut Vec<u32>) {
        demoted.clear();
        self.automata.end_turn(demoted);
        for &number in demoted.iter() {
            self.remove(number);
        }
    }
}
