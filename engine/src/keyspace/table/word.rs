//! A word of the table: some bits of a name's hash, and the address of what has that name.
//!
//! ```text
//!  bit 63 │ 62 … 43          │ 42 … 0
//!  mark   │ 20 bits of hash  │ address / 16; 0 = the word is free
//! ```
//!
//! The mark belongs to the line, not to the word: see [`line`](super::line).
//!
//! What the unsafe code here relies on: a word that is not free owns what is at its address, alone. It gets the address
//! from [`Pointed::into_raw`], and only [`Word::take`], [`Lent`] and the word's end turn it into an owner again.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};

/// What a table has words of: something with a name, behind an address.
///
/// # Safety
/// [`Pointed::into_raw`] returns an address that is a multiple of 16 and below 2^47, and not null. (Every allocation
/// with that alignment is so on the processors that Linux gives user programs 47 bits of addresses on, unless a program
/// asks for others.)
pub(crate) unsafe trait Pointed: Sized {
    /// It, for reading.
    type View<'a>: Copy
    where
        Self: 'a;

    /// Gives it away as an address.
    fn into_raw(self) -> NonNull<u8>;

    /// Takes it back.
    ///
    /// # Safety
    /// The address is from [`Pointed::into_raw`], and nobody else takes it back or uses it.
    unsafe fn from_raw(address: NonNull<u8>) -> Self;

    /// It, for reading.
    fn as_view(&self) -> Self::View<'_>;

    /// What is at an address, for reading.
    ///
    /// # Safety
    /// The address is from [`Pointed::into_raw`], and for `'a` nobody changes it or takes it back.
    unsafe fn view<'a>(address: NonNull<u8>) -> Self::View<'a>;

    /// It, for changing it where it is.
    type Edit<'a>
    where
        Self: 'a;

    /// What is at an address, for changing it where it is.
    ///
    /// # Safety
    /// The address is from [`Pointed::into_raw`], and for `'a` nobody else uses it.
    unsafe fn edit<'a>(address: NonNull<u8>) -> Self::Edit<'a>;

