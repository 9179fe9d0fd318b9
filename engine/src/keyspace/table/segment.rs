//! A segment: the lines of the names whose hashes begin with the same bits. It grows and shrinks in small steps, each of
//! which moves its words only, without a look at what they point to.
//!
//! ```text
//!   hash  │ prefix: `depth` bits │ 12 bits: home line = (they × lines) >> 12 │ …
//!           └ window ┘└─────────────── 20 bits: tag ──────────────┘
//! ```
//!
//! The home lines are in the order of the hashes. The tag begins where the window ends, which is at a multiple of seven
//! bits, so it holds what decides the home line at seven depths; only a segment that goes beyond these hashes its names
//! again.

use super::line::{Line, WORDS};
use super::word::{Pointed, TAG_BITS, Word};

/// The numbers of lines of a segment. Each is one less than a size class of memory has room for: lines are aligned, and
/// allocators allocate more for that, all but the last byte of a line.
const STEPS: [usize; 19] = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31, 39, 47, 55, 63];

/// The lines of a segment that is full: it is split.
pub(super) const LINES_MAX: usize = STEPS[STEPS.len() - 1];

/// Depths whose tags begin at the same bit.
const WINDOW_STEP: u32 = 7;

/// The bits of a hash that decide the home line.
pub(super) const HOME_BITS: u32 = 12;

/// No name of a line expires.
pub(super) const NEVER: u64 = u64::MAX;

/// The most names of so many lines: seven for each line of eight words.
pub(super) const fn names_max(lines: usize) -> usize {
    lines * 7
}

/// The least number of lines for so many names, with room for some more.
fn lines_for(names: usize) -> usize {
    let wanted = (names * 5).div_ceil(32).max(1);
    STEPS.into_iter().find(|&lines| lines >= wanted).unwrap_or(wanted)
}

/// The next number of lines.
fn more_lines(lines: usize) -> usize {
    STEPS.into_iter().find(|&step| step > lines).unwrap_or(lines + lines / 4)
}

/// The first bit of the tags at this depth.
fn window(depth: u32) -> u32 {
    depth / WINDOW_STEP * WINDOW_STEP
}

/// Where a name is in a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) slot: usize,
}

pub(super) struct Segment<P: Pointed> {
    lines: Box<[Line<P>]>,
    names: u32,
    depth: u8,
    window: u8,
    /// For each line a time before which no name expires whose home it is; empty if none ever does.
    earliest: Box<[u64]>,
    /// A time before which none does, kept by the table.
    pub(super) due: u64,
}

fn new_lines<P: Pointed>(lines: usize) -> Box<[Line<P>]> {
    std::iter::repeat_with(Line::new).take(lines).collect()
}

impl<P: Pointed> Segment<P> {
    pub(super) fn new(depth: u32, names: usize) -> Segment<P> {
        Segment {
            lines: new_lines(lines_for(names)),
            names: 0,
            depth: depth as u8,
            window: window(depth) as u8,
            earliest: Box::default(),
            due: NEVER,
        }
    }

    #[inline]
    pub(super) fn depth(&self) -> u32 {
        u32::from(self.depth)
    }

    pub(super) fn names(&self) -> usize {
        self.names as usize
    }

