//! One key as one block of memory: its stream's head, its TTL, its name and its value. [`shape`] says where each field is.
//! A short string is in the block; for what is longer, and for a collection, the block has the Rust value that owns it.
//!
//! What must hold of a block, and what the unsafe code here relies on:
//! - It is an allocation of `size_class(total)` bytes, aligned to 16, all of them initialised (but for what the Rust value
//!   in it has of padding); `total` follows from the block's own fields ([`Shape::total`]). Every class has 16 bytes or
//!   more.
//! - A `Block` owns its allocation alone. Where the encoding says so, a Rust value is at [`Shape::value_at`], aligned, and
//!   is the block's: it is moved with the block's bytes, and out of it only where the block then gets another value.
//! - A [`BlockRef`] borrows a block, so nothing changes or frees it meanwhile.
//! - Only [`Block::relayout`] changes a shape.

mod footprint;
mod head;
mod pointed;
mod shape;
mod small;
mod string;
#[cfg(all(test, not(loom)))]
mod tests;

pub(crate) use shape::{Encoding, Facts};

use super::entry::{Value, ValueRef};
use crate::collection::{FurtherStep, HashValue, ListValue, RedisStreamValue, SetValue, SortedValue, size_class};
use crate::position::RingOffset;
use crate::prefetch::{LINE_BYTES, prefetch_bytes, prefetch_line};
use shape::{INLINE_MAX, Shape, VALUE_ALIGN};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::ptr::NonNull;
use std::slice;
use string::STRING_INLINE_MAX;

/// The alignment of a block, in bytes: the lowest bits of its address are free for whoever keeps it.
pub(crate) const BLOCK_ALIGN: usize = 16;

const _: () = assert!(STRING_INLINE_MAX <= INLINE_MAX && BLOCK_ALIGN.is_multiple_of(VALUE_ALIGN));

/// A block, owned.
pub(crate) struct Block {
    start: NonNull<u8>,
}

/// A block, for reading.
#[derive(Clone, Copy)]
pub(crate) struct BlockRef<'a> {
    start: NonNull<u8>,
    block: PhantomData<&'a Block>,
}

