//! A sorted set: members with scores, in the order of the scores, those of equal ones in the order of their bytes. A small one
//! is packed in that order; a large one has its members at places with an index, and a tree of their order.

mod large;
mod order;
mod packed;
mod range;
mod score;

pub use range::{LexBound, LexRange, ScoreBound, ScoreRange, Selection};

use super::Bytes;
use super::packed::{SmallBytes, count};
use super::thin::ThinBytes;
use super::thresholds::Thresholds;
use large::Large;
use smallvec::SmallVec;
use std::convert::Infallible;
use std::ops::Range;

/// What came of a decision about a member's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The score that the member had; `None` if it is new.
    pub old: Option<f64>,
    /// The score that it has got; `None` if nothing was changed.
    pub new: Option<f64>,
}

/// Whether one score and member are before another. 0 and -0 are equal.
#[inline]
fn is_before((score, member): (f64, &[u8]), (other_score, other): (f64, &[u8])) -> bool {
    score < other_score || score == other_score && member < other
}

/// The members of a sorted set and their scores.
#[derive(Clone, Debug)]
pub struct SortedValue(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(ThinBytes),
    Large(Box<Large>),
}

impl Default for SortedValue {
    fn default() -> SortedValue {
        SortedValue(Form::Packed(ThinBytes::new()))
    }
}

impl SortedValue {
    /// The sorted set, for reading.
    #[inline]
    pub fn view(&self) -> SortedRef<'_> {
        SortedRef(match &self.0 {
            Form::Packed(bytes) => View::Packed(bytes),
            Form::Large(large) => View::Large(large),
        })
    }

    /// A sorted set that is packed in these bytes.
    pub(crate) fn of_packed(bytes: &[u8]) -> SortedValue {
        SortedValue(Form::Packed(ThinBytes::of(&[bytes])))
    }

    /// The bytes in which it is packed; `None` if it is not.
    pub(crate) fn packed(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Packed(bytes) => Some(bytes),
            Form::Large(_) => None,
        }
    }

    /// Decides about a member's score, which must not be NaN, by the one that it has, and sets it.
    pub(crate) fn update<E>(
        &mut self,
        member: &[u8],
        thresholds: &Thresholds,
        decide: impl Fn(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Decision, E> {
        if let Form::Packed(bytes) = &mut self.0 {
            if let Some(decision) = packed::update(bytes, member, thresholds, &decide)? {
                return Ok(decision);
            }
            let large = Large::of(packed::pairs(bytes));
            self.0 = Form::Large(Box::new(large));
        }
        let Form::Large(large) = &mut self.0 else { unreachable!("it has just been unpacked") };
        large.update(member, decide)
    }

    /// Sets a member's score; returns whether the member is new.
    pub(crate) fn set(&mut self, score: f64, member: &[u8], thresholds: &Thresholds) -> bool {
        let Ok(decision) = self.update(member, thresholds, |_| Ok::<_, Infallible>(Some(score)));
        decision.old.is_none()
    }

    /// Removes a member; returns whether it existed.
    pub(crate) fn remove(&mut self, member: &[u8], thresholds: &Thresholds) -> bool {
        match &mut self.0 {
            Form::Packed(bytes) => packed::remove(bytes, member),
            Form::Large(large) => {
                let Some((rank, _)) = large.rank_of(member) else { return false };
                large.remove(rank);
                self.pack_if_small(thresholds, 1);
                true
            }
        }
    }

    /// Removes the members at these ranks, which are there.
    pub(crate) fn remove_ranks(&mut self, ranks: Range<usize>, thresholds: &Thresholds) {
        match &mut self.0 {
            Form::Packed(bytes) => packed::remove_ranks(bytes, ranks),
            Form::Large(large) => {
                let is_highest = ranks.end == large.len();
                ranks.clone().for_each(|_| large.remove(ranks.start));
                if is_highest || ranks.start == 0 {
                    large.prefetch_end(is_highest);
                }
                self.pack_if_small(thresholds, ranks.len());
            }
        }
    }

    /// Packs the set if it has become small by a removal of so many members.
    fn pack_if_small(&mut self, thresholds: &Thresholds, removed: usize) {
        let Form::Large(large) = &self.0 else { return };
        if large.may_shrink(thresholds, removed) {
            let bytes = packed::build(large.len(), large.pairs(0..large.len()));
            self.0 = Form::Packed(ThinBytes::of(&[&bytes]));
        }
    }

    /// The memory that it has on the heap, in bytes.
    pub(crate) fn allocated_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Large(large) => large.allocated_bytes(),
        }
    }

    /// The same, found by a look at everything.
    pub(crate) fn walked_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(bytes) => bytes.allocated_bytes(),
            Form::Large(large) => large.walked_bytes(),
        }
    }

    /// The number of its allocations, about: of those of its members.
    pub(crate) fn allocations(&self) -> usize {
        match &self.0 {
            Form::Packed(_) => 1,
            Form::Large(large) => large.len(),
        }
    }

    /// Frees up to `most` members of a set that nobody uses any more; returns how many, 0 if what is left takes no time.
    pub(crate) fn free_some(&mut self, most: usize) -> usize {
        match &mut self.0 {
            Form::Packed(_) => 0,
            Form::Large(large) => large.free_some(most),
        }
    }
}

/// Changes of a packed sorted set, in whatever memory it is.
pub(crate) mod small {
    use super::*;

