//! Random commands on the TTLs of fields.

use super::{Commands, accept};
use crate::shard::{ExpireCondition, FieldTtlChange, FieldsCondition, Shard};

impl Commands {
    pub(super) fn field_ttls(&mut self, shard: &mut Shard, key: &[u8]) {
        let (fields, value, at_ms) = (self.smalls(4), self.bytes(), self.ttl() as u64);
        let fields = || fields.iter().map(|field| &field[..]);
        let pairs = fields().map(|field| (field, &value[..]));
        let change = [FieldTtlChange::Keep, FieldTtlChange::Clear, FieldTtlChange::EndAt(at_ms)][self.rng.usize(..3)];
        let condition = [FieldsCondition::Always, FieldsCondition::IfNone, FieldsCondition::IfAll][self.rng.usize(..3)];
        match self.rng.u8(..12) {
            0..5 => accept(shard.expire_fields(key, fields(), at_ms, ExpireCondition::default())),
            5 => {
                // Of a hash that is not packed.
                let many = self.many();
                accept(shard.expire_fields(
                    key,
                    many.iter().map(|field| &field[..]),
                    at_ms,
                    ExpireCondition::default(),
                ));
            }
            6 | 7 => accept(shard.persist_fields(key, fields())),
            8 => accept(shard.read_fields(key, fields(), change)),
            9 => accept(shard.remove_fields(key, fields())),
            _ => accept(shard.set_fields_with_ttl(key, pairs, condition, change)),
        }
    }
}