    /// Its name.
    fn name<'a>(view: Self::View<'a>) -> &'a [u8]
    where
        Self: 'a;

    /// When it expires, Unix time in milliseconds; 0 = never.
    fn expire_at_ms(view: Self::View<'_>) -> u64;

    /// Prefetches its beginning.
    fn prefetch(view: Self::View<'_>);
}

/// The number of bits of a hash in a word.
pub(super) const TAG_BITS: u32 = 20;

const ADDRESS_BITS: u32 = 43;
const ADDRESS: u64 = (1 << ADDRESS_BITS) - 1;
const TAG: u64 = ((1 << TAG_BITS) - 1) << ADDRESS_BITS;
const MARK: u64 = 1 << 63;

/// Where the tag is in the upper half of a word.
pub(super) const TAG_SHIFT: u32 = ADDRESS_BITS - 32;
pub(super) const TAG_MASK: u32 = (TAG >> 32) as u32;

/// See the description of this file.
#[repr(transparent)]
pub(crate) struct Word<P: Pointed> {
    bits: u64,
    owned: PhantomData<P>,
}

impl<P: Pointed> Word<P> {
    pub(super) const FREE: Word<P> = Word { bits: 0, owned: PhantomData };

    #[inline]
    fn address(&self) -> Option<NonNull<u8>> {
        NonNull::new(ptr::with_exposed_provenance_mut(((self.bits & ADDRESS) << 4) as usize))
    }

    #[inline]
    fn set_address(&mut self, address: NonNull<u8>) {
        let address = address.as_ptr().expose_provenance() as u64;
        assert!(address & 15 == 0 && address >> (ADDRESS_BITS + 4) == 0, "an address that a word has no room for");
        self.bits = self.bits & !ADDRESS | address >> 4;
    }

    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.bits & ADDRESS == 0
    }

    #[inline]
    pub(super) fn tag(&self) -> u32 {
        ((self.bits & TAG) >> ADDRESS_BITS) as u32
    }

    /// Whether it has this tag; a free word may have it too.
    #[cfg_attr(target_arch = "x86_64", expect(dead_code, reason = "a line compares all tags at once"))]
    #[inline]
    pub(super) fn has_tag(&self, tag: u32) -> bool {
        (self.bits ^ u64::from(tag) << ADDRESS_BITS) & TAG == 0
    }

    #[inline]
    pub(super) fn is_marked(&self) -> bool {
        self.bits & MARK != 0
    }

    #[inline]
    pub(super) fn set_mark(&mut self, marked: bool) {
        self.bits = if marked { self.bits | MARK } else { self.bits & !MARK };
    }

    /// Fills a free word.
    #[inline]
    pub(super) fn fill(&mut self, tag: u32, item: P) {
        debug_assert!(self.is_free() && tag >> TAG_BITS == 0);
        self.bits = self.bits & MARK | u64::from(tag) << ADDRESS_BITS;
        self.set_address(item.into_raw());
    }

    /// Frees the word.
    #[inline]
    pub(super) fn take(&mut self) -> Option<P> {
        let address = self.address()?;
        self.bits &= MARK;
        // SAFETY: the word owned it, and has just forgotten it.
        Some(unsafe { P::from_raw(address) })
    }

    /// Moves what another word has, with its tag, into this free one.
    #[inline]
    pub(super) fn move_from(&mut self, other: &mut Word<P>) {
        debug_assert!(self.is_free());
        self.bits = self.bits & MARK | other.bits & !MARK;
        other.bits &= MARK;
    }

    /// What it has, for reading.
    #[inline]
    pub(crate) fn view(&self) -> Option<P::View<'_>> {
        // SAFETY: the word owns it and is borrowed as long as the view.
        self.address().map(|address| unsafe { P::view(address) })
    }

    /// What it has, for reading.
    ///
    /// # Panics
    /// If the word is free: a table hands out no such word.
    #[inline]
    pub(crate) fn get(&self) -> P::View<'_> {
        self.view().expect("a table hands out filled words only")
    }

    /// What it has, for changing it where it is.
    ///
    /// # Panics
    /// If the word is free: a table hands out no such word.
    #[inline]
    pub(crate) fn edit(&mut self) -> P::Edit<'_> {
        let address = self.address().expect("a table hands out filled words only");
        // SAFETY: the word owns it and is borrowed as long as it is changed.
        unsafe { P::edit(address) }
    }

    /// What it has, for changing. It may move meanwhile.
    ///
    /// # Panics
    /// If the word is free: a table hands out no such word.
    #[inline]
    pub(crate) fn lend(&mut self) -> Lent<'_, P> {
        let address = self.address().expect("a table hands out filled words only");
        // SAFETY: the word owned it; nothing reads the word before `Lent`, which borrows it, has put an address back.
        Lent { item: ManuallyDrop::new(unsafe { P::from_raw(address) }), word: self }
    }
}

impl<P: Pointed> Drop for Word<P> {
    #[inline]
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// What a word has, for changing it; its address goes back into the word when this is dropped.
pub(crate) struct Lent<'a, P: Pointed> {
    word: &'a mut Word<P>,
    item: ManuallyDrop<P>,
}

impl<P: Pointed> Deref for Lent<'_, P> {
    type Target = P;
    #[inline]
    fn deref(&self) -> &P {
        &self.item
    }
}

impl<P: Pointed> DerefMut for Lent<'_, P> {
    #[inline]
    fn deref_mut(&mut self) -> &mut P {
        &mut self.item
    }
}

impl<P: Pointed> Drop for Lent<'_, P> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `item` is not used after this.
        let item = unsafe { ManuallyDrop::take(&mut self.item) };
        let address = item.into_raw();
        // Most changes move nothing.
        if self.word.address() != Some(address) {
            self.word.set_address(address);
        }
    }
}