    /// Decides about a member's score and sets it; `None` if the set is too large for this: then nothing has changed.
    pub(crate) fn update<E>(
        set: &mut impl SmallBytes,
        member: &[u8],
        thresholds: &Thresholds,
        decide: impl FnOnce(Option<f64>) -> Result<Option<f64>, E>,
    ) -> Result<Option<Decision>, E> {
        packed::update(set, member, thresholds, decide)
    }

    /// Removes a member; returns whether it existed.
    pub(crate) fn remove(set: &mut impl SmallBytes, member: &[u8]) -> bool {
        packed::remove(set, member)
    }

    /// Removes the members at these ranks, which are there.
    pub(crate) fn remove_ranks(set: &mut impl SmallBytes, ranks: Range<usize>) {
        packed::remove_ranks(set, ranks);
    }
}

/// A sorted set, for reading.
#[derive(Clone, Copy, Debug)]
pub struct SortedRef<'a>(View<'a>);

#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Packed(&'a [u8]),
    Large(&'a Large),
}

impl<'a> SortedRef<'a> {
    /// The sorted set that is packed in these bytes.
    #[inline]
    pub(crate) fn of_packed(bytes: &'a [u8]) -> SortedRef<'a> {
        SortedRef(View::Packed(bytes))
    }

    /// The number of members.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            View::Packed(bytes) => count(bytes),
            View::Large(large) => large.len(),
        }
    }

    /// Whether there are none, as in no sorted set that a key holds.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self.0 {
            View::Packed(bytes) => packed::score_of(bytes, member),
            View::Large(large) => large.score_of(member),
        }
    }

    /// The rank of a member, from the lowest score up, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self.0 {
            View::Packed(bytes) => packed::rank_of(bytes, member),
            View::Large(large) => large.rank_of(member),
        }
    }

    /// The number of members at the beginning of the order that `is_before` holds for; it must hold for none behind them.
    pub fn count_before(self, is_before: impl Fn(&[u8], f64) -> bool) -> usize {
        match self.0 {
            View::Packed(bytes) => packed::pairs(bytes).take_while(|&(member, score)| is_before(member, score)).count(),
            View::Large(large) => large.count_before(is_before),
        }
    }

    /// The members at these ranks and their scores, in order, or with `is_reversed` from the last of them back. Ranks that are
    /// not there have none.
    pub fn range(self, ranks: Range<usize>, is_reversed: bool) -> SortedPairs<'a> {
        let ranks = ranks.start..ranks.end.min(self.len()).max(ranks.start);
        SortedPairs(match (self.0, is_reversed) {
            (View::Packed(bytes), true) => Pairs::PackedBack(bytes, packed::starts(bytes, ranks)),
            (View::Packed(bytes), false) => Pairs::Packed(packed::Rows::of(bytes, ranks)),
            (View::Large(large), true) => Pairs::Large(large.pairs_back(ranks)),
            (View::Large(large), false) => Pairs::Large(large.pairs(ranks)),
        })
    }

    /// All members and their scores, in order.
    pub fn iter(self) -> SortedPairs<'a> {
        self.range(0..self.len(), false)
    }

    /// The member at a place of the set's own, for a walk or a random choice, and its score. If the set is packed, all before
    /// it are read.
    pub fn at(self, place: usize) -> Option<(&'a [u8], f64)> {
        match self.0 {
            View::Packed(bytes) => packed::pairs(bytes).nth(place),
            View::Large(large) => large.at(place),
        }
    }

    /// Whether it is stored compactly: then it is small.
    pub fn is_compact(self) -> bool {
        matches!(self.0, View::Packed(_))
    }

    /// Its bytes if it is stored compactly.
    pub(crate) fn compact_bytes(self) -> Option<usize> {
        match self.0 {
            View::Packed(bytes) => Some(bytes.len()),
            View::Large(_) => None,
        }
    }

    /// Redis's word for the form in which it is stored.
    pub fn encoding(self) -> &'static str {
        if self.is_compact() { "listpack" } else { "skiplist" }
    }

    /// The memory that a look-up reads first.
    #[inline]
    pub(crate) fn first_line(self) -> *const u8 {
        match self.0 {
            View::Packed(bytes) => bytes.as_ptr(),
            View::Large(large) => std::ptr::from_ref(large).cast(),
        }
    }

    /// Copies of the members at these ranks and their scores, in order or reversed.
    pub fn to_pairs(self, ranks: Range<usize>, is_reversed: bool) -> Vec<(Bytes, f64)> {
        self.range(ranks, is_reversed).map(|(member, score)| (Bytes::from_slice(member), score)).collect()
    }
}

/// Members of a sorted set with their scores.
pub struct SortedPairs<'a>(Pairs<'a>);

enum Pairs<'a> {
    Packed(packed::Rows<'a>),
    /// The places of rows in these bytes, of which the last one is next.
    PackedBack(&'a [u8], SmallVec<[u32; 32]>),
    Large(large::Ahead<'a>),
}

impl<'a> Iterator for SortedPairs<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<(&'a [u8], f64)> {
        match &mut self.0 {
            Pairs::Packed(rows) => rows.next(),
            Pairs::PackedBack(bytes, starts) => starts.pop().map(|start| packed::pair_at(bytes, start)),
            Pairs::Large(pairs) => pairs.next(),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Pairs::Packed(rows) => rows.left(),
            Pairs::PackedBack(_, starts) => starts.len(),
            Pairs::Large(pairs) => pairs.left(),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for SortedPairs<'_> {}
