//! All live interests of one shard, combined: each newly published record is looked at once, however many there are.
//!
//! | module | what is in it |
//! |---|---|
//! | [`rules`] | the interests of one source by their pattern |
//! | [`prefixes`] | prefixes as a tree |
//! | [`sieve`] | which names surely begin with none of them |
//! | [`automata`] | regexes and globs, and what they cost |
//! | [`grams`] | which regexes a name cannot match |
//! | [`own`] | one of them as it came |
//! | [`place`] | those that are run on the same names |
//! | [`group`] | many of them in one automaton |
//! | [`builder`] | the thread that makes groups |
//! | [`memo`] | what was found for a name before |
//! | [`worth`] | whether that is looked up before all else |
//! | [`recent`] | a few of the names before |
//! | [`governor`] | when their cost is too much |
//!
//! An interest is filed under its source first, for that is looked up, then under whether it leaves system events out,
//! then under its pattern. So nothing that is met on the way has to be checked again, and what is not wanted costs
//! nothing, however the sources and the patterns go together.

mod automata;
mod builder;
mod governor;
mod grams;
mod group;
mod memo;
mod own;
mod place;
mod prefixes;
mod recent;
mod rules;
mod sieve;
#[cfg(all(test, not(loom)))]
mod tests;
mod worth;

use std::collections::HashMap;
use std::sync::Arc;

pub use builder::BuilderThread;

use automata::Automata;
use foldhash::fast::RandomState;
use governor::{Clock, SystemClock};
use rules::Rules;

use crate::filter::Pattern;
use crate::position::{Revision, ShardId};
use crate::ring::Record;
use crate::subscription::{Interest, Source, category_of};

/// The interests of one source: those that want its system events, and those that do not.
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
    fn find(&self, event: &Event<'_>, automata: &mut Automata, found: &mut Vec<u32>) {
        self.every.find(event.key, event.type_name, automata, found);
        if !event.is_system {
            self.no_system.find(event.key, event.type_name, automata, found);
        }
    }
}

/// What of a record is looked at.
struct Event<'a> {
    key: &'a [u8],
    type_name: &'a [u8],
    is_system: bool,
}

type Scopes = HashMap<Box<[u8]>, Box<Scope>, RandomState>;

/// The live interests of one shard.
pub struct Matcher {
    shard: ShardId,
    /// The interests by their number.
    interests: Vec<Option<Arc<Interest>>>,
    count: usize,
    /// `$all`, and this shard.
    any: Scope,
    /// `$streams`.
    first: Scope,
    streams: Scopes,
    categories: Scopes,
    types: Scopes,
    automata: Automata,
}

impl Matcher {
    /// No interest yet in what happens on this shard.
    pub fn new(shard: ShardId) -> Matcher {
        Matcher::with_clock(shard, Box::new(SystemClock))
    }

    /// The same on a given clock, by which the time that regexes take is judged.
    fn with_clock(shard: ShardId, clock: Box<dyn Clock>) -> Matcher {
        Matcher {
            shard,
            interests: Vec::new(),
            count: 0,
            any: Scope::default(),
            first: Scope::default(),
            streams: Scopes::default(),
            categories: Scopes::default(),
            types: Scopes::default(),
            automata: Automata::new(clock),
        }
    }

    /// Adds an interest, from the next record on. `number` is the caller's, unique among those present; small, for
    /// memory is taken for all below it. One that is present already is replaced.
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
        self.interests[index] = Some(interest);
        self.count += 1;
    }

    /// Takes an interest out. Does nothing where there is none of this number.
    pub fn remove(&mut self, number: u32) {
        let Some(interest) = self.interests.get_mut(number as usize).and_then(Option::take) else { return };
        self.count -= 1;
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
            self.automata.throw_away(Box::new(interest));
        }
    }

    /// Where the interests in a source are, made if need be; none for another shard.
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

    /// Waits for what is being made, and takes it in.
    #[cfg(all(test, not(loom)))]
    fn wait(&mut self) {
        self.automata.wait();
    }

    /// Waits for the next of what is being made, if anything is, and takes it in at the turn's end.
    #[cfg(all(test, not(loom)))]
    fn wait_for_one(&mut self) {
        self.automata.wait_for_one();
    }

    /// How many patterns are in groups.
    #[cfg(all(test, not(loom)))]
    fn grouped(&self) -> usize {
        self.automata.grouped()
    }

    /// Whether it holds nothing at all any more.
    #[cfg(all(test, not(loom)))]
    fn is_bare(&self) -> bool {
        let no_scopes = self.streams.is_empty() && self.categories.is_empty() && self.types.is_empty();
        self.is_empty() && self.any.is_empty() && self.first.is_empty() && no_scopes && self.automata.is_empty()
    }

    /// Whether there is no interest, so that nothing has to be looked at.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The numbers of all interests that want the record, each once, in any order, in the place of what `found` held.
    /// Flushes are not to be asked for: everyone wants them.
    ///
    /// The numbers that the next [`Matcher::end_turn`] answers may be among them or missing.
    #[inline]
    pub fn find(&mut self, record: &Record<'_>, found: &mut Vec<u32>) {
        found.clear();
        let (key, type_name) = (record.key(), record.type_name());
        let event = Event { key, type_name, is_system: key.starts_with(b"$") || type_name.starts_with(b"$") };
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

    /// Whether [`Matcher::prefetch`] is worth calling for the turn's records.
    #[inline]
    pub fn looks_ahead(&self) -> bool {
        self.any.every.looks_ahead(&self.automata)
    }

    /// Asks for the memory that [`Matcher::find`] will need for a record, a few records before. May be left out.
    #[inline]
    pub fn prefetch(&self, record: &Record<'_>) {
        self.any.every.prefetch(record.key(), &self.automata);
    }

    /// Ends a turn: to be called once after each turn's records. In the place of what `demoted` held come the interests
    /// that are too expensive to be matched here. They are removed already; of this turn's records, [`Matcher::find`]
    /// may have answered them for some and not for others.
    pub fn end_turn(&mut self, demoted: &mut Vec<u32>) {
        demoted.clear();
        self.automata.end_turn(demoted);
        for &number in demoted.iter() {
            self.remove(number);
        }
    }
}
