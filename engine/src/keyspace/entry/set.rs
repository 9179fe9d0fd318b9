//! Changes of a set.

use super::{EntryMut, Rest, Value, ValueMut, ValueRef};
use crate::collection::small::{self, Inserted, SmallSet};
use crate::collection::{Bytes, SetRef, SmallBytes};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::Encoding;
use crate::ring::Data;

/// The form of a small set; `None` of another value.
fn form(encoding: Encoding) -> Option<SmallSet> {
    match encoding {
        Encoding::Integers => Some(SmallSet::Integers),
        Encoding::PackedSet => Some(SmallSet::Packed),
        _ => None,
    }
}

impl EntryMut<'_> {
    /// Adds one member; returns whether it is new. Creates the set if there is no value.
    pub fn set_add(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            self.begin_small(Encoding::Integers);
        }
        let is_new = match self.value_mut() {
            Some(ValueMut::Set(set)) => set.insert(member, &thresholds),
            Some(ValueMut::Small(encoding)) => {
                let form = form(encoding).ok_or(Refusal::WrongType)?;
                let mut block = self.word.lend();
                match small::set_insert(form, &mut block.small(), member, &thresholds) {
                    Inserted::Done(is_new) => is_new,
                    Inserted::Repacked => {
                        block.set_small_encoding(Encoding::PackedSet);
                        true
                    }
                    Inserted::TooLarge => {
                        drop(block);
                        self.add_outside(member).ok_or(Refusal::WrongType)?
                    }
                }
            }
            _ => return Err(Refusal::WrongType),
        };
        if is_new {
            self.record(EventType::SAdd, Data::One(member));
        }
        Ok(is_new)
    }

    #[cold]
    fn add_outside(&mut self, member: &[u8]) -> Option<bool> {
        let thresholds = self.turn.thresholds;
        self.outside(|all| if let Value::Set(set) = all { Some(set.insert(member, &thresholds)) } else { None })?
    }

    /// Removes one member; returns whether it existed. Removing the last member removes the set, without a `Del`.
    pub fn set_remove(&mut self, member: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        let (existed, rest) = match self.value_mut() {
            None => return Ok(false),
            Some(ValueMut::Set(set)) => {
                let existed = set.remove(member, &thresholds);
                (existed, Rest::outside(set.view().is_empty(), set.view().compact_bytes()))
            }
            Some(ValueMut::Small(encoding)) => {
                let form = form(encoding).ok_or(Refusal::WrongType)?;
                let mut block = self.word.lend();
                let mut set = block.small();
                let place = small::set_place(form, set.get(), member);
                let existed = place.map(|place| small::set_remove_at(form, &mut set, place)).is_some();
                (existed, Rest::inside(set.get()))
            }
            Some(_) => return Err(Refusal::WrongType),
        };
        if existed {
            self.settle_rest(rest);
            self.record(EventType::SRem, Data::One(member));
        }
        Ok(existed)
    }

    /// Removes the member at a place of the set's own order, for a caller that chose it at random.
    pub fn set_remove_at(&mut self, place: usize) -> Result<Option<Bytes>, Refusal> {
        let thresholds = self.turn.thresholds;
        let Some(set) = self.set()? else { return Ok(None) };
        let Some(member) = set.at(place).map(|member| member.to_bytes()) else { return Ok(None) };
        match self.value_mut() {
            Some(ValueMut::Set(set)) => drop(set.remove_at(place, &thresholds)),
            Some(ValueMut::Small(encoding)) => {
                let form = form(encoding).ok_or(Refusal::WrongType)?;
                small::set_remove_at(form, &mut self.word.lend().small(), place);
            }
            _ => return Ok(None),
        }
        self.settle();
        self.record(EventType::SRem, Data::One(&member));
        Ok(Some(member))
    }

    fn set(&self) -> Result<Option<SetRef<'_>>, Refusal> {
        match self.view().value() {
            None => Ok(None),
            Some(ValueRef::Set(set)) => Ok(Some(set)),
            Some(_) => Err(Refusal::WrongType),
        }
    }
}
