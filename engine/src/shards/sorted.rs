//! Union, intersection and difference of sorted sets and sets at several keys, and storing what comes of them.

use super::Shards;
use crate::collection::{Bytes, Member, SetRef, SortedRef};
use crate::error::Refusal;
use crate::keyspace::{Entry, ValueRef};
use crate::ring::record_bytes;
use crate::shard::{score_record_bytes, without_sign_of_zero};
use indexmap::IndexMap;

/// Members with scores: a sorted set, or a set, whose members have the score 1.
#[derive(Clone, Copy, Debug)]
pub enum Scored<'a> {
    /// A sorted set.
    Sorted(SortedRef<'a>),
    /// A set.
    Set(SetRef<'a>),
}

/// How the scores of a member in several sets become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum; 0 where that is not a number.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

impl Aggregate {
    fn of(self, score: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum => zero_for_nan(score + other),
            // As in Redis, a number that is none changes nothing here.
            Aggregate::Min => {
                if other < score {
                    other
                } else {
                    score
                }
            }
            Aggregate::Max => {
                if other > score {
                    other
                } else {
                    score
                }
            }
        }
    }
}

fn zero_for_nan(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

impl<'a> Scored<'a> {
    fn of(entry: Entry<'a>) -> Result<Option<Scored<'a>>, Refusal> {
        match entry.value() {
            None => Ok(None),
            Some(ValueRef::Sorted(set)) => Ok(Some(Scored::Sorted(set))),
            Some(ValueRef::Set(set)) => Ok(Some(Scored::Set(set))),
            Some(_) => Err(Refusal::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Scored::Sorted(set) => set.len(),
            Scored::Set(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Scored::Sorted(set) => set.score(member),
            Scored::Set(set) => set.contains(member).then_some(1.0),
        }
    }

    fn iter(self) -> impl Iterator<Item = (Member<'a>, f64)> {
        let (sorted, set) = match self {
            Scored::Sorted(set) => (Some(set.iter()), None),
            Scored::Set(set) => (None, Some(set.iter())),
        };
        let sorted = sorted.into_iter().flatten().map(|(member, score)| (Member::of(member), score));
        sorted.chain(set.into_iter().flatten().map(|member| (member, 1.0)))
    }
}

/// A source and the factor of its scores; `None` for a key that does not exist.
pub type Weighted<'a> = (Option<Scored<'a>>, f64);

/// The sources, the smallest first: the order in which Redis adds up.
fn by_length<'a>(sources: &[Weighted<'a>]) -> Vec<Weighted<'a>> {
    let mut sources = sources.to_vec();
    sources.sort_by_key(|(source, _)| source.map_or(0, Scored::len));
    sources
}

/// Puts members into the order of a sorted set.
fn in_order<'a>(mut pairs: Vec<(Member<'a>, f64)>) -> Vec<(Member<'a>, f64)> {
    pairs.sort_unstable_by(|(a, score), (b, other)| {
        score.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal).then_with(|| a.as_ref().cmp(b.as_ref()))
    });
    pairs
}

/// The members that any of the sources has, in order.
pub fn scored_union<'a>(sources: &[Weighted<'a>], aggregate: Aggregate) -> Vec<(Member<'a>, f64)> {
    let mut all: IndexMap<Member<'a>, f64, foldhash::fast::RandomState> = IndexMap::default();
    for (source, weight) in by_length(sources) {
        for (member, score) in source.into_iter().flat_map(Scored::iter) {
            let score = zero_for_nan(score * weight);
            all.entry(member).and_modify(|sum| *sum = aggregate.of(*sum, score)).or_insert(score);
        }
    }
    in_order(all.into_iter().collect())
}

/// The members that all of the sources have, without an order, one after the other.
fn common<'a>(sources: &[Weighted<'a>], aggregate: Aggregate) -> impl Iterator<Item = (Member<'a>, f64)> {
    let sources = by_length(sources);
    let (first, others) = match sources.split_first() {
        Some(((Some(first), weight), others)) => (Some((*first, *weight)), others.to_vec()),
        _ => (None, Vec::new()),
    };
    first
        .into_iter()
        .flat_map(|(first, weight)| first.iter().map(move |(member, score)| (member, score * weight)))
        .filter_map(move |(member, score)| {
            let sum = others.iter().try_fold(zero_for_nan(score), |sum, (source, weight)| {
                Some(aggregate.of(sum, (*source)?.score(&member)? * weight))
            })?;
            Some((member, sum))
        })
}

/// The members that all of the sources have, in order.
pub fn scored_intersection<'a>(sources: &[Weighted<'a>], aggregate: Aggregate) -> Vec<(Member<'a>, f64)> {
    in_order(common(sources, aggregate).collect())
}

