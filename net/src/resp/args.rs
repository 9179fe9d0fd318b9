//! The arguments of one command: spans into the buffer with their bytes, so that a command of any length is passed on
//! as two slices.

use std::fmt;
use std::ops::Index;

/// The range of one argument in its buffer, in bytes. Offsets are 32 bits wide: a query is shorter than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The span from `start` up to but excluding `end`, offsets in bytes.
    ///
    /// # Panics
    /// If `end` is before `start` or an offset does not fit into 32 bits.
    #[inline]
    pub fn new(start: usize, end: usize) -> Span {
        assert!(start <= end && end <= u32::MAX as usize, "a span of {start}..{end}");
        Span { start: start as u32, end: end as u32 }
    }

    #[inline]
    fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.end as usize]
    }
}

/// The arguments of one command, the command's name first. Two slices: cheap to copy.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// The arguments at `spans` of `buffer`. A span beyond the buffer panics when it is read, not before.
    #[inline]
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { buffer, spans }
    }

    /// The number of arguments, including the command's name.
    #[inline]
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument at all.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`; 0 is the command's name. The bytes live as long as the buffer, not just as `self`.
    ///
    /// # Panics
    /// If there is no such argument.
    #[inline]
    pub fn get(self, index: usize) -> &'a [u8] {
        self.spans[index].of(self.buffer)
    }

    /// The argument at `index`, if it exists.
    #[inline]
    pub fn try_get(self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).map(|span| span.of(self.buffer))
    }

    /// The arguments from `first` on; empty if there are fewer.
    #[inline]
    pub fn rest(self, first: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(first..).unwrap_or_default() }
    }

    /// The first `count` arguments; all of them if there are fewer.
    #[inline]
    pub fn first(self, count: usize) -> Args<'a> {
        Args { buffer: self.buffer, spans: self.spans.get(..count).unwrap_or(self.spans) }
    }

    /// The arguments in order.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = &'a [u8]> + ExactSizeIterator + Clone {
        self.spans.iter().map(move |span| span.of(self.buffer))
    }

    /// The size of all arguments together, in bytes.
    pub fn bytes_total(self) -> usize {
        self.spans.iter().map(|span| (span.end - span.start) as usize).sum()
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    #[inline]
    fn index(&self, index: usize) -> &[u8] {
        self.get(index)
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|argument| argument.escape_ascii().to_string())).finish()
    }
}

/// Arguments that own their bytes, in two allocations however many there are: for a command that waits or is sent to
/// another core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// No arguments yet.
    pub const fn new() -> OwnedArgs {
        OwnedArgs { bytes: Vec::new(), spans: Vec::new() }
    }

    /// Appends an argument.
    ///
    /// # Panics
    /// If all arguments together reach 4 GiB.
    pub fn push(&mut self, argument: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(argument);
        self.spans.push(Span::new(start, self.bytes.len()));
    }

    /// The arguments, borrowed.
    #[inline]
    pub fn as_args(&self) -> Args<'_> {
        Args { buffer: &self.bytes, spans: &self.spans }
    }

    /// Clears the arguments, and frees the memory beyond `bytes_kept`.
    pub(super) fn reset(&mut self, bytes_kept: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(bytes_kept);
        self.spans.clear();
        self.spans.shrink_to(bytes_kept / size_of::<Span>());
    }

    /// The argument bytes, to append those of the next argument; [`OwnedArgs::end_argument`] completes it.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes the bytes since the previous argument's end the next argument.
    pub(super) fn end_argument(&mut self) {
        let start = self.spans.last().map_or(0, |span| span.end as usize);
        self.spans.push(Span::new(start, self.bytes.len()));
    }
}

impl From<Args<'_>> for OwnedArgs {
    fn from(args: Args<'_>) -> OwnedArgs {
        let mut owned =
            OwnedArgs { bytes: Vec::with_capacity(args.bytes_total()), spans: Vec::with_capacity(args.len()) };
        args.iter().for_each(|argument| owned.push(argument));
        owned
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = A>>(arguments: I) -> OwnedArgs {
        let mut owned = OwnedArgs::new();
        arguments.into_iter().for_each(|argument| owned.push(argument.as_ref()));
        owned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_empty_where_there_are_fewer_arguments() {
        let owned: OwnedArgs = ["SET", "key", ""].into_iter().collect();
        let args = owned.as_args();
        assert_eq!((args.len(), args.rest(1).len(), args.rest(3).len(), args.rest(9).len()), (3, 2, 0, 0));
        assert_eq!(
            (&args[0], args.get(1), args.try_get(2), args.try_get(3)),
            (&b"SET"[..], &b"key"[..], Some(&b""[..]), None)
        );
    }

    #[test]
    fn a_copy_holds_the_same_arguments() {
        let owned: OwnedArgs = ["GET", "a longer key"].into_iter().collect();
        assert_eq!(OwnedArgs::from(owned.as_args()), owned);
    }
}