    pub(super) fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// Whether one more name makes it grow.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.names() >= names_max(self.lines.len())
    }

    #[inline]
    pub(super) fn tag(&self, hash: u64) -> u32 {
        ((hash << self.window) >> (64 - TAG_BITS)) as u32
    }

    /// The line where a look-up for names with this tag begins.
    #[inline]
    pub(super) fn home(&self, tag: u32) -> usize {
        self.home_of(tag, self.lines.len())
    }

    #[inline]
    fn home_of(&self, tag: u32, lines: usize) -> usize {
        let behind_prefix = tag << (self.depth - self.window) & ((1 << TAG_BITS) - 1);
        ((behind_prefix >> (TAG_BITS - HOME_BITS)) as usize * lines) >> HOME_BITS
    }

    /// The first home bits whose home is this line.
    pub(super) fn first_home_bits(&self, line: usize) -> u64 {
        ((line << HOME_BITS).div_ceil(self.lines.len())) as u64
    }

    /// The same, of a hash.
    #[inline]
    pub(super) fn home_of_hash(&self, hash: u64) -> usize {
        (((hash << (self.depth & 63)) >> (64 - HOME_BITS)) as usize * self.lines.len()) >> HOME_BITS
    }

    /// Prefetches a line.
    #[inline]
    pub(super) fn prefetch_line(&self, line: usize) {
        self.lines[line].prefetch();
    }

    #[inline]
    fn next(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() { 0 } else { line + 1 }
    }

    /// The place of the first name with the tag of this hash that `is_it` accepts.
    #[inline]
    pub(super) fn position<'a>(&'a self, hash: u64, is_it: impl Fn(P::View<'a>) -> bool) -> Option<Spot> {
        self.position_from(self.home_of_hash(hash), self.tag(hash), is_it)
    }

    /// The place of the first name with this tag and home that `is_it` accepts.
    #[inline]
    pub(super) fn position_from<'a>(
        &'a self,
        home: usize,
        tag: u32,
        is_it: impl Fn(P::View<'a>) -> bool,
    ) -> Option<Spot> {
        let line = &self.lines[home];
        if let Some(slot) = line.position(tag, &is_it) {
            return Some(Spot { line: home, slot });
        }
        if line.is_marked() { self.position_behind(home, tag, is_it) } else { None }
    }

    /// The same behind the home line.
    fn position_behind<'a>(&'a self, home: usize, tag: u32, is_it: impl Fn(P::View<'a>) -> bool) -> Option<Spot> {
        let mut line = self.next(home);
        while line != home {
            if let Some(slot) = self.lines[line].position(tag, &is_it) {
                return Some(Spot { line, slot });
            }
            if !self.lines[line].is_marked() {
                break;
            }
            line = self.next(line);
        }
        None
    }

    #[inline]
    pub(super) fn word(&self, spot: Spot) -> &Word<P> {
        self.lines[spot.line].word(spot.slot)
    }

    #[inline]
    pub(super) fn word_mut(&mut self, spot: Spot) -> &mut Word<P> {
        self.lines[spot.line].word_mut(spot.slot)
    }

    /// Puts a new name into the segment, which is not full.
    pub(super) fn insert(&mut self, tag: u32, mut item: P) -> Spot {
        debug_assert!(self.names() < self.lines.len() * WORDS);
        let mut line = self.home(tag);
        loop {
            match self.lines[line].push(tag, item) {
                Ok(slot) => {
                    self.names += 1;
                    return Spot { line, slot };
                }
                Err(back) => item = back,
            }
            self.lines[line].set_mark(true);
            line = self.next(line);
        }
    }

    /// How many lines behind its home a name with this tag is that stands in `line`.
    fn distance(&self, tag: u32, line: usize) -> usize {
        let home = self.home(tag);
        if line >= home { line - home } else { line + self.lines.len() - home }
    }

    /// Takes a name out, and pulls back one that was placed behind the line for want of room.
    pub(super) fn remove(&mut self, spot: Spot) -> Option<P> {
        let home = self.home(self.word(spot).tag());
        let taken = self.lines[spot.line].word_mut(spot.slot).take()?;
        self.names -= 1;
        self.lines[spot.line].close_gap(spot.slot);
        let mut line = spot.line;
        while self.lines[line].is_marked() {
            let Some(found) = self.placed_behind(line) else {
                self.lines[line].set_mark(false);
                break;
            };
            let mut pulled = Word::FREE;
            pulled.move_from(self.lines[found.line].word_mut(found.slot));
            self.lines[line].pull(&mut pulled);
            self.lines[found.line].close_gap(found.slot);
            line = found.line;
        }
        // It may have been the last that a look-up from its home went on for.
        if home != spot.line && self.lines[home].is_marked() && self.placed_behind(home).is_none() {
            self.lines[home].set_mark(false);
        }
        Some(taken)
    }

    /// A name behind `line` for which a look-up goes through it.
    fn placed_behind(&self, line: usize) -> Option<Spot> {
        let mut at = line;
        for behind in 1..self.lines.len() {
            at = self.next(at);
            let passed = |word: &Word<P>| self.distance(word.tag(), at) >= behind;
            if let Some(slot) = self.lines[at].filled().position(passed) {
                return Some(Spot { line: at, slot });
            }
            if !self.lines[at].is_marked() {
                break;
            }
        }
        None
    }

    /// All words that have something.
    pub(super) fn words(&self) -> impl Iterator<Item = &Word<P>> {
        self.lines.iter().flat_map(Line::filled)
    }

    /// The places of the names whose home is `home`, in no order.
    pub(super) fn spots_of(&self, home: usize) -> impl Iterator<Item = Spot> {
        let (mut line, mut is_last) = (home, false);
        let lines = std::iter::from_fn(move || {
            if is_last {
                return None;
            }
            let this = line;
            line = self.next(line);
            is_last = !self.lines[this].is_marked() || line == home;
            Some(this)
        });
        lines.flat_map(move |line| {
            let at_home =
                move |(slot, word): (usize, &Word<P>)| (self.home(word.tag()) == home).then_some(Spot { line, slot });
            self.lines[line].filled().enumerate().filter_map(at_home)
        })
    }

    /// Visits each word that has something.
    pub(super) fn visit(&mut self, mut visit: impl FnMut(&mut Word<P>)) {
        for line in &mut self.lines {
            for slot in 0..line.length() {
                visit(line.word_mut(slot));
            }
        }
    }

    /// Prefetches what has its home in a line.
    pub(super) fn prefetch_names_of(&self, home: usize) {
        if let Some(line) = self.lines.get(home) {
            line.filled().filter_map(Word::view).for_each(P::prefetch);
        }
    }

    /// Moves everything into lines of another number, the next one.
    pub(super) fn grow(&mut self) {
        self.resize(more_lines(self.lines.len()));
    }

    /// Moves everything into fewer lines if it has far too many.
    pub(super) fn shrink(&mut self) {
        let wanted = lines_for(self.names());
        if self.names() * 8 < names_max(self.lines.len()) * 4 && wanted < self.lines.len() {
            self.resize(wanted);
        }
    }

    /// Keeps the words for which `keep` returns true, and forgets all TTLs.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut Word<P>) -> bool) {
        for at in 0..self.lines.len() {
            // What the words point to is all over the memory, and is looked at once for each.
            self.prefetch_names_of(at + 2);
            let line = &mut self.lines[at];
            for slot in 0..WORDS {
                let word = line.word_mut(slot);
                if !word.is_free() && !keep(word) {
                    drop(word.take());
                    self.names -= 1;
                }
            }
        }
        self.earliest = Box::default();
        self.resize(lines_for(self.names()));
    }

    /// Takes everything out, for good.
    pub(super) fn drain(&mut self, mut into: impl FnMut(P)) {
        for at in 0..self.lines.len() {
            self.prefetch_names_of(at + 2);
            for slot in 0..WORDS {
                self.lines[at].word_mut(slot).take().into_iter().for_each(&mut into);
            }
        }
        *self = Segment::new(0, 0);
    }

    fn resize(&mut self, lines: usize) {
        let mut old = Segment { lines: new_lines(lines), names: 0, earliest: Box::default(), ..*self };
        std::mem::swap(self, &mut old);
        old.empty_into(|earliest, tag, item| self.insert_with(earliest, tag, item));
    }

    /// Moves everything out: each item with its tag and a time before which it does not expire.
    fn empty_into(&mut self, mut into: impl FnMut(u64, u32, P)) {
        let lines = std::mem::take(&mut self.lines);
        let earliest = std::mem::take(&mut self.earliest);
        let count = lines.len();
        for mut line in lines {
            for slot in 0..WORDS {
                let word = line.word_mut(slot);
                let tag = word.tag();
                let Some(item) = word.take() else { continue };
                let home = self.home_of(tag, count);
                into(earliest.get(home).copied().unwrap_or(NEVER), tag, item);
            }
        }
        self.names = 0;
    }

    fn insert_with(&mut self, earliest: u64, tag: u32, item: P) {
        if earliest != NEVER {
            self.note(tag, earliest);
        }
        self.insert(tag, item);
    }

    /// Notes that a name with this tag expires then, or later.
    pub(super) fn note(&mut self, tag: u32, at_ms: u64) {
        if self.earliest.is_empty() {
            self.earliest = vec![NEVER; self.lines.len()].into();
        }
        let home = self.home(tag);
        self.earliest[home] = self.earliest[home].min(at_ms);
    }

    /// The time before which no name expires; [`u64::MAX`] if none ever does.
    pub(super) fn earliest(&self) -> u64 {
        self.earliest.iter().copied().min().unwrap_or(NEVER)
    }

    /// Whether no name expires.
    pub(super) fn has_no_expiry(&self) -> bool {
        self.earliest.is_empty()
    }

    /// The time before which no name of a line expires.
    pub(super) fn line_expiry(&self, line: usize) -> u64 {
        self.earliest.get(line).copied().unwrap_or(NEVER)
    }

    /// The line with the earliest time before which no name expires; of several the first behind a random one.
    pub(super) fn first_due_line(&self, random: usize) -> Option<usize> {
        let lines = self.earliest.len();
        (0..lines).map(|n| (random + n) % lines).min_by_key(|&line| self.earliest[line])
    }

    /// A line with names that may have expired at `now_ms`.
    pub(super) fn due_line(&self, now_ms: u64) -> Option<usize> {
        self.earliest.iter().position(|&at_ms| at_ms <= now_ms)
    }

    /// Finds out anew when the first name of a line expires.
    pub(super) fn look_at(&mut self, home: usize) {
        let times = self.spots_of(home).filter_map(|spot| self.word(spot).view()).map(P::expire_at_ms);
        let earliest = times.filter(|&at_ms| at_ms != 0).min().unwrap_or(NEVER);
        self.earliest[home] = earliest;
        if earliest == NEVER && self.earliest.iter().all(|&at_ms| at_ms == NEVER) {
            self.earliest = Box::default();
        }
    }

    /// Splits it by the next bit of the hashes: this keeps those with a 0 there. `hash` is the hash of a name.
    pub(super) fn split(&mut self, hash: impl Fn(&[u8]) -> u64) -> Segment<P> {
        let depth = self.depth() + 1;
        let keeps_tags = window(depth) == u32::from(self.window);
        // The bit of a tag that says which half.
        let bit = 1u32 << (TAG_BITS - depth + u32::from(self.window));
        let upper_names = self.words().filter(|word| word.tag() & bit != 0).count();
        let lower_names = self.names() - upper_names;
        let mut old = std::mem::replace(self, Segment::new(depth, lower_names));
        let mut upper = Segment::new(depth, upper_names);
        self.due = old.due;
        old.empty_into(|earliest, tag, item| {
            let half = if tag & bit != 0 { &mut upper } else { &mut *self };
            let tag = if keeps_tags { tag } else { half.tag(hash(P::name(item.as_view()))) };
            half.insert_with(earliest, tag, item);
        });
        upper
    }

    /// Takes in the other half of what was split before.
    pub(super) fn merge(&mut self, mut upper: Segment<P>, hash: impl Fn(&[u8]) -> u64) {
        let depth = self.depth() - 1;
        let keeps_tags = window(depth) == u32::from(self.window);
        let mut lower = std::mem::replace(self, Segment::new(depth, self.names() + upper.names()));
        self.due = lower.due;
        for half in [&mut lower, &mut upper] {
            half.empty_into(|earliest, tag, item| {
                let tag = if keeps_tags { tag } else { self.tag(hash(P::name(item.as_view()))) };
                self.insert_with(earliest, tag, item);
            });
        }
    }
}