/// The number of members that all of the sources have, at most `limit`.
pub fn count_of_intersection(sources: &[Weighted<'_>], limit: usize) -> usize {
    common(sources, Aggregate::Sum).take(limit).count()
}

/// The members of the first source that no other has, in order.
pub fn scored_difference<'a>(sources: &[Weighted<'a>]) -> Vec<(Member<'a>, f64)> {
    let Some(((Some(first), _), others)) = sources.split_first() else { return Vec::new() };
    let is_elsewhere =
        |member: &[u8]| others.iter().any(|(source, _)| source.is_some_and(|set| set.score(member).is_some()));
    in_order(first.iter().filter(|(member, _)| !is_elsewhere(member)).collect())
}

impl Shards<'_> {
    /// The sorted sets and sets at several keys, `None` for a missing key; refused if one holds another type.
    pub fn scored<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<Vec<Option<Scored<'_>>>, Refusal> {
        for key in keys.clone() {
            // An expired key is removed here.
            self.of(key).read(key).map_or(Ok(None), Scored::of)?;
        }
        keys.map(|key| self.peek(key).peek(key).map_or(Ok(None), Scored::of)).collect()
    }

    /// Replaces whatever a key holds by a sorted set of these members, which differ; deletes the key if there are none.
    pub fn store_scores(&mut self, target: &[u8], pairs: &[(Bytes, f64)]) -> Result<(), Refusal> {
        let records: u64 = pairs.iter().map(|(member, _)| score_record_bytes(target, member)).sum();
        self.admit(std::iter::once((target, records + record_bytes(target.len(), 0))))?;
        let shard = self.of(target);
        shard.delete(target);
        if pairs.is_empty() {
            return Ok(());
        }
        let longest = pairs.iter().map(|(member, _)| member.len()).max().unwrap_or(0);
        let is_compact = shard.thresholds().keeps_sorted_compact(pairs.len(), longest);
        let mut entry = shard.write(target);
        for (member, score) in pairs {
            let score = if is_compact { without_sign_of_zero(*score) } else { *score };
            entry.sorted_set(score, member)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::{SetValue, SortedValue, Thresholds};

    fn sorted(pairs: &[(f64, &str)]) -> SortedValue {
        let mut set = SortedValue::default();
        pairs.iter().for_each(|(score, member)| assert!(set.set(*score, member.as_bytes(), &Thresholds::default())));
        set
    }

    fn texts(pairs: Vec<(Member<'_>, f64)>) -> Vec<(String, f64)> {
        pairs.iter().map(|(member, score)| (String::from_utf8_lossy(member).into_owned(), *score)).collect()
    }

    #[test]
    fn scores_are_weighted_and_aggregated() {
        let (a, b) = (sorted(&[(1.0, "x"), (2.0, "y")]), sorted(&[(10.0, "y"), (0.5, "z")]));
        let mut plain = SetValue::default();
        assert!(plain.insert(b"y", &Thresholds::default()));
        let sources = [
            (Some(Scored::Sorted(a.view())), 2.0),
            (Some(Scored::Sorted(b.view())), 1.0),
            (Some(Scored::Set(plain.view())), 3.0),
        ];
        let pairs = |list: &[(&str, f64)]| {
            list.iter().map(|(member, score)| ((*member).to_owned(), *score)).collect::<Vec<_>>()
        };
        assert_eq!(texts(scored_union(&sources, Aggregate::Sum)), pairs(&[("z", 0.5), ("x", 2.0), ("y", 17.0)]));
        assert_eq!(texts(scored_union(&sources, Aggregate::Min)), pairs(&[("z", 0.5), ("x", 2.0), ("y", 3.0)]));
        assert_eq!(texts(scored_intersection(&sources, Aggregate::Max)), pairs(&[("y", 10.0)]));
        assert_eq!((count_of_intersection(&sources, 9), count_of_intersection(&sources, 0)), (1, 0));
        assert_eq!(texts(scored_difference(&sources)), pairs(&[("x", 1.0)]));
        let with_none = [sources[0], (None, 1.0)];
        assert!(scored_intersection(&with_none, Aggregate::Sum).is_empty());
        assert_eq!(texts(scored_difference(&with_none)), pairs(&[("x", 1.0), ("y", 2.0)]));
        assert_eq!(scored_union(&with_none, Aggregate::Sum).len(), 2);
        assert!(scored_difference(&[(None, 1.0), sources[0]]).is_empty());
    }

    #[test]
    fn what_would_be_no_number_is_0() {
        let (up, down) = (sorted(&[(f64::INFINITY, "m")]), sorted(&[(f64::NEG_INFINITY, "m")]));
        let sources = [(Some(Scored::Sorted(up.view())), 1.0), (Some(Scored::Sorted(down.view())), 1.0)];
        for pairs in [scored_union(&sources, Aggregate::Sum), scored_intersection(&sources, Aggregate::Sum)] {
            assert_eq!(texts(pairs), [("m".to_owned(), 0.0)]);
        }
        let nothing = [(sources[0].0, 0.0)];
        assert_eq!(texts(scored_union(&nothing, Aggregate::Sum)), [("m".to_owned(), 0.0)]);
        assert_eq!(texts(scored_intersection(&nothing, Aggregate::Max)), [("m".to_owned(), 0.0)]);
    }
}
