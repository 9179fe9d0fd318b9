//! A segment: the part of a pattern between two `*`. It matches texts of one length.
//!
//! A search takes a bounded number of steps per byte of the name, whatever the segment: a literal is found in linear
//! time, up to [`TRIED_MAX`] tokens are tried at each position, and longer segments are found by the shift-and method,
//! with a bit of state for each token.

use super::class::{Class, Token};
use crate::limits::GLOB_SEGMENT_MAX;
use memchr::memmem;

/// The longest segment that is tried at each position.
const TRIED_MAX: usize = 16;

/// The words of state that the longest segment takes.
const WORDS_MAX: usize = GLOB_SEGMENT_MAX.div_ceil(64);

/// The possible values of a byte.
const BYTES: usize = 256;

/// A row of tokens without `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum GlobSegment {
    /// These bytes.
    Literal(Box<[u8]>),
    /// One token per byte.
    Mixed {
        tokens: Box<[Token]>,
        /// For each byte, the tokens that match it, a bit for each; only for a searched segment that is too long to be
        /// tried at each position.
        masks: Box<[u64]>,
    },
}

impl GlobSegment {
    /// A segment of these tokens. `is_searched`: it is between two `*`, so its position in a name has to be searched
    /// for; then it has at most [`GLOB_SEGMENT_MAX`] tokens, unless all are literal.
    pub fn new(tokens: Vec<Token>, is_searched: bool, classes: &[Class]) -> GlobSegment {
        let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
        if let Some(literal) = tokens.iter().map(byte).collect() {
            return GlobSegment::Literal(literal);
        }
        let masks = if is_searched && tokens.len() > TRIED_MAX { masks(&tokens, classes) } else { Box::default() };
        GlobSegment::Mixed { tokens: tokens.into(), masks }
    }

    /// The number of bytes that it matches.
    pub fn len(&self) -> usize {
        match self {
            GlobSegment::Literal(bytes) => bytes.len(),
            GlobSegment::Mixed { tokens, .. } => tokens.len(),
        }
    }

    /// The tokens.
    pub fn tokens(&self) -> impl Iterator<Item = Token> {
        let (bytes, tokens): (&[u8], &[Token]) = match self {
            GlobSegment::Literal(bytes) => (bytes, &[]),
            GlobSegment::Mixed { tokens, .. } => (&[], tokens),
        };
        bytes.iter().map(|&byte| Token::Byte(byte)).chain(tokens.iter().copied())
    }

    /// Its heap memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        match self {
            GlobSegment::Literal(bytes) => bytes.len(),
            GlobSegment::Mixed { tokens, masks } => size_of_val(&**tokens) + size_of_val(&**masks),
        }
    }

    /// The most heap memory that a searched segment with this many tokens takes, in bytes.
    pub fn memory_bytes_of(tokens: usize) -> usize {
        let masks = if tokens > TRIED_MAX { BYTES * tokens.div_ceil(64) * size_of::<u64>() } else { 0 };
        tokens * size_of::<Token>() + masks + size_of::<GlobSegment>()
    }

    /// Whether it matches `text`, which must have its length.
    #[inline]
    pub fn matches(&self, text: &[u8], classes: &[Class]) -> bool {
        match self {
            GlobSegment::Literal(bytes) => **bytes == *text,
            GlobSegment::Mixed { tokens, .. } => {
                tokens.iter().zip(text).all(|(token, &byte)| token.matches(byte, classes))
            }
        }
    }

    /// The end of its first match in `text`.
    #[inline]
    pub fn find(&self, text: &[u8], classes: &[Class]) -> Option<usize> {
        match self {
            GlobSegment::Literal(bytes) => memmem::find(text, bytes).map(|at| at + bytes.len()),
            GlobSegment::Mixed { tokens, masks } if masks.is_empty() => {
                let places = text.len().checked_sub(tokens.len())?;
                let fits = |at: &usize| self.matches(&text[*at..at + tokens.len()], classes);
                (0..=places).find(fits).map(|at| at + tokens.len())
            }
            GlobSegment::Mixed { tokens, masks } => shift_and(tokens.len(), masks, text),
        }
    }
}

fn masks(tokens: &[Token], classes: &[Class]) -> Box<[u64]> {
    let words = tokens.len().div_ceil(64);
    let mut masks = vec![0; BYTES * words];
    for (place, token) in tokens.iter().enumerate() {
        for byte in 0..=255 {
            if token.matches(byte, classes) {
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
