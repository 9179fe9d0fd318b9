//! Small collections in the block itself: their bytes are the value's bytes.

use super::{Block, Encoding};
use crate::collection::size_class;
use crate::collection::small::SmallSet;
use crate::collection::{HashRef, HashValue, ListRef, ListValue, SetRef, SetValue, SmallBytes, SortedRef, SortedValue};
use crate::keyspace::entry::{Value, ValueRef};

use smallvec::SmallVec;
use std::ops::Range;

/// The most bytes of a collection in a block: a larger one has an allocation of its own, so that it grows without moving
/// its key.
const SMALL_MAX: usize = 512;

/// A collection with an allocation of its own comes into the block again once it has at most so many bytes: not sooner,
/// since it may grow again.
const SMALL_AGAIN: usize = SMALL_MAX / 2;

/// The form of a set in a block.
pub(super) fn set_form(encoding: Encoding) -> Option<SmallSet> {
    match encoding {
        Encoding::Integers => Some(SmallSet::Integers),
        Encoding::PackedSet => Some(SmallSet::Packed),
        _ => None,
    }
}

/// The small collection that these bytes of a block are, for reading.
pub(super) fn view(encoding: Encoding, bytes: &[u8]) -> Option<ValueRef<'_>> {
    match encoding {
        Encoding::PackedHash => Some(ValueRef::Hash(HashRef::of_packed(bytes))),
        Encoding::PackedList => Some(ValueRef::List(ListRef::of_packed(bytes))),
        Encoding::PackedSorted => Some(ValueRef::Sorted(SortedRef::of_packed(bytes))),
        _ => Some(ValueRef::Set(SetRef::of_small(set_form(encoding)?, bytes))),
    }
}

/// The same, owned.
pub(super) fn value(encoding: Encoding, bytes: &[u8]) -> Option<Value> {
    match encoding {
        Encoding::PackedHash => Some(Value::Hash(HashValue::of_packed(bytes))),
        Encoding::PackedList => Some(Value::List(ListValue::of_packed(bytes))),
        Encoding::PackedSorted => Some(Value::Sorted(SortedValue::of_packed(bytes))),
        _ => Some(Value::Set(SetValue::of_small(set_form(encoding)?, bytes))),
    }
}

/// The form and the bytes that a value has in a block, if it is a collection that is small enough.
pub(super) fn bytes_of(value: &Value) -> Option<(Encoding, &[u8])> {
    let (encoding, bytes) = match value {
        Value::Str(_) | Value::RedisStream(_) => return None,
        Value::Hash(hash) => (Encoding::PackedHash, hash.packed()?),
        Value::List(list) => (Encoding::PackedList, list.packed()?),
        Value::Set(set) => match set.small()? {
            (SmallSet::Integers, bytes) => (Encoding::Integers, bytes),
            (SmallSet::Packed, bytes) => (Encoding::PackedSet, bytes),
        },
        Value::Sorted(set) => (Encoding::PackedSorted, set.packed()?),
    };
    (bytes.len() <= SMALL_MAX).then_some((encoding, bytes))
}

/// The bytes of a collection that is compact, though it is not in the block.
fn compact_bytes(value: ValueRef<'_>) -> Option<usize> {
    match value {
        ValueRef::Str(_) | ValueRef::RedisStream(_) => None,
        ValueRef::Hash(hash) => hash.compact_bytes(),
        ValueRef::List(list) => list.compact_bytes(),
        ValueRef::Set(set) => set.compact_bytes(),
        ValueRef::Sorted(set) => set.compact_bytes(),
    }
}

impl Block {
    /// Gives the block an empty value of this form, which is to be filled; returns a value that was more than bytes.
    pub(crate) fn begin(&mut self, encoding: Encoding) -> Option<Value> {
        debug_assert!(encoding.is_small());
        self.replace(encoding, &[])
    }

    /// The form of the value.
    #[inline]
    pub(crate) fn encoding(&self) -> Encoding {
        self.view().key_shape().encoding()
    }

    /// The bytes of a small collection.
    #[inline]
    pub(crate) fn small(&mut self) -> Inline<'_> {
        debug_assert!(self.encoding().is_small());
        Inline(self)
    }

    /// Gives the bytes of a small collection another form, which they have already.
    pub(crate) fn set_small_encoding(&mut self, encoding: Encoding) {
        debug_assert!(encoding.is_small() && self.encoding().is_small());
        let facts = self.view().facts();
        self.relayout(&facts, encoding, 0..0, &[]);
    }

    /// Replaces bytes of the value by `inserted` bytes, these parts, if nothing else moves by that; returns whether it did.
    #[inline]
    fn splice_in_place(&mut self, range: Range<usize>, inserted: usize, parts: &[&[u8]]) -> bool {
        let (old, _) = self.view().all();
        let Some(new) = old.with_length(old.value_length() - range.len() + inserted) else { return false };
        let class = size_class(old.total());
        if size_class(new.total()) != class {
            return false;
        }
        let start = old.value_at() + range.start;
        let bytes = self.bytes_mut(class);
        bytes.copy_within(start + range.len()..old.total(), start + inserted);
        let mut at = start;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        new.write_length(bytes);
        true
    }

    /// Takes a collection into the block if it has become small enough.
    pub(crate) fn settle(&mut self) {
        if self.encoding().is_collection_outside()
            && self.view().value().and_then(compact_bytes).is_some_and(|bytes| bytes <= SMALL_AGAIN)
            && let Some(value) = self.take()
        {
            // The block has no value now.
            drop(self.put(value));
        }
    }
}

