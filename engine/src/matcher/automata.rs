//! The regexes and globs of a shard: which of them a name matches, what they cost, and who is stopped when it is too
//! much.

mod regroup;
mod stop;

use smallvec::SmallVec;

use super::builder::{Builder, Trash};
use super::governor::{Clock, Governor, Lap, Spent};
use super::group::Member;
use super::memo::{Key, Memo};
use super::own::Own;
use super::place::{One, Place, Way};
use crate::limits::{GROUP_NAME_BYTES_MAX, REGEX_HEAVY_BYTES, REGEX_NAME_BYTES_MAX, REGEX_NAME_WORK_MAX};

/// All patterns of a shard that need an automaton.
pub struct Automata {
    places: Vec<Place>,
    free_places: Vec<u32>,
    ones: Vec<Option<Box<One>>>,
    free: Vec<u32>,
    /// Patterns that ever came.
    born: u64,
    /// Groups that ever were.
    seated: u64,
    /// The patterns that are stopped.
    stopped: Vec<u32>,
    /// Places where something is to be grouped.
    due: Vec<u32>,
    /// Names looked at so far, and when the places were looked through.
    names: u64,
    reviewed: u64,
    candidates: Vec<u32>,
    matches: Vec<u32>,
    trash: Vec<Trash>,
    memo: Memo,
    /// Whether memory for the memo is still to be asked for; none as long as nothing would be kept.
    wants_memo: Option<bool>,
    governor: Governor,
    builder: Builder,
}

/// One in so many names is timed where little is to be run.
const TIMED_EVERY: u64 = 8;
/// From so much to run on each name is timed.
const TIMED_FROM: usize = 8;
/// So many patterns are timed together.
const TOGETHER: usize = 16;
/// So often a pattern builds up what it runs on.
const COLD_RUNS: u32 = 2;
/// What running a group counts for, in patterns that are run alone.
const GROUP_WORK: usize = 2;
/// From so much to run on, what was found for the name before is looked up: that costs a cache miss.
const MEMO_FROM: usize = 4;
/// After so many names the places are looked through.
const REVIEW_EVERY: u64 = if cfg!(test) { 8 } else { 8 << 10 };

/// Whether a pattern has not gone since.
#[inline]
fn is_there(ones: &[Option<Box<One>>], member: Member) -> bool {
    ones[member.id as usize].as_ref().is_some_and(|one| one.born == member.born)
}

/// Whether a pattern of this place was there at that time: what came later into the place of one that has gone is not
/// what matched then.
#[inline]
fn is_still(ones: &[Option<Box<One>>], id: u32, newest: u64, place: u32) -> bool {
    ones[id as usize].as_ref().is_some_and(|one| one.born <= newest && one.place == place)
}

/// A name that is being matched.
struct Run<'n> {
    place: u32,
    name: &'n [u8],
    /// The clock, where it is timed.
    lap: Option<Lap>,
    /// For how many names like it its time counts.
    times: u64,
    /// What ran last did so for the first times.
    is_cold: bool,
}

impl Automata {
    /// None yet. `clock` tells the time that they take.
    pub fn new(clock: Box<dyn Clock>) -> Automata {
        Automata {
            places: Vec::new(),
            free_places: Vec::new(),
            ones: Vec::new(),
            free: Vec::new(),
            born: 0,
            seated: 0,
            stopped: Vec::new(),
            due: Vec::new(),
            names: 0,
            reviewed: 0,
            candidates: Vec::new(),
            matches: Vec::new(),
            trash: Vec::new(),
            memo: Memo::new(),
            wants_memo: None,
            governor: Governor::new(clock),
            builder: Builder::new(),
        }
    }

    /// Whether there is none.
    #[cfg(all(test, not(loom)))]
    pub fn is_empty(&self) -> bool {
        self.ones.iter().all(Option::is_none) && self.places.len() == self.free_places.len()
    }

    /// How many are in groups.
    #[cfg(all(test, not(loom)))]
    pub fn grouped(&self) -> usize {
        self.ones.iter().flatten().filter(|one| one.way.is_grouped()).count()
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
        self.born += 1;
        let born = self.born;
        let filed = here.grams.choose(&own.clauses(), &here.recent);
        here.by_own.insert(own.clone(), id);
        here.note(Member { id, born });
        let way = if filed.is_empty() { Way::New } else { Way::Filed };
        match way {
            Way::Filed => here.grams.insert(&filed, id),
            Way::New | Way::Alone | Way::Grouped(_) => {
                here.always.push(id);
                self.due.push(place);
            }
        }
        let numbers = SmallVec::from_slice(&[number]);
        let (weight, spent) = (own.weight(), Spent::default());
        let (seen, tries, runs, stopped) = (0, 0, 0, false);
        self.ones[id as usize] =
            Some(Box::new(One { own, place, born, filed, numbers, weight, way, seen, tries, runs, stopped, spent }));
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
        here.forget(id, one);
        // Freeing a regex with what it has cached takes long.
        self.trash.extend(self.ones[id as usize].take().map(|one| one as Trash));
        self.free.push(id);
        self.stopped.retain(|&known| known != id);
        let is_empty = here.by_own.is_empty();
        // What is being made for it would be taken for what is made for the next ones here: until then it is nobody's.
        if is_empty && here.replaced.is_none() {
            *here = Place::default();
            self.free_places.push(place);
        }
        is_empty
    }

