//! The form of a large sorted set: its members at places with an index, as those of a large set, each behind its score; and
//! their order, which has the scores again, so that a search seldom looks at a member.

use super::order::{Backward, Entry, Forward, Order};
use super::score::{self, Score};
use super::{Decision, is_before};
use crate::collection::dense::{Dense, Shape};
use crate::collection::thin::ThinBytes;
use crate::collection::thresholds::{Thresholds, may_shrink};
use smallvec::SmallVec;
use std::ops::Range;

/// Elements of a sorted set: the score, and the member behind it.
#[derive(Clone, Debug)]
struct Scored;

impl Shape for Scored {
    #[inline]
    fn name(element: &[u8]) -> &[u8] {
        &element[score::width(element[0])..]
    }
}

/// A large sorted set.
#[derive(Clone, Debug)]
pub(super) struct Large {
    members: Dense<Scored>,
    order: Order,
}

impl Large {
    /// The set of these members, which come in order.
    pub fn of<'e>(pairs: impl Iterator<Item = (&'e [u8], f64)>) -> Large {
        let mut large = Large { members: Dense::new(), order: Order::new() };
        for (member, score) in pairs {
            large.push(large.order.len(), score, member);
        }
        large
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// The member at a place, and its score.
    #[inline]
    pub fn at(&self, place: usize) -> Option<(&[u8], f64)> {
        self.members.at(place).map(|element| (Scored::name(element), score::read(element)))
    }

    #[inline]
    fn member(&self, place: usize) -> &[u8] {
        // The order has the places of members only.
        self.members.at(place).map_or(&[], |element| Scored::name(element))
    }

    #[inline]
    pub fn score_of(&self, member: &[u8]) -> Option<f64> {
        self.members.at(self.members.find(member)?).map(|element| score::read(element))
    }

    pub fn rank_of(&self, member: &[u8]) -> Option<(usize, f64)> {
        let place = self.members.find(member)?;
        let (member, score) = self.at(place)?;
        Some((self.rank_at(place, score, member), score))
    }

    /// The rank of the member at a place. Of the members with its score the first ones are recognised by their places, which
    /// are in the order, whereas their bytes are elsewhere.
    #[inline]
    fn rank_at(&self, place: usize, score: f64, member: &[u8]) -> usize {
        let lowest = self.order.count_before(|entry| entry.score() < score);
        let near = self.order.iter_from(lowest).take(NEAR).position(|entry| entry.place() == place);
        near.map_or_else(|| self.rank(score, member), |near| lowest + near)
    }

    /// The rank of a score and a member, whether they are there or not.
    #[inline]
    fn rank(&self, score: f64, member: &[u8]) -> usize {
        self.order.count_before(|entry| {
            let other = entry.score();
            other < score || other == score && self.member(entry.place()) < member
        })
    }

    pub fn count_before(&self, is_before: impl Fn(&[u8], f64) -> bool) -> usize {
        self.order.count_before(|entry| is_before(self.member(entry.place()), entry.score()))
    }

    /// The member of an entry, and its score.
    #[inline]
    pub fn pair(&self, entry: Entry) -> (&[u8], f64) {
        (self.member(entry.place()), entry.score())
    }

    /// The members at these ranks and their scores, in order.
    pub fn pairs(&self, ranks: Range<usize>) -> Ahead<'_> {
        Ahead::new(self, Entries::Forward(self.order.iter_from(ranks.start)), ranks.len())
    }

    /// The same from the last of them back.
    pub fn pairs_back(&self, ranks: Range<usize>) -> Ahead<'_> {
        Ahead::new(self, Entries::Backward(self.order.iter_back(ranks.end)), ranks.len())
    }

    /// Adds a member that is not there, whose rank this is.
    fn push(&mut self, rank: usize, score: f64, member: &[u8]) {
        let place = self.members.len();
        self.members.push(ThinBytes::of(&[Score::of(score).bytes(), member]));
        self.order.insert(rank, Entry::new(score, place));
    }

    /// Decides about a member's score, and sets it.
    pub fn update<E>(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Decision, E> {
        let place = self.members.find(member);
        let old = place.and_then(|place| self.at(place)).map(|(_, score)| score);
        let new = decide(old)?;
        match (place.zip(old), new) {
            (_, None) => {}
            (None, Some(new)) => self.push(self.rank(new, member), new, member),
            (Some((place, old)), Some(new)) => {
                let rank = self.rank_at(place, old, member);
                let stays = |other: usize, is_next: bool| {
                    self.order.at(other).is_none_or(|entry| {
                        let other = self.pair(entry);
                        let own = (new, member);
                        let other = (other.1, other.0);
                        if is_next { is_before(own, other) } else { is_before(other, own) }
                    })
                };
                let entry = Entry::new(new, place);
                if rank.checked_sub(1).is_none_or(|before| stays(before, false)) && stays(rank + 1, true) {
                    self.order.set(rank, entry);
                } else {
                    self.order.remove(rank);
                    let rank = self.rank(new, member);
                    self.order.insert(rank, entry);
                }
                self.members.change(place, |element| {
                    let width = score::width(element[0]);
                    element.splice(0..width, &[Score::of(new).bytes()]);
                });
            }
        }
        Ok(Decision { old, new })
    }

    /// Removes the member at a rank, which is there. No other one moves to a higher place, which ZSCAN relies on.
    pub fn remove(&mut self, rank: usize) {
        // It is moved below.
        self.members.prefetch(self.members.len() - 1);
        let place = self.order.remove(rank).place();
        self.members.prefetch(place);
        if self.members.removal_keeps_order() {
            self.order.close_gap(place);
        } else {
            let last = self.members.len() - 1;
            if place != last
                && let Some((member, score)) = self.at(last)
            {
                let rank = self.rank_at(last, score, member);
                self.order.set(rank, Entry::new(score, place));
            }
        }
        self.members.remove_at(place);
    }

    /// Prefetches what a removal at an end of the order touches if one at that end has just been made: others follow often.
    pub fn prefetch_end(&self, is_highest: bool) {
        let ends: SmallVec<[Entry; 2]> = match is_highest {
            true => self.order.iter_back(self.len()).take(2).collect(),
            false => self.order.iter_from(0).take(2).collect(),
        };
        if let Some(next) = ends.first() {
            // The pointer to it was prefetched by the removal before.
            self.members.prefetch(next.place());
        }
        if let Some(second) = ends.get(1) {
            self.members.prefetch_pointer(second.place());
        }
    }

    /// Whether it has become small by a removal of so many members: whether it has reached one of the sizes at which that is
    /// tried, or passed it.
    pub fn may_shrink(&self, thresholds: &Thresholds, removed: usize) -> bool {
        let (size, longest) = (self.len().next_power_of_two(), thresholds.sorted_value as usize);
        size < self.len() + removed
            && may_shrink(size, thresholds.sorted_entries)
            && self.members.iter().all(|element| Scored::name(element).len() <= longest)
    }

    /// The memory that it has, in bytes; that of the order is an estimate.
    pub fn allocated_bytes(&self) -> usize {
        self.members.allocated_bytes() + self.order.estimated_bytes()
    }

    /// The same, found by a look at everything but the order.
    pub fn walked_bytes(&self) -> usize {
        self.members.walked_bytes() + self.order.estimated_bytes()
    }

    /// Frees up to `most` members and their part of the order, of a set that nobody uses any more. Returns how many members.
    pub fn free_some(&mut self, most: usize) -> usize {
        let freed = self.members.free_some(most);
        while self.order.len() > self.members.len() {
            self.order.free_leaf();
        }
        freed
    }
}

