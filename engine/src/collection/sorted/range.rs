//! Parts of a sorted set: by ranks, by scores, by the bytes of the members.

use super::SortedRef;
use std::ops::Range;

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScoreBound {
    /// This score belongs to the range.
    Inclusive(f64),
    /// It does not.
    Exclusive(f64),
}

/// Scores from one to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The lower end.
    pub min: ScoreBound,
    /// The upper end.
    pub max: ScoreBound,
}

/// An end of a range of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members.
    Lowest,
    /// Behind all members.
    Highest,
    /// These bytes belong to the range.
    Inclusive(&'a [u8]),
    /// They do not.
    Exclusive(&'a [u8]),
}

/// Members from one to another, in a set whose scores are all equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LexRange<'a> {
    /// The lower end.
    pub min: LexBound<'a>,
    /// The upper end.
    pub max: LexBound<'a>,
}

/// A part of a sorted set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selection<'a> {
    /// From one rank to another, both included; negative ones count from the end, and reversed from the highest score.
    Ranks {
        /// The first.
        first: i64,
        /// The last.
        last: i64,
        /// Whether the ranks count from the highest score down.
        is_reversed: bool,
    },
    /// By scores.
    Scores(ScoreRange),
    /// By members.
    Lex(LexRange<'a>),
}

impl Selection<'_> {
    /// The ranks of the members that it selects, from the lowest score up; empty if there are none.
    pub fn ranks(&self, set: SortedRef<'_>) -> Range<usize> {
        let (start, end) = match *self {
            Selection::Ranks { first, last, is_reversed } => return by_ranks(first, last, is_reversed, set.len()),
            Selection::Scores(ScoreRange { min, max }) => {
                let start = set.count_before(|_, score| match min {
                    ScoreBound::Inclusive(min) => score < min,
                    ScoreBound::Exclusive(min) => score <= min,
                });
                let end = set.count_before(|_, score| match max {
                    ScoreBound::Inclusive(max) => score <= max,
                    ScoreBound::Exclusive(max) => score < max,
                });
                (start, end)
            }
            Selection::Lex(LexRange { min, max }) => {
                let start = set.count_before(|member, _| match min {
                    LexBound::Lowest => false,
                    LexBound::Highest => true,
                    LexBound::Inclusive(min) => member < min,
                    LexBound::Exclusive(min) => member <= min,
                });
                let end = set.count_before(|member, _| match max {
                    LexBound::Lowest => false,
                    LexBound::Highest => true,
                    LexBound::Inclusive(max) => member <= max,
                    LexBound::Exclusive(max) => member < max,
                });
                (start, end)
            }
        };
        start..end.max(start)
    }
}

fn by_ranks(first: i64, last: i64, is_reversed: bool, length: usize) -> Range<usize> {
    let length = length as i64;
    let first = if first < 0 { (length + first).max(0) } else { first };
    let last = if last < 0 { length + last } else { last.min(length - 1) };
    if first > last || first >= length {
        return 0..0;
    }
    let range = if is_reversed { length - 1 - last..length - first } else { first..last + 1 };
    range.start as usize..range.end as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{SortedValue, Thresholds};

    fn set(pairs: &[(f64, &str)], entries: u32) -> SortedValue {
        let thresholds = Thresholds { sorted_entries: entries, ..Thresholds::default() };
        let mut set = SortedValue::default();
        pairs.iter().for_each(|(score, member)| assert!(set.set(*score, member.as_bytes(), &thresholds)));
        set
    }

    #[test]
    fn ranks_count_from_both_ends_and_in_both_directions() {
        let forward = |first, last, length| by_ranks(first, last, false, length);
        assert_eq!((forward(0, -1, 5), forward(-3, -2, 5), forward(-100, 100, 5)), (0..5, 2..4, 0..5));
        assert_eq!(
            (forward(3, 1, 5), forward(5, 9, 5), forward(0, -9, 5), forward(0, -1, 0)),
            (0..0, 0..0, 0..0, 0..0)
        );
        assert_eq!(forward(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(forward(i64::MAX, i64::MIN, 5), 0..0);
        let back = |first, last| by_ranks(first, last, true, 5);
        assert_eq!((back(0, 0), back(0, -1), back(-1, -1), back(1, 2)), (4..5, 0..5, 0..1, 2..4));
    }

    #[test]
    fn scores_and_members_select_the_same_in_every_form() {
        for entries in [0, 100] {
            let set = set(&[(f64::NEG_INFINITY, "a"), (-1.0, "b"), (-0.0, "c"), (0.0, "d"), (2.0, "e")], entries);
            let of = |min, max| Selection::Scores(ScoreRange { min, max }).ranks(set.view());
            use ScoreBound::{Exclusive, Inclusive};
            assert_eq!(of(Inclusive(f64::NEG_INFINITY), Inclusive(f64::INFINITY)), 0..5);
            assert_eq!(of(Exclusive(f64::NEG_INFINITY), Exclusive(2.0)), 1..4);
            // 0 and -0 are equal.
            assert_eq!(of(Inclusive(0.0), Inclusive(-0.0)), 2..4);
            assert!(of(Exclusive(0.0), Exclusive(0.0)).is_empty() && of(Inclusive(2.0), Inclusive(-1.0)).is_empty());
            let set = self::set(&[(1.0, ""), (1.0, "a"), (1.0, "aa"), (1.0, "b")], entries);
            let of = |min, max| Selection::Lex(LexRange { min, max }).ranks(set.view());
            assert_eq!(of(LexBound::Lowest, LexBound::Highest), 0..4);
            assert_eq!(of(LexBound::Inclusive(b"a"), LexBound::Exclusive(b"b")), 1..3);
            assert_eq!(of(LexBound::Exclusive(b"a"), LexBound::Inclusive(b"b")), 2..4);
            assert!(of(LexBound::Highest, LexBound::Lowest).is_empty());
            assert!(of(LexBound::Lowest, LexBound::Lowest).is_empty());
            assert!(of(LexBound::Highest, LexBound::Highest).is_empty());
        }
    }
}