/// The bytes of the value in a block, for changing them.
pub(crate) struct Inline<'a>(pub(super) &'a mut Block);

impl SmallBytes for Inline<'_> {
    #[inline]
    fn get(&self) -> &[u8] {
        let (shape, bytes) = self.0.view().all();
        &bytes[shape.value_at()..]
    }

    fn room(&self) -> usize {
        SMALL_MAX
    }

    fn splice(&mut self, range: Range<usize>, parts: &[&[u8]]) {
        let inserted: usize = parts.iter().map(|part| part.len()).sum();
        if !self.0.splice_in_place(range.clone(), inserted, parts) {
            let mut insert: SmallVec<[u8; 128]> = SmallVec::new();
            parts.iter().for_each(|part| insert.extend_from_slice(part));
            let (facts, encoding) = (self.0.view().facts(), self.0.encoding());
            self.0.relayout(&facts, encoding, range, &insert);
        }
    }

    fn overwrite_start(&mut self, start: &[u8]) {
        let (shape, _) = self.0.view().all();
        self.0.bytes_mut(shape.total())[shape.value_at()..][..start.len()].copy_from_slice(start);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::collection::{End, Thresholds, small};
    use crate::position::RingOffset;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_bytes_in_a_block_change_as_those_of_a_vector_do_and_nothing_else_changes(
            key in proptest::collection::vec(any::<u8>(), 0..300),
            steps in proptest::collection::vec((any::<u16>(), any::<u16>(), 0usize..3, 0usize..200, any::<u64>()), 1..40),
        ) {
            let mut block = Block::absent(&key);
            drop(block.begin(Encoding::PackedList));
            let mut model: Vec<u8> = Vec::new();
            for (n, (start, length, parts, bytes, head)) in steps.into_iter().enumerate() {
                let start = usize::from(start) % (model.len() + 1);
                let end = start + usize::from(length) % (model.len() - start + 1);
                let part = vec![n as u8; bytes];
                let parts = vec![&part[..]; parts];
                if n % 3 == 0 {
                    block.set_head(head >> (head % 64), RingOffset(head & !7));
                    block.set_expiry(head >> (head % 50));
                }
                let facts = block.view().facts();
                Inline(&mut block).splice(start..end, &parts);
                model.splice(start..end, parts.concat());
                let inline = Inline(&mut block);
                prop_assert_eq!(inline.get(), &model[..]);
                prop_assert_eq!(block.view().key(), &key[..]);
                prop_assert_eq!(block.view().facts(), facts);
                if model.len() > 2 {
                    Inline(&mut block).overwrite_start(&[7, 7]);
                    model[..2].fill(7);
                }
            }
        }
    }

    #[test]
    fn a_collection_leaves_the_block_when_it_is_large_and_comes_back_when_it_is_small() {
        let thresholds = &Thresholds::default();
        let mut block = Block::absent(b"key");
        drop(block.begin(Encoding::PackedList));
        let mut length = 0;
        while small::list_push(&mut Inline(&mut block), End::Tail, &[b'e'; 40], thresholds) {
            length += 1;
        }
        assert_eq!(length, (SMALL_MAX - 2) / 41);
        let Some(Value::List(mut list)) = block.take() else { panic!("it is a list") };
        assert!(!block.view().has_value());
        list.push(End::Tail, &[b'e'; 40], thresholds);
        assert!(bytes_of(&Value::List(list.clone())).is_none());
        drop(block.put(Value::List(list)));
        assert!(matches!(block.view().value(), Some(ValueRef::List(list)) if list.len() == length + 1));
        block.settle();
        assert_eq!(block.encoding(), Encoding::List, "it is still large");
        let Some(Value::List(mut list)) = block.take() else { panic!("it is a list") };
        while list.view().len() > 5 {
            list.pop(End::Head, thresholds);
        }
        drop(block.put(Value::List(list)));
        assert_eq!(block.encoding(), Encoding::PackedList);
        assert!(matches!(block.view().value(), Some(ValueRef::List(list)) if list.len() == 5));
    }
}