/// A search for a rank compares the places of so many members of one score, before it compares their bytes.
const NEAR: usize = 16;

/// The number of members that are prefetched together: each is two accesses that nothing else can hide.
const AHEAD: usize = 16;

/// Members and scores in the order of some entries, prefetched some at a time.
pub(super) struct Ahead<'a> {
    large: &'a Large,
    entries: Entries<'a>,
    /// The number of entries that were not taken yet.
    left: usize,
    /// Those that were taken, of which `next` is the next one.
    taken: SmallVec<[Entry; AHEAD]>,
    next: usize,
}

enum Entries<'a> {
    Forward(Forward<'a>),
    Backward(Backward<'a>),
}

impl<'a> Ahead<'a> {
    fn new(large: &'a Large, entries: Entries<'a>, left: usize) -> Ahead<'a> {
        Ahead { large, entries, left, taken: SmallVec::new(), next: 0 }
    }

    /// The number of members that are left.
    pub fn left(&self) -> usize {
        self.left + self.taken.len() - self.next
    }

    fn take(&mut self) {
        let count = self.left.min(AHEAD);
        self.taken.clear();
        match &mut self.entries {
            Entries::Forward(entries) => self.taken.extend(entries.take(count)),
            Entries::Backward(entries) => self.taken.extend(entries.take(count)),
        }
        self.left -= count;
        self.next = 0;
        if count > 1 {
            self.taken.iter().for_each(|entry| self.large.members.prefetch_pointer(entry.place()));
            self.taken.iter().for_each(|entry| self.large.members.prefetch(entry.place()));
        }
    }
}

impl<'a> Iterator for Ahead<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<(&'a [u8], f64)> {
        if self.next == self.taken.len() {
            if self.left == 0 {
                return None;
            }
            self.take();
        }
        let entry = *self.taken.get(self.next)?;
        self.next += 1;
        Some(self.large.pair(entry))
    }
}
