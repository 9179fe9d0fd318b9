//! Changes of a hash.

use super::{EntryMut, Rest, Value, ValueMut};
use crate::collection::{SmallBytes, small};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::Encoding;
use crate::ring::Data;

impl EntryMut<'_> {
    /// Sets one field, which keeps its TTL; returns whether it is new. Creates the hash if there is no value.
    pub fn hash_set(&mut self, field: &[u8], value: &[u8]) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        if !self.view().has_value() {
            self.begin_small(Encoding::PackedHash);
        }
        let is_new = match self.value_mut() {
            Some(ValueMut::Hash(hash)) => hash.set(field, value, &thresholds),
            Some(ValueMut::Small(Encoding::PackedHash)) => {
                let set = small::hash_set(&mut self.word.lend().small(), field, value, &thresholds);
                set.or_else(|| self.set_outside(field, value)).ok_or(Refusal::WrongType)?
            }
            _ => return Err(Refusal::WrongType),
        };
        self.record(EventType::HSet, Data::Parts(&[field, value]));
        Ok(is_new)
    }

    #[cold]
    fn set_outside(&mut self, field: &[u8], value: &[u8]) -> Option<bool> {
        let thresholds = self.turn.thresholds;
        self.outside(|all| if let Value::Hash(hash) = all { Some(hash.set(field, value, &thresholds)) } else { None })?
    }

    /// Deletes one field; returns whether it existed. Deleting the last field removes the hash, without a `Del`.
    pub fn hash_delete(&mut self, field: &[u8]) -> Result<bool, Refusal> {
        self.hash_remove(field, EventType::HDel)
    }

    /// The same, recorded as `event_type`.
    pub(crate) fn hash_remove(&mut self, field: &[u8], event_type: EventType) -> Result<bool, Refusal> {
        let thresholds = self.turn.thresholds;
        let (existed, rest) = match self.value_mut() {
            None => return Ok(false),
            Some(ValueMut::Hash(hash)) => {
                let existed = hash.remove(field, &thresholds);
                (existed, Rest::outside(hash.view().is_empty(), hash.view().compact_bytes()))
            }
            Some(ValueMut::Small(Encoding::PackedHash)) => {
                let mut block = self.word.lend();
                let mut hash = block.small();
                (small::hash_remove(&mut hash, field), Rest::inside(hash.get()))
            }
            Some(_) => return Err(Refusal::WrongType),
        };
        if existed {
            self.settle_rest(rest);
            self.record(event_type, Data::One(field));
        }
        Ok(existed)
    }
}
