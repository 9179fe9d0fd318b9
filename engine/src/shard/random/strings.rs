//! Random commands on strings.

use super::{Commands, accept};
use crate::bits::{Field, FieldChange, Overflow};
use crate::shard::{SetOptions, Shard, Ttl};

impl Commands {
    pub(super) fn string(&mut self, shard: &mut Shard, key: &[u8]) {
        let bytes = self.bytes();
        match self.rng.u8(..11) {
            10 => {
                // Where there is another string it is refused.
                let elements = self.smalls(40);
                accept(shard.observe(key, elements.iter().map(|element| &element[..])));
            }
            8 => accept(shard.set_bit(key, self.rng.usize(..900), self.rng.bool())),
            9 => {
                let field =
                    Field { offset: self.rng.usize(..900), width: self.rng.u32(1..64), is_signed: self.rng.bool() };
                let change =
                    [FieldChange::Get, FieldChange::Set(self.rng.i64(..), Overflow::Wrap)][self.rng.usize(..2)];
                accept(shard.change_fields(key, &[(field, change), (field, FieldChange::Add(7, Overflow::Fail))]));
            }
            0..3 => accept(shard.set(key, &bytes)),
            3 => {
                let ttl = if self.rng.bool() { Ttl::Keep } else { Ttl::At(self.now_ms + self.rng.u64(1..60)) };
                accept(shard.set_with(key, &bytes, SetOptions { ttl, ..SetOptions::default() }));
            }
            4 => accept(shard.append(key, &bytes)),
            5 => accept(shard.set_range(key, self.rng.usize(..50), &bytes)),
            6 => accept(shard.increment(key, self.rng.i64(-5..5))),
            _ => accept(shard.get_and_delete(key)),
        }
    }
}