    /// Has something freed elsewhere.
    pub fn throw_away(&mut self, trash: Trash) {
        self.trash.push(trash);
    }

    /// Appends the numbers of the patterns of a place that match `name`.
    #[inline]
    pub fn find(&mut self, place: u32, name: &[u8], found: &mut Vec<u32>) {
        self.names += 1;
        self.governor.saw_record();
        let here = &mut self.places[place as usize];
        here.worth.names += 1;
        here.recent.see(name);
        let key = if here.worth.is_first() { self.memo.key(place, name) } else { None };
        self.matches.clear();
        if !key.as_ref().is_some_and(|key| self.recall_all(place, key)) {
            self.look(place, name, key);
        }
        for &id in &self.matches {
            if let Some(one) = &self.ones[id as usize] {
                found.extend_from_slice(&one.numbers);
            }
        }
    }

    /// Finds what matches a name.
    fn look(&mut self, place: u32, name: &[u8], key: Option<Key>) {
        let here = &mut self.places[place as usize];
        self.candidates.clear();
        self.candidates.extend_from_slice(&here.always);
        here.grams.find(name, &mut self.candidates);
        let work = self.candidates.len() + here.seats.len() * GROUP_WORK;
        here.worth.work = here.worth.work.saturating_add(work as u32);
        let key = if key.is_none() && work >= MEMO_FROM { self.memo.key(place, name) } else { key };
        if work == 0 && key.is_none() || key.as_ref().is_some_and(|key| self.recall(place, key, name)) {
            return;
        }
        self.run(place, name);
        if let Some(key) = key {
            self.wants_memo.get_or_insert(true);
            let here = &self.places[place as usize];
            self.memo.put(&key, &self.matches, here.newest);
        }
    }

    /// Takes the matches of a name from what was found before, if no pattern has come since.
    #[inline]
    fn recall_all(&mut self, place: u32, key: &Key) -> bool {
        let here = &mut self.places[place as usize];
        let Some(known) = self.memo.get(key).filter(|known| known.newest >= here.newest) else { return false };
        here.worth.recalled += 1;
        self.matches.extend_from_slice(&known.ids[..known.count]);
        self.matches.retain(|&id| is_still(&self.ones, id, known.newest, place));
        true
    }

    /// Whether [`Automata::prefetch`] is worth calling: what was found for names before is looked up first here.
    #[inline]
    pub fn looks_ahead(&self, place: u32) -> bool {
        self.memo.is_used() && self.places[place as usize].worth.is_first()
    }

    /// Asks for the memory that [`Automata::find`] may need for this name.
    #[inline]
    pub fn prefetch(&self, place: u32, name: &[u8]) {
        if let Some(key) = self.memo.key(place, name) {
            self.memo.prefetch(&key);
        }
    }

    /// Takes the matches of a name from what was found before. Tells whether that was enough.
    #[inline]
    fn recall(&mut self, place: u32, key: &Key, name: &[u8]) -> bool {
        let here = &self.places[place as usize];
        let Some(known) = self.memo.get(key) else { return false };
        let Some(since) = here.since(known.newest) else { return false };
        for &id in &known.ids[..known.count] {
            if is_still(&self.ones, id, known.newest, place) {
                self.matches.push(id);
            }
        }
        if since.is_empty() {
            return true;
        }
        // Of the newer ones the name has to be run on those that are candidates, or in groups by now.
        let (ones, newest) = (&self.ones, known.newest);
        let grouped = |member: &&Member| {
            ones[member.id as usize].as_ref().is_some_and(|one| one.born == member.born && one.way.is_grouped())
        };
        if since.iter().filter(grouped).count() > here.seats.len() * GROUP_WORK {
            // The groups take less time.
            self.matches.clear();
            return false;
        }
        self.candidates.retain(|&id| ones[id as usize].as_ref().is_some_and(|one| one.born > newest));
        self.candidates.extend(since.iter().filter(grouped).map(|member| member.id));
        let mut run = self.start(place, name, self.candidates.len() >= TIMED_FROM);
        self.run_alone(&mut run);
        let here = &self.places[place as usize];
        self.memo.put(key, &self.matches, here.newest);
        true
    }