impl<'a> BlockRef<'a> {
    /// The bytes of a range of the block.
    ///
    /// # Safety
    /// The range lies within the block's class.
    #[inline]
    unsafe fn bytes(self, range: Range<usize>) -> &'a [u8] {
        // SAFETY: the caller's range lies in the allocation, whose bytes are all initialised; nobody changes them for
        // 'a, by the contract of a `BlockRef`.
        unsafe { slice::from_raw_parts(self.start.as_ptr().add(range.start), range.end - range.start) }
    }

    #[inline]
    fn start(self) -> &'a [u8; 16] {
        // SAFETY: every class has 16 bytes, and the bytes are read as any part of the block.
        unsafe { &*self.start.as_ptr().cast::<[u8; 16]>() }
    }

    /// The shape without the length of the value.
    #[inline]
    fn key_shape(self) -> Shape {
        Shape::of_start(self.start())
    }

    /// The shape, and the bytes up to the end of the value.
    #[inline]
    fn all(self) -> (Shape, &'a [u8]) {
        let shape = self.key_shape();
        // SAFETY: the revision lies behind the value's length, both within the block.
        let shape = shape.with_value_length(unsafe { self.bytes(0..shape.revision_at()) });
        // SAFETY: the whole block is within its class.
        (shape, unsafe { self.bytes(0..shape.total()) })
    }

    /// The key.
    #[inline]
    pub(crate) fn key(self) -> &'a [u8] {
        let shape = self.key_shape();
        // SAFETY: the key lies within the block.
        unsafe { self.bytes(shape.key_at()..shape.key_at() + shape.key_length()) }
    }

    #[inline]
    pub(crate) fn has_value(self) -> bool {
        self.key_shape().encoding() != Encoding::None
    }

    /// Whether the block has all of its value.
    pub(crate) fn has_all(self) -> bool {
        self.key_shape().encoding().is_inside()
    }

    #[inline]
    pub(crate) fn is_queued(self) -> bool {
        self.key_shape().is_queued()
    }

    /// Whether there is an expiry.
    #[inline]
    pub(crate) fn expires(self) -> bool {
        self.key_shape().expires()
    }

    /// Whether the value is a hash whose fields have TTLs, or have had.
    #[inline]
    pub(crate) fn is_timed(self) -> bool {
        self.key_shape().encoding() == Encoding::TimedHash
    }

    #[inline]
    pub(crate) fn expire_at_ms(self) -> u64 {
        let shape = self.key_shape();
        if !shape.expires() {
            return 0;
        }
        // SAFETY: the fields before the value lie within the block.
        shape.expire_at_ms(unsafe { self.bytes(0..shape.fields_end()) })
    }

    #[inline]
    pub(crate) fn next_revision(self) -> u64 {
        let shape = self.key_shape();
        // SAFETY: as above.
        shape.next_revision(unsafe { self.bytes(0..shape.fields_end()) })
    }

    #[inline]
    pub(crate) fn last(self) -> RingOffset {
        self.key_shape().last(self.start())
    }

    pub(crate) fn facts(self) -> Facts {
        let (shape, _) = self.all();
        // SAFETY: the whole class, which has 16 bytes at least.
        shape.facts(unsafe { self.bytes(0..size_class(shape.total())) })
    }

    /// The value.
    #[inline]
    pub(crate) fn value(self) -> Option<ValueRef<'a>> {
        if let Some(bytes) = self.inline_string() { Some(ValueRef::Str(bytes)) } else { self.other_value() }
    }

    /// The value, if it is a string in the block.
    #[inline]
    fn inline_string(self) -> Option<&'a [u8]> {
        let shape = self.key_shape();
        if shape.encoding() != Encoding::Raw {
            return None;
        }
        // SAFETY: the revision lies behind the value's length, both within the block.
        let shape = shape.with_value_length(unsafe { self.bytes(0..shape.revision_at()) });
        // SAFETY: the value lies within the block.
        Some(unsafe { self.bytes(shape.value_at()..shape.total()) })
    }

    #[inline(never)]
    fn other_value(self) -> Option<ValueRef<'a>> {
        if self.key_shape().encoding().is_small() {
            let (shape, bytes) = self.all();
            return small::view(shape.encoding(), &bytes[shape.value_at()..]);
        }
        // SAFETY: the encoding says which value is there; it is the block's, and nobody changes it for 'a.
        unsafe {
            Some(match self.key_shape().encoding() {
                Encoding::String => ValueRef::Str(&*self.value_at::<Vec<u8>>()),
                Encoding::Hash | Encoding::TimedHash => ValueRef::Hash((*self.value_at::<HashValue>()).view()),
                Encoding::List => ValueRef::List((*self.value_at::<ListValue>()).view()),
                Encoding::Set => ValueRef::Set((*self.value_at::<SetValue>()).view()),
                Encoding::Sorted => ValueRef::Sorted((*self.value_at::<SortedValue>()).view()),
                Encoding::RedisStream => ValueRef::RedisStream((*self.value_at::<RedisStreamValue>()).view()),
                // Nothing, or only bytes.
                _ => return None,
            })
        }
    }

    /// Where the value is that is more than bytes.
    #[inline]
    fn value_at<T>(self) -> *mut T {
        // It is within the block.
        self.start.as_ptr().wrapping_add(self.key_shape().value_at()).cast()
    }

    /// The value that is more than bytes, owned; `None` if there is none.
    ///
    /// # Safety
    /// The caller is the block, and gets another value, or none, before it is read again.
    unsafe fn own(self) -> Option<Value> {
        // SAFETY: the encoding says which value is there, and the block, whose value it is, gives it away.
        unsafe {
            Some(match self.key_shape().encoding() {
                Encoding::String => Value::Str(self.value_at::<Vec<u8>>().read()),
                Encoding::Hash | Encoding::TimedHash => Value::Hash(self.value_at::<HashValue>().read()),
                Encoding::List => Value::List(self.value_at::<ListValue>().read()),
                Encoding::Set => Value::Set(self.value_at::<SetValue>().read()),
                Encoding::Sorted => Value::Sorted(self.value_at::<SortedValue>().read()),
                Encoding::RedisStream => Value::RedisStream(self.value_at::<RedisStreamValue>().read()),
                // Nothing, or only bytes.
                _ => return None,
            })
        }
    }

    /// The memory of the block, in bytes; what its value owns is not counted.
    pub(crate) fn allocated_bytes(self) -> usize {
        size_class(self.all().0.total())
    }

    /// Prefetches what a read of a short value touches. Reads nothing.
    #[inline]
    pub(crate) fn prefetch(self) {
        let start = self.start.as_ptr();
        prefetch_line(start);
        prefetch_line(start.wrapping_add(LINE_BYTES));
    }

    /// Prefetches the rest of a longer value, or the beginning of one outside. Reads the block. Returns whether there is
    /// [more](BlockRef::prefetch_further) to prefetch.
    #[inline]
    pub(crate) fn prefetch_value(self) -> bool {
        /// Key and value of so many bytes are in the two lines that [`BlockRef::prefetch`] asks for, or nearly: the
        /// processor sees that memory is read in order.
        const NEAR: usize = 2 * LINE_BYTES + LINE_BYTES / 4;
        let shape = self.key_shape();
        if shape.is_short() {
            // SAFETY: the length of the value lies within the block.
            let value_length = unsafe { self.start.as_ptr().add(shape.short_length_at()).read() };
            if shape.key_length() + usize::from(value_length) <= NEAR {
                return false;
            }
        }
        self.prefetch_long_value();
        shape.encoding() == Encoding::List
    }

    /// Prefetches what lies behind the beginning of a value outside, which is read.
    pub(crate) fn prefetch_further(self, step: FurtherStep) {
        if let Some(ValueRef::List(list)) = self.value() {
            list.prefetch_further(step);
        }
    }

    #[inline(never)]
    fn prefetch_long_value(self) {
        /// Enough for a short value; the hardware prefetcher fetches the rest of a longer one, since it is read in
        /// order.
        const LINES_MAX: usize = 6;
        match self.value() {
            None => {}
            Some(ValueRef::Str(bytes)) => prefetch_bytes(bytes, LINES_MAX),
            Some(ValueRef::Hash(hash)) => prefetch_line(hash.first_line()),
            Some(ValueRef::List(list)) => prefetch_line(list.first_line()),
            Some(ValueRef::Set(set)) => prefetch_line(set.first_line()),
            Some(ValueRef::Sorted(set)) => prefetch_line(set.first_line()),
            Some(ValueRef::RedisStream(stream)) => prefetch_line(stream.first_line()),
        }
    }
}

