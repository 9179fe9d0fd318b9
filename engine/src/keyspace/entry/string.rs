//! Changes of a string.

use super::{EntryMut, ValueRef};
use crate::error::Refusal;
use crate::event::EventType;
use crate::keyspace::block::BlockRef;
use crate::position::RingOffset;
use crate::ring::Data;
use std::cmp::Ordering;

impl EntryMut<'_> {
    /// Sets the value to this string, whatever it was. The TTL is unchanged.
    #[inline]
    pub fn set_string(&mut self, bytes: &[u8]) {
        let EntryMut { word, turn, .. } = self;
        let record = |block: BlockRef<'_>, head: &mut (u64, RingOffset)| {
            turn.record(block.key(), EventType::Set, Data::One(bytes), &mut head.0, &mut head.1);
        };
        if !word.overwrite(bytes, record) {
            self.replace_by_string(bytes);
        }
    }

    fn replace_by_string(&mut self, bytes: &[u8]) {
        self.count_value();
        let old = self.word.lend().set_string(bytes);
        self.discard(old);
        self.record(EventType::Set, Data::One(bytes));
    }

    /// Overwrites part of the string from `offset` on, behind zero bytes up to there where it is shorter, and records that
    /// part; returns the string's length in bytes. If there is no value, that creates the string.
    pub fn overwrite_string(&mut self, offset: usize, patch: &[u8]) -> Result<usize, Refusal> {
        match self.view().value() {
            Some(ValueRef::Str(_)) => {}
            Some(_) => return Err(Refusal::WrongType),
            None if offset == 0 => {
                self.set_string(patch);
                return Ok(patch.len());
            }
            None => {
                self.count_value();
                drop(self.word.lend().set_string(b""));
            }
        }
        let EntryMut { word, turn, .. } = self;
        word.lend().overwrite_part(offset, patch);
        let mut digits = itoa::Buffer::new();
        let parts = [digits.format(offset).as_bytes(), patch];
        word.advance(|block, head| {
            turn.record(block.key(), EventType::SetRange, Data::Parts(&parts), &mut head.0, &mut head.1);
        });
        Ok(self.view().string()?.map_or(0, <[u8]>::len))
    }

    /// Replaces the string by another one, and records no more of it than has changed; nothing if it is the same.
    pub fn change_string(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let Some(old) = self.view().string()? else {
            self.set_string(bytes);
            return Ok(());
        };
        let start = old.iter().zip(bytes).take_while(|(old, new)| old == new).count();
        match bytes.len().cmp(&old.len()) {
            Ordering::Equal if start == old.len() => {}
            Ordering::Equal => {
                let same = old.iter().rev().zip(bytes.iter().rev()).take_while(|(old, new)| old == new).count();
                self.overwrite_string(start, &bytes[start..bytes.len() - same])?;
            }
            Ordering::Greater => _ = self.overwrite_string(start, &bytes[start..])?,
            Ordering::Less => self.set_string(bytes),
        }
        Ok(())
    }
}