    fn start<'n>(&mut self, place: u32, name: &'n [u8], timed: bool) -> Run<'n> {
        let each = timed || name.len() > REGEX_NAME_BYTES_MAX;
        let times = if each { 1 } else { TIMED_EVERY };
        let lap = (each || self.names.is_multiple_of(TIMED_EVERY)).then(|| self.governor.start());
        Run { place, name, lap, times, is_cold: false }
    }

    /// Runs the groups of the place, and the candidates.
    fn run(&mut self, place: u32, name: &[u8]) {
        let seats = self.places[place as usize].seats.len();
        let mut run = self.start(place, name, self.candidates.len() + seats >= TIMED_FROM);
        for index in 0..seats {
            self.run_group(&mut run, index);
        }
        self.run_alone(&mut run);
    }

    fn run_group(&mut self, run: &mut Run<'_>, index: usize) {
        let seat = &mut self.places[run.place as usize].seats[index];
        if seat.stopped {
            return;
        }
        if run.name.len() > GROUP_NAME_BYTES_MAX {
            self.stop_group(run.place as usize, index);
            return;
        }
        let before = self.matches.len();
        let (ones, matches) = (&self.ones, &mut self.matches);
        let take = |member: Member| {
            if is_there(ones, member) {
                matches.push(member.id);
            }
        };
        // A glob knows more of the empty name than its regex does.
        if run.name.is_empty() || seat.group.run(run.name, self.names, take).is_err() {
            self.matches.truncate(before);
            seat.undecided += 1;
            let there = |member: &&Member| is_there(ones, **member);
            self.candidates.extend(seat.group.members.iter().filter(there).map(|member| member.id));
        }
        if let Some(lap) = &mut run.lap {
            let ns = self.governor.lap(lap, run.times);
            seat.spent.add(ns, self.governor.window());
            if self.governor.is_over() {
                self.stop_some();
            }
        }
    }

    /// Runs the candidates.
    fn run_alone(&mut self, run: &mut Run<'_>) {
        let candidates = std::mem::take(&mut self.candidates);
        // Those since the clock was last read, and how many of them did run.
        let (mut from, mut ran) = (0, 0);
        for (index, &id) in candidates.iter().enumerate() {
            let Some(one) = &mut self.ones[id as usize] else { continue };
            if one.stopped || one.seen == self.names {
                continue;
            }
            one.seen = self.names;
            let is_cold = one.runs < COLD_RUNS;
            one.runs += u32::from(is_cold);
            let heavy = is_cold || one.weight > REGEX_HEAVY_BYTES;
            if run.name.len() > REGEX_NAME_BYTES_MAX && one.weight.saturating_mul(run.name.len()) > REGEX_NAME_WORK_MAX
            {
                self.stop(id);
                continue;
            }
            if heavy && run.lap.is_none() {
                run.lap = Some(self.governor.start());
                (from, ran, run.times) = (index, 0, 1);
            } else if is_cold && ran > 0 {
                self.charge(run, &candidates[from..index]);
                (from, ran) = (index, 0);
            }
            let Some(one) = &mut self.ones[id as usize] else { continue };
            if one.own.matches(run.name) {
                self.matches.push(id);
            }
            ran += 1;
            run.is_cold = is_cold;
            if heavy || ran == TOGETHER || run.lap.is_some() && self.governor.is_close() {
                if self.charge(run, &candidates[from..=index]) {
                    // So much had to be stopped that those who have not run yet may be as expensive.
                    candidates[index..].iter().for_each(|&id| self.stop(id));
                    ran = 0;
                    break;
                }
                (from, ran) = (index + 1, 0);
            }
        }
        if ran > 0 {
            self.charge(run, &candidates[from..]);
        }
        self.candidates = candidates;
    }

    /// Ends a turn: appends the numbers of the patterns that were stopped in it. They are to be removed.
    #[inline]
    pub fn end_turn(&mut self, demoted: &mut Vec<u32>) {
        self.governor.end_turn();
        for &id in &self.stopped {
            if let Some(one) = &self.ones[id as usize] {
                demoted.extend_from_slice(&one.numbers);
            }
        }
        while let Some(answer) = self.builder.take() {
            self.take_in(answer);
        }
        if self.wants_memo == Some(true) {
            self.wants_memo = Some(false);
            self.builder.start_slots();
        }
        let looks_through = self.names - self.reviewed >= REVIEW_EVERY;
        if looks_through {
            self.look_through();
        }
        while let Some(place) = self.due.pop() {
            self.group(place, looks_through);
        }
        if !self.trash.is_empty() {
            self.builder.free(std::mem::take(&mut self.trash));
        }
    }
}
