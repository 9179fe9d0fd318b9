//! A block as what a table has words of.

use super::{Block, BlockRef, Encoding};
use crate::collection::{HashValue, ListValue, RedisStreamValue, SetValue, SortedValue, allocated};
use crate::keyspace::entry::{Entry, ValueMut};
use crate::keyspace::table::Pointed;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

// SAFETY: a block's memory is aligned to 16 and not null, and from the allocator.
unsafe impl Pointed for Block {
    type View<'a> = Entry<'a>;
    type Edit<'a> = Option<ValueMut<'a>>;

    #[inline]
    fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }

    #[inline]
    unsafe fn from_raw(address: NonNull<u8>) -> Block {
        Block { start: address }
    }

    #[inline]
    fn as_view(&self) -> Entry<'_> {
        Entry::of(self.view())
    }

    #[inline]
    unsafe fn view<'a>(address: NonNull<u8>) -> Entry<'a> {
        Entry::of(BlockRef { start: address, block: PhantomData })
    }

    /// The value.
    #[inline]
    unsafe fn edit<'a>(address: NonNull<u8>) -> Option<ValueMut<'a>> {
        let block: BlockRef<'a> = BlockRef { start: address, block: PhantomData };
        // SAFETY: the encoding says which value is there; it is the block's, and for 'a only the caller uses the block.
        unsafe {
            Some(match block.key_shape().encoding() {
                Encoding::None => return None,
                Encoding::Raw | Encoding::String => ValueMut::Str,
                Encoding::Hash | Encoding::TimedHash => ValueMut::Hash(&mut *block.value_at()),
                Encoding::List => ValueMut::List(&mut *block.value_at()),
                Encoding::Set => ValueMut::Set(&mut *block.value_at()),
                Encoding::Sorted => ValueMut::Sorted(&mut *block.value_at()),
                Encoding::RedisStream => ValueMut::RedisStream(&mut *block.value_at()),
                small @ (Encoding::PackedHash
                | Encoding::PackedList
                | Encoding::PackedSet
                | Encoding::Integers
                | Encoding::PackedSorted) => ValueMut::Small(small),
            })
        }
    }

    #[inline]
    fn name<'a>(view: Entry<'a>) -> &'a [u8]
    where
        Self: 'a,
    {
        view.key()
    }

    #[inline]
    fn expire_at_ms(view: Entry<'_>) -> u64 {
        view.expire_at_ms().unwrap_or(0)
    }

    #[inline]
    fn prefetch(view: Entry<'_>) {
        view.prefetch();
    }
}

impl BlockRef<'_> {
    /// The memory that the value has outside the block, in bytes.
    pub(crate) fn heap_bytes(self) -> usize {
        self.measured(
            |string| string.capacity(),
            HashValue::allocated_bytes,
            ListValue::allocated_bytes,
            SetValue::allocated_bytes,
            SortedValue::allocated_bytes,
            RedisStreamValue::allocated_bytes,
        )
    }

    /// The same, found by a look at everything.
    pub(crate) fn walked_bytes(self) -> usize {
        self.measured(
            |string| string.capacity(),
            HashValue::walked_bytes,
            ListValue::walked_bytes,
            SetValue::walked_bytes,
            SortedValue::walked_bytes,
            RedisStreamValue::walked_bytes,
        )
    }

    #[inline]
    fn measured(
        self,
        string: fn(&Vec<u8>) -> usize,
        hash: fn(&HashValue) -> usize,
        list: fn(&ListValue) -> usize,
        set: fn(&SetValue) -> usize,
        sorted: fn(&SortedValue) -> usize,
        stream: fn(&RedisStreamValue) -> usize,
    ) -> usize {
        // SAFETY: the encoding says which value is there; it is the block's, and nobody changes it meanwhile.
        unsafe {
            match self.key_shape().encoding() {
                Encoding::String => allocated(string(&*self.value_at())),
                Encoding::Hash | Encoding::TimedHash => hash(&*self.value_at()),
                Encoding::List => list(&*self.value_at()),
                Encoding::Set => set(&*self.value_at()),
                Encoding::Sorted => sorted(&*self.value_at()),
                Encoding::RedisStream => stream(&*self.value_at()),
                // Nothing, or only bytes.
                Encoding::None
                | Encoding::Raw
                | Encoding::PackedHash
                | Encoding::PackedList
                | Encoding::PackedSet
                | Encoding::PackedSorted
                | Encoding::Integers => 0,
            }
        }
    }
}