impl fmt::Debug for BlockRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("key", &self.key()).field("facts", &self.facts()).finish_non_exhaustive()
    }
}

impl Block {
    /// A block without a value.
    pub(crate) fn absent(key: &[u8]) -> Block {
        let facts = Facts { last: RingOffset::NONE, next_revision: 0, expire_at_ms: 0, is_queued: false, access: 0 };
        Block::of(key, &facts, Encoding::None, [&[], &[], &[]])
    }

    /// A new block, whose value's bytes are these, one after the other.
    fn of(key: &[u8], facts: &Facts, encoding: Encoding, value: [&[u8]; 3]) -> Block {
        let shape = Shape::of(key.len(), facts, encoding, value.iter().map(|part| part.len()).sum());
        let (total, class) = (shape.total(), size_class(shape.total()));
        let layout = layout(class);
        // SAFETY: the layout's size is not 0.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has `class` bytes, of which none before `total` is read before it is written below.
        unsafe { start.as_ptr().add(total).write_bytes(0, class - total) };
        // SAFETY: as above; key, value and fields together write every byte up to `total`.
        let put = |at: usize, part: &[u8]| unsafe {
            debug_assert!(at + part.len() <= total);
            start.as_ptr().add(at).copy_from_nonoverlapping(part.as_ptr(), part.len());
        };
        put(shape.key_at(), key);
        let mut at = shape.value_at();
        for part in value {
            put(at, part);
            at += part.len();
        }
        // The fields before and behind the key.
        put(0, &[0; 16][..shape.key_at()]);
        put(shape.key_at() + key.len(), &[0; 32][..shape.value_at() - shape.key_at() - key.len()]);
        let mut block = Block { start };
        shape.write(block.bytes_mut(class), facts);
        block
    }

