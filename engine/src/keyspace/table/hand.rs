//! Finds entries to remove for want of memory: a hand that goes over the lines again and again, a line at random, or the
//! entry that expires first.

use super::segment::{NEVER, Spot};
use super::word::{Pointed, Word};
use super::{PART, Table, hash_with};

/// Where the hand is: a segment and a line of it, and how many entries of that were looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hand {
    segment: usize,
    line: usize,
    looked_at: usize,
}

/// The place of an entry, while nothing is inserted or removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    segment: usize,
    spot: Spot,
}

/// What comes of an entry that the hand has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing.
    Pass,
    /// It is chosen, unless another one is later.
    Choose,
    /// It is chosen, and the hand stops.
    Take,
    /// The hand stops.
    Stop,
}

impl<P: Pointed> Table<P> {
    fn segment_numbered(&mut self, number: usize) -> Option<&mut super::segment::Segment<P>> {
        self.segments.get_mut(number / PART)?.get_mut(number % PART)
    }

    /// The word of an entry that was found.
    pub(crate) fn word_of(&mut self, found: Found) -> Option<&mut Word<P>> {
        Some(self.segment_numbered(found.segment)?.word_mut(found.spot))
    }

    /// The hash of an entry that was found.
    pub(crate) fn hash_of(&self, found: Found) -> u64 {
        let segment = &self.segments[found.segment / PART][found.segment % PART];
        segment.word(found.spot).view().map_or(0, |view| self.hash(P::name(view)))
    }

    /// Moves the hand over entries, those that expire only or all, until `visit` stops it, or it has come around, or no looks are
    /// left: an entry takes one, and so do eight lines that are passed. Returns the one that was chosen last.
    pub(crate) fn turn_hand(
        &mut self,
        hand: &mut Hand,
        only_expiring: bool,
        looks: &mut usize,
        mut visit: impl FnMut(&mut Word<P>) -> Seen,
    ) -> Option<Found> {
        let mut chosen = None;
        let mut spots: Vec<Spot> = Vec::with_capacity(16);
        let (mut segments_left, mut is_first) = (self.segments.iter().map(Vec::len).sum::<usize>() + 1, true);
        let mut lines_passed = 0;
        while segments_left > 0 && *looks > 0 {
            let number = hand.segment;
            let Some(segment) = self.segment_numbered(number) else {
                *hand = Hand::default();
                continue;
            };
            if hand.line >= segment.line_count() || only_expiring && segment.has_no_expiry() {
                (*hand, is_first) = (Hand { segment: number + 1, ..Hand::default() }, false);
                segments_left -= 1;
                continue;
            }
            let line = hand.line;
            lines_passed += 1;
            *looks -= usize::from(lines_passed % 8 == 0);
            if only_expiring && segment.line_expiry(line) == NEVER {
                (hand.line, hand.looked_at) = (line + 1, 0);
                continue;
            }
            if is_first {
                segment.prefetch_names_of(line);
                is_first = false;
            }
            segment.prefetch_names_of(line + 1);
            spots.clear();
            spots.extend(segment.spots_of(line).skip(hand.looked_at));
            for &spot in &spots {
                hand.looked_at += 1;
                *looks = looks.saturating_sub(1);
                let seen = visit(segment.word_mut(spot));
                if matches!(seen, Seen::Choose | Seen::Take) {
                    chosen = Some(Found { segment: number, spot });
                }
                if matches!(seen, Seen::Take | Seen::Stop) {
                    return chosen;
                }
            }
            (hand.line, hand.looked_at) = (line + 1, 0);
        }
        chosen
    }

    /// An entry near a random hash that `is_wanted`, of those that expire or of all; `random` returns a random number below
    /// its argument.
    pub(crate) fn find_near(
        &mut self,
        hash: u64,
        only_expiring: bool,
        looks: &mut usize,
        mut random: impl FnMut(usize) -> usize,
        is_wanted: impl Fn(P::View<'_>) -> bool,
    ) -> Option<Found> {
        /// One of so many is chosen, about the entries of a line.
        const CHOICE: usize = 7;
        let line = self.segment(hash).home_of_hash(hash);
        let mut hand = Hand { segment: self.directory.get(hash) as usize, line, looked_at: 0 };
        let mut wanted = 0;
        self.turn_hand(&mut hand, only_expiring, looks, |word| {
            if !word.view().is_some_and(&is_wanted) {
                return Seen::Pass;
            }
            wanted += 1;
            match (random(wanted) == 0, wanted == CHOICE) {
                (true, true) => Seen::Take,
                (true, false) => Seen::Choose,
                (false, true) => Seen::Stop,
                (false, false) => Seen::Pass,
            }
        })
    }

    /// The entry that expires first; of those that expire together, one at random.
    pub(crate) fn find_first_to_expire(
        &mut self,
        random: u64,
        looks: &mut usize,
        is_wanted: impl Fn(P::View<'_>) -> bool,
    ) -> Option<Found> {
        /// The lines of a segment are looked at, and the entries of one.
        const LOOKS: usize = 16;
        while *looks > 0 {
            *looks = looks.saturating_sub(LOOKS);
            let first_ms = self.due.first()?.0;
            let count: usize = self.segments.iter().map(Vec::len).sum();
            let near = (first_ms, random as u32 % count as u32);
            let number = self.due.range(near..=(first_ms, u32::MAX)).chain(self.due.first()).next()?.1;
            let segment = self.segment_at_mut(number);
            let Some(line) = segment.first_due_line((random >> 32) as usize) else {
                self.update_due(number);
                continue;
            };
            let at_ms = |spot: &Spot| {
                let view = segment.word(*spot).view().filter(|view| is_wanted(*view))?;
                Some(P::expire_at_ms(view)).filter(|&at_ms| at_ms != 0).map(|at_ms| (at_ms, *spot))
            };
            let first = segment.spots_of(line).filter_map(|spot| at_ms(&spot)).min_by_key(|row| row.0);
            // What the line knows may be earlier than what there is.
            let known = segment.line_expiry(line);
            if let Some((at_ms, spot)) = first
                && at_ms <= known
            {
                return Some(Found { segment: number as usize, spot });
            }
            segment.look_at(line);
            self.update_due(number);
        }
        None
    }

    /// The first entry that `is_wanted` of those whose hash begins with these bits.
    pub(crate) fn find_by_first_bits(&mut self, bits: u32, is_wanted: impl Fn(P::View<'_>) -> bool) -> Option<Found> {
        let hash = u64::from(bits) << 32;
        let number = self.directory.get(hash) as usize;
        let segment = self.segment(hash);
        let is_it = |spot: &Spot| {
            segment
                .word(*spot)
                .view()
                .is_some_and(|view| is_wanted(view) && (hash_with(&self.hasher, P::name(view)) >> 32) as u32 == bits)
        };
        let spot = segment.spots_of(segment.home_of_hash(hash)).find(is_it)?;
        Some(Found { segment: number, spot })
    }
}
