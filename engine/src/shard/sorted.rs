//! Operations on sorted sets.

use super::{Draw, Shard};
use crate::collection::{Bytes, SortedRef};
use crate::error::Refusal;
use crate::keyspace::{Entry, ValueRef};
use crate::ring::{record_bytes, record_bytes_parts};
use std::cell::Cell;
use std::ops::Range;

/// A member of a sorted set and its score.
pub type ScoredMember<'a> = (&'a [u8], f64);

/// The longest text of a score in bytes.
const SCORE_TEXT_BYTES: usize = 24;

/// Which scores are set, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoreRule {
    /// Only those of new members (NX).
    pub if_absent: bool,
    /// Only those of members that are there (XX).
    pub if_present: bool,
    /// Of members that are there only those that become greater (GT).
    pub if_greater: bool,
    /// Of members that are there only those that become less (LT).
    pub if_less: bool,
    /// The given score is added to the present one (INCR).
    pub adds: bool,
}

impl ScoreRule {
    /// The score of a member that has `old`, with `given`; `None` if nothing is done with it.
    fn score(self, old: Option<f64>, given: f64) -> Result<Option<f64>, Refusal> {
        let Some(old) = old else { return Ok((!self.if_present).then_some(given)) };
        if self.if_absent {
            return Ok(None);
        }
        let new = if self.adds { old + given } else { given };
        if new.is_nan() {
            return Err(Refusal::ScoreNotANumber);
        }
        let is_refused = self.if_greater && new <= old || self.if_less && new >= old;
        Ok((!is_refused).then_some(new))
    }
}

/// What came of setting scores.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoresSet {
    /// The number of new members.
    pub added: usize,
    /// The number of members that have another score now.
    pub updated: usize,
    /// The score of the last member, if the rule let it be set.
    pub score: Option<f64>,
}

impl<'a> Entry<'a> {
    /// The sorted set, `None` if the key does not exist; refused if it holds another type.
    #[inline]
    pub fn sorted(self) -> Result<Option<SortedRef<'a>>, Refusal> {
        match self.value() {
            None => Ok(None),
            Some(ValueRef::Sorted(set)) => Ok(Some(set)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}

impl Shard {
    /// The sorted set at a key.
    #[inline]
    pub fn sorted(&mut self, key: &[u8]) -> Result<Option<SortedRef<'_>>, Refusal> {
        self.read(key).map_or(Ok(None), Entry::sorted)
    }

    /// Sets the scores of members, at least one, by a rule. No score may be NaN.
    ///
    /// # Errors
    /// A sum is not a number: only where the rule adds, which it may for one member only.
    pub fn set_scores<'k>(
        &mut self,
        key: &[u8],
        pairs: impl Iterator<Item = (f64, &'k [u8])> + Clone,
        rule: ScoreRule,
    ) -> Result<ScoresSet, Refusal> {
        if rule.if_present && self.sorted(key)?.is_none() {
            return Ok(ScoresSet::default());
        }
        if self.turn.admit(pairs.clone().map(|(_, member)| score_record_bytes(key, member)).sum(), key.len()).is_err() {
            // Too large if all are changed: others cost nothing. What is said twice may be counted twice.
            let set = self.sorted(key)?;
            let is_changed = |(given, member): &(f64, &[u8])| {
                let old = set.and_then(|set| set.score(member));
                rule.score(old, *given).is_ok_and(|new| new.is_some() && new != old)
            };
            let bytes = pairs.clone().filter(is_changed).map(|(_, member)| score_record_bytes(key, member)).sum();
            self.turn.admit(bytes, key.len())?;
        }
        let mut entry = self.write(key);
        let mut done = ScoresSet::default();
        for (given, member) in pairs {
            let score = Cell::new(None);
            let is_compact = entry.view().sorted()?.is_none_or(SortedRef::is_compact);
            // A wrong type, or a sum that is not a number, is refused at the first member, before anything has changed.
            let decision = entry.sorted_update(member, |old| {
                let new = rule.score(old, given)?;
                score.set(new);
                let changed = new.filter(|_| new != old);
                Ok(changed.map(|new| if is_compact { without_sign_of_zero(new) } else { new }))
            })?;
            done.score = score.get();
            match decision.old {
                None => done.added += usize::from(decision.new.is_some()),
                Some(_) => done.updated += usize::from(decision.new.is_some()),
            }
        }
        Ok(done)
    }

    /// Removes members; returns how many existed.
    pub fn remove_scores<'k>(
        &mut self,
        key: &[u8],
        members: impl Iterator<Item = &'k [u8]> + Clone,
    ) -> Result<usize, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(0) };
        let Some(set) = entry.view().sorted()? else { return Ok(0) };
        let there = members.clone().filter(|member| set.score(member).is_some());
        let bytes = there.map(|member| record_bytes(key.len(), member.len())).sum();
        entry.admit(bytes)?;
        let mut removed = 0;
        for member in members {
            removed += usize::from(entry.sorted_remove(member)?);
        }
        Ok(removed)
    }

    /// Removes the members at the ranks that `select` chooses; returns them in order, or with `is_reversed` from the highest
    /// score down. `None` if the key does not exist.
    pub fn remove_ranks(
        &mut self,
        key: &[u8],
        is_reversed: bool,
        select: impl FnOnce(SortedRef<'_>) -> Range<usize>,
    ) -> Result<Option<Vec<(Bytes, f64)>>, Refusal> {
        let Some(mut entry) = self.find(key) else { return Ok(None) };
        let Some(set) = entry.view().sorted()? else { return Ok(None) };
        let ranks = select(set);
        let ranks = ranks.start..ranks.end.min(set.len()).max(ranks.start);
        let bytes = set.range(ranks.clone(), false).map(|(member, _)| record_bytes(key.len(), member.len())).sum();
        entry.admit(bytes)?;
        entry.sorted_remove_ranks(ranks, is_reversed).map(Some)
    }

    /// Removes up to `count` members with the lowest scores, or with `is_highest` the highest ones, which come first then.
    /// `None` if the key does not exist.
    pub fn pop_scores(
        &mut self,
        key: &[u8],
        is_highest: bool,
        count: usize,
    ) -> Result<Option<Vec<(Bytes, f64)>>, Refusal> {
        self.remove_ranks(key, is_highest, |set| {
            let count = count.min(set.len());
            if is_highest { set.len() - count..set.len() } else { 0..count }
        })
    }

    /// Random members with their scores; empty if the key does not exist.
    pub fn random_scores(&mut self, key: &[u8], draw: Draw) -> Result<Vec<ScoredMember<'_>>, Refusal> {
        let mut rng = self.rng.fork();
        let Some(set) = self.sorted(key)? else { return Ok(Vec::new()) };
        Ok(draw.places(set.len(), &mut rng).into_iter().filter_map(|place| set.at(place)).collect())
    }
}

/// The score that a compact set gets: Redis has whole numbers as such there, and no -0.
pub(crate) fn without_sign_of_zero(score: f64) -> f64 {
    score + 0.0
}

/// The most that the record of a member's score takes, in bytes.
pub(crate) fn score_record_bytes(key: &[u8], member: &[u8]) -> u64 {
    record_bytes_parts(key.len(), [SCORE_TEXT_BYTES, member.len()].into_iter())
}
