//! What stands between two `*` of a pattern: it matches texts of one length.
//!
//! A search takes a bounded number of steps for each byte of the name, whatever the segment: a literal is found in
//! linear time, up to [`TRIED_MAX`] tokens are tried at each place, and longer segments are found by the shift-and
//! method, with a bit of state for each token.

use super::class::{Class, Token};
use crate::limits::GLOB_SEGMENT_MAX;
use memchr::memmem;

/// The longest segment that is tried at each place.
const TRIED_MAX: usize = 16;

/// The words of state that the longest segment takes.
const WORDS_MAX: usize = GLOB_SEGMENT_MAX.div_ceil(64);

/// The possible values of a byte.
const BYTES: usize = 256;

/// A row of tokens without a `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// These bytes.
    Literal(Box<[u8]>),
    /// A byte for each token.
    Mixed {
        tokens: Box<[Token]>,
        /// For each byte the tokens that take it, a bit for each token; only where the segment is searched for and too
        /// long to be tried at each place.
        masks: Box<[u64]>,
    },
}

impl Segment {
    /// Of these tokens. `is_searched`: it stands between two `*`, so that its place in a name has to be found; then it
    /// has at most [`GLOB_SEGMENT_MAX`] tokens, if one of them is no literal byte.
    pub fn new(tokens: Vec<Token>, is_searched: bool, classes: &[Class]) -> Segment {
        let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
        if let Some(literal) = tokens.iter().map(byte).collect() {
            return Segment::Literal(literal);
        }
        let masks = if is_searched && tokens.len() > TRIED_MAX { masks(&tokens, classes) } else { Box::default() };
        Segment::Mixed { tokens: tokens.into(), masks }
    }

    /// How many bytes it matches.
    pub fn len(&self) -> usize {
        match self {
            Segment::Literal(bytes) => bytes.len(),
            Segment::Mixed { tokens, .. } => tokens.len(),
        }
    }

    /// The tokens.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        let (bytes, tokens): (&[u8], &[Token]) = match self {
            Segment::Literal(bytes) => (bytes, &[]),
            Segment::Mixed { tokens, .. } => (&[], tokens),
        };
        bytes.iter().map(|&byte| Token::Byte(byte)).chain(tokens.iter().copied())
    }

    /// The memory that it takes beside itself, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Segment::Literal(bytes) => bytes.len(),
            Segment::Mixed { tokens, masks } => size_of_val(&**tokens) + size_of_val(&**masks),
        }
    }

    /// The memory that a searched segment of so many tokens takes at the most, in bytes.
    pub fn memory_bytes_of(tokens: usize) -> usize {
        let masks = if tokens > TRIED_MAX { BYTES * tokens.div_ceil(64) * size_of::<u64>() } else { 0 };
        tokens * size_of::<Token>() + masks + size_of::<Segment>()
    }

    /// Whether it matches `text`, which has its length.
    #[inline]
    pub fn matches(&self, text: &[u8], classes: &[Class]) -> bool {
        match self {
            Segment::Literal(bytes) => **bytes == *text,
            Segment::Mixed { tokens, .. } => tokens.iter().zip(text).all(|(token, &byte)| token.takes(byte, classes)),
        }
    }

    /// Where its first match in `text` ends.
    #[inline]
    pub fn find(&self, text: &[u8], classes: &[Class]) -> Option<usize> {
        match self {
            Segment::Literal(bytes) => memmem::find(text, bytes).map(|at| at + bytes.len()),
            Segment::Mixed { tokens, masks } if masks.is_empty() => {
                let places = text.len().checked_sub(tokens.len())?;
                let fits = |at: &usize| self.matches(&text[*at..at + tokens.len()], classes);
                (0..=places).find(fits).map(|at| at + tokens.len())
            }
            Segment::Mixed { tokens, masks } => shift_and(tokens.len(), masks, text),
        }
    }
}

fn masks(tokens: &[Token], classes: &[Class]) -> Box<[u64]> {
    let words = tokens.len().div_ceil(64);
    let mut masks = vec![0; BYTES * words];
    for (place, token) in tokens.iter().enumerate() {
        for byte in 0..=255 {
            if token.takes(byte, classes) {
                masks[usize::from(byte) * words + place / 64] |= 1 << (place % 64);
            }
        }
    }
    masks.into()
}

/// Bit `n` of the state: the last `n + 1` bytes match the first `n + 1` tokens.
fn shift_and(tokens: usize, masks: &[u64], text: &[u8]) -> Option<usize> {
    let words = tokens.div_ceil(64);
    let mut state = [0_u64; WORDS_MAX];
    let state = &mut state[..words];
    let last = 1 << ((tokens - 1) % 64);
    for (at, &byte) in text.iter().enumerate() {
        let mut carry = 1;
        for (word, mask) in state.iter_mut().zip(&masks[usize::from(byte) * words..][..words]) {
            let carried = *word >> 63;
            *word = (*word << 1 | carry) & mask;
            carry = carried;
        }
        if state[words - 1] & last != 0 {
            return Some(at + 1);
        }
    }
    None
}
