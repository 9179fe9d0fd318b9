//! Changes of a sorted set.

use super::{EntryMut, Rest, Value, ValueMut};
use crate::collection::sorted::small;
use crate::collection::{Bytes, Decision, SmallBytes, SortedRef};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::Encoding;
use crate::number::score_text;
use crate::ring::Data;
use std::ops::Range;

impl EntryMut<'_> {
    /// Decides about one member's score by the one that it has, and sets it. `decide` may be asked twice, and says nothing
    /// else then. It must not say NaN. If there is no value and it sets a score, that creates the set.
    pub fn sorted_update(
        &mut self,
        member: &[u8],
        decide: impl Fn(Option<f64>) -> Result<Option<f64>, Refusal>,
    ) -> Result<Decision, Refusal> {
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            if decide(None)?.is_none() {
                return Ok(Decision { old: None, new: None });
            }
            self.begin_small(Encoding::PackedSorted);
            // Commands may wait for its members.
            self.turn.waiters.signal(self.word.get().key());
        }
        let decision = match self.value_mut() {
            Some(ValueMut::Sorted(set)) => set.update(member, &thresholds, decide)?,
            Some(ValueMut::Small(Encoding::PackedSorted)) => {
                let inside = small::update(&mut self.word.lend().small(), member, &thresholds, &decide)?;
                inside.map_or_else(|| self.update_outside(member, decide), Ok)?
            }
            _ => return Err(Refusal::WrongType),
        };
        if let Some(score) = decision.new {
            self.record(EventType::ZAdd, Data::Parts(&[&score_text(score), member]));
        }
        Ok(decision)
    }

    #[cold]
    fn update_outside(
        &mut self,
        member: &[u8],
        decide: impl Fn(Option<f64>) -> Result<Option<f64>, Refusal>,
    ) -> Result<Decision, Refusal> {
        let thresholds = self.turn.thresholds;
        let updated = self.outside(|all| match all {
            Value::Sorted(set) => set.update(member, &thresholds, decide),
            _ => Err(Refusal::WrongType),
        });
        updated.unwrap_or(Err(Refusal::WrongType))
    }

    /// Sets one member's score. Creates the set if there is no value.
    pub fn sorted_set(&mut self, score: f64, member: &[u8]) -> Result<Decision, Refusal> {
        self.sorted_update(member, |_| Ok(Some(score)))
    }

    /// Removes one member; returns whether it existed. Removing the last member removes the set, without a `Del`.
    pub fn sorted_remove(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        let (existed, rest) = match self.value_mut() {
            None => return Ok(false),
            Some(ValueMut::Sorted(set)) => {
                let existed = set.remove(member, &thresholds);
                (existed, Rest::outside(set.view().is_empty(), set.view().compact_bytes()))
            }
            Some(ValueMut::Small(Encoding::PackedSorted)) => {
                let mut block = self.word.lend();
                let mut set = block.small();
                (small::remove(&mut set, member), Rest::inside(set.get()))
            }
            Some(_) => return Err(Refusal::WrongType),
        };
        if existed {
            self.settle_rest(rest);
            self.record(EventType::ZRem, Data::One(member));
        }
        Ok(existed)
    }

    /// Removes the members at these ranks, which are there, in the order of the ranks; returns them with their scores, or
    /// with `is_reversed` from the last one back. Removing all members removes the set, without a `Del`.
    pub fn sorted_remove_ranks(
        &mut self,
        ranks: Range<usize>,
        is_reversed: bool,
    ) -> Result<Vec<(Bytes, f64)>, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(set) = self.sorted()? else { return Ok(Vec::new()) };
        let (removed, is_all) = (set.to_pairs(ranks.clone(), is_reversed), ranks.len() == set.len());
        if removed.is_empty() {
            return Ok(removed);
        }
        let mut unrecorded = removed.iter().map(|(member, _)| member);
        match self.value_mut() {
            _ if is_all => {
                let last = unrecorded.next_back();
                unrecorded.by_ref().for_each(|member| self.record(EventType::ZRem, Data::One(member)));
                // What is large is freed in slices. The last record removes the key, as where each is removed by itself.
                self.drop_value();
                last.into_iter().for_each(|member| self.record(EventType::ZRem, Data::One(member)));
            }
            Some(ValueMut::Sorted(set)) => {
                set.remove_ranks(ranks, &thresholds);
                self.settle();
            }
            Some(ValueMut::Small(_)) => small::remove_ranks(&mut self.word.lend().small(), ranks),
            _ => return Err(Refusal::WrongType),
        }
        unrecorded.for_each(|member| self.record(EventType::ZRem, Data::One(member)));
        Ok(removed)
    }

    fn sorted(&self) -> Result<Option<SortedRef<'_>>, Refusal> {
        self.view().sorted()
    }
}