    /// A view of it, for reading.
    #[inline]
    pub(crate) fn view(&self) -> BlockRef<'_> {
        BlockRef { start: self.start, block: PhantomData }
    }

    /// The block's memory, of which `class` is the size.
    #[inline]
    fn bytes_mut(&mut self, class: usize) -> &mut [u8] {
        // SAFETY: the allocation has that many bytes, all initialised, and is borrowed as a whole.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), class) }
    }

    /// Changes the fields, the encoding, and the value's bytes: those of `range` are replaced by `insert`. The block
    /// moves if that makes its class another one. A value that is more than bytes is kept as it is (an empty range), or
    /// the caller owns it; one that it becomes, the caller writes.
    fn relayout(&mut self, facts: &Facts, encoding: Encoding, range: Range<usize>, insert: &[u8]) {
        let (old, bytes) = self.view().all();
        let length = old.value_length() - range.len() + insert.len();
        let new = Shape::of(old.key_length(), facts, encoding, length);
        let (old_class, new_class) = (size_class(old.total()), size_class(new.total()));
        if old_class != new_class || old.key_at() != new.key_at() {
            let value = &bytes[old.value_at()..];
            let parts = [&value[..range.start], insert, &value[range.end..]];
            let moved = Block::of(self.view().key(), facts, encoding, parts);
            let before = ManuallyDrop::new(std::mem::replace(self, moved));
            // SAFETY: the memory was allocated with this layout. A value that was in it has moved to the new block, so
            // this one is not dropped.
            unsafe { dealloc(before.start.as_ptr(), layout(old_class)) };
            return;
        }
        let bytes = self.bytes_mut(new_class);
        let (from, to) = (old.value_at(), new.value_at());
        let tail = from + range.end..old.total();
        let tail_to = to + range.start + insert.len();
        // Neither overwrites what the other has yet to move.
        if to <= from {
            bytes.copy_within(from..from + range.start, to);
            bytes.copy_within(tail, tail_to);
        } else {
            bytes.copy_within(tail, tail_to);
            bytes.copy_within(from..from + range.start, to);
        }
        bytes[to + range.start..tail_to].copy_from_slice(insert);
        new.write(bytes, facts);
    }

    /// Moves the block to memory that the allocator hands out now, so that blocks which are far apart come together.
    pub(crate) fn renew(&mut self) {
        let (shape, bytes) = self.view().all();
        let parts = [&bytes[shape.value_at()..], &[], &[]];
        let moved = Block::of(self.view().key(), &self.view().facts(), shape.encoding(), parts);
        let before = ManuallyDrop::new(std::mem::replace(self, moved));
        // SAFETY: as in `relayout`: allocated with this layout, and its value belongs to the new block.
        unsafe { dealloc(before.start.as_ptr(), layout(size_class(shape.total()))) };
    }

    /// Sets the fields.
    #[cold]
    pub(crate) fn set_facts(&mut self, facts: Facts) {
        let (shape, _) = self.view().all();
        self.relayout(&facts, shape.encoding(), 0..0, &[]);
    }

    /// Sets the expiry, Unix time in milliseconds; 0 = never.
    pub(crate) fn set_expiry(&mut self, expire_at_ms: u64) {
        let facts = self.view().facts();
        if facts.expire_at_ms != expire_at_ms {
            self.set_facts(Facts { expire_at_ms, ..facts });
        }
    }

    pub(crate) fn set_queued(&mut self, is_queued: bool) {
        let flags = self.view().key_shape().with_queued(is_queued);
        self.bytes_mut(2).copy_from_slice(&flags.to_le_bytes());
    }

    /// Replaces the value's bytes; returns a value that was more than bytes.
    fn replace(&mut self, encoding: Encoding, value: &[u8]) -> Option<Value> {
        let facts = self.view().facts();
        self.replace_both(&facts, encoding, value)
    }

    /// Replaces the fields and the value's bytes; returns a value that was more than bytes.
    fn replace_both(&mut self, facts: &Facts, encoding: Encoding, value: &[u8]) -> Option<Value> {
        let (shape, _) = self.view().all();
        // SAFETY: the block gets another value next; until then nothing reads this one.
        let before = unsafe { self.view().own() };
        self.relayout(facts, encoding, 0..shape.value_length(), value);
        before
    }

    /// Replaces the value by one that is more than bytes; returns one that was.
    fn replace_with<T>(&mut self, encoding: Encoding, value: T) -> Option<Value> {
        const ZEROS: [u8; 32] = [0; 32];
        debug_assert_eq!(encoding.fixed_length(), Some(size_of::<T>()));
        let before = self.replace(encoding, &ZEROS[..size_of::<T>()]);
        // SAFETY: the block has as much room there, aligned, and its own value is not read before this is written.
        unsafe { self.view().value_at::<T>().write(value) };
        before
    }

    /// Drops value and TTL, without a record: for a flush, whose single event stands for all keys. Returns a value that
    /// was more than bytes.
    pub(crate) fn drop_value(&mut self) -> Option<Value> {
        let facts = Facts { expire_at_ms: 0, ..self.view().facts() };
        self.replace_both(&facts, Encoding::None, &[])
    }

    /// Replaces the value; returns one that was more than bytes.
    pub(crate) fn put(&mut self, value: Value) -> Option<Value> {
        if let Some((encoding, bytes)) = small::bytes_of(&value) {
            return self.replace(encoding, bytes);
        }
        match value {
            Value::Str(bytes) if bytes.len() <= STRING_INLINE_MAX => self.replace(Encoding::Raw, &bytes),
            Value::Str(bytes) => self.replace_with(Encoding::String, bytes),
            Value::Hash(hash) if hash.view().is_timed() => self.replace_with(Encoding::TimedHash, hash),
            Value::Hash(hash) => self.replace_with(Encoding::Hash, hash),
            Value::List(list) => self.replace_with(Encoding::List, list),
            Value::Set(set) => self.replace_with(Encoding::Set, set),
            Value::Sorted(set) => self.replace_with(Encoding::Sorted, set),
            Value::RedisStream(stream) => self.replace_with(Encoding::RedisStream, stream),
        }
    }

    /// Takes the value out.
    pub(crate) fn take(&mut self) -> Option<Value> {
        let (shape, bytes) = self.view().all();
        let bytes = &bytes[shape.value_at()..];
        let inside = match shape.encoding() {
            Encoding::Raw => Some(Value::Str(bytes.to_vec())),
            encoding => small::value(encoding, bytes),
        };
        self.clear().or(inside)
    }

    /// Removes the value, and returns it if it is more than bytes.
    pub(crate) fn clear(&mut self) -> Option<Value> {
        self.replace(Encoding::None, &[])
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let class = self.view().allocated_bytes();
        // SAFETY: nothing reads the block any more.
        let value = unsafe { self.view().own() };
        // SAFETY: the memory was allocated with this layout, and nothing refers to it any more.
        unsafe { dealloc(self.start.as_ptr(), layout(class)) };
        drop(value);
    }
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align(class, BLOCK_ALIGN).expect("a block is far smaller than the address space")
}
