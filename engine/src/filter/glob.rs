//! Redis's glob patterns on bytes: `*` matches any run, `?` any byte, `[a-c]` and `[^a-c]` one byte, and `\` makes the
//! next byte literal.
//!
//! As in Redis, an unclosed class extends to the end of the pattern, `]` right after `[` closes it, a range may be
//! reversed and may end in `]`, a `\` at the end of the pattern stands for itself, and only `*` and the empty pattern
//! match the empty name.
//!
//! A pattern is a row of *segments* separated by `*`. The first segment has to begin the name and the last to end it;
//! each other one is matched at its first occurrence behind the previous one, because a later one would leave less for
//! those that follow. So there is no backtracking: the time is linear in the length of the name.
//!
//! | module | what is in it |
//! |---|---|
//! | `class` | one element of a pattern |
//! | `segment` | the elements between two `*`, and the search for them |
//! | `read` | the parser, with the limits |

mod class;
mod read;
mod segment;
#[cfg(test)]
mod tests;

use crate::limits::{GLOB_BYTES_MAX, GLOB_COMPILED_BYTES_MAX, GLOB_SEGMENT_MAX};
use class::{Class, Token};
use segment::GlobSegment;
use std::fmt::Write;
use std::sync::Arc;
use thiserror::Error;

/// A glob, compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(GlobKind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum GlobKind {
    All,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    /// In an `Arc`, because each shard's matcher keeps several copies of a pattern.
    Segmented(Arc<SegmentedGlob>),
}

/// A pattern that needs more than a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SegmentedGlob {
    /// The literal prefix.
    prefix: Box<[u8]>,
    /// The rest, split at each `*`.
    segments: Box<[GlobSegment]>,
    classes: Box<[Class]>,
    /// The length of the shortest name that matches, in bytes.
    shortest: usize,
}

/// Why a pattern is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GlobError {
    /// Longer than [`GLOB_BYTES_MAX`].
    #[error("pattern of {bytes} bytes exceeds the limit of {GLOB_BYTES_MAX} bytes")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// More than [`GLOB_SEGMENT_MAX`] elements, `?` or classes among them, between two `*`.
    #[error(
        "pattern has {elements} elements between two '*', the limit with '?' or '[]' among them is {GLOB_SEGMENT_MAX}"
    )]
    SegmentTooLong {
        /// Their number.
        elements: usize,
    },
    /// The compiled pattern takes more memory than [`GLOB_COMPILED_BYTES_MAX`].
    #[error("pattern takes more than the limit of {GLOB_COMPILED_BYTES_MAX} bytes when compiled")]
    TooLarge,
}

/// The most literals that [`Glob::literals`] returns, and the most bytes of each.
const LITERALS_MAX: usize = 8;
const LITERAL_BYTES_MAX: usize = 16;

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// If it is too long, or takes too much memory or time. There is no other: every sequence of bytes is a pattern.
    pub fn new(pattern: &[u8]) -> Result<Glob, GlobError> {
        read::read(pattern).map(Glob)
    }

    /// Whether `name` matches. Takes at most about 16 steps per byte of the name, whatever the pattern.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match &self.0 {
            GlobKind::All => true,
            GlobKind::Exact(exact) => **exact == *name,
            GlobKind::Prefix(prefix) => name.starts_with(prefix),
            GlobKind::Segmented(parts) => !name.is_empty() && parts.matches(name),
        }
    }

    /// Whether it matches everything.
    pub fn is_all(&self) -> bool {
        self.0 == GlobKind::All
    }

    /// A literal prefix of every match; for an exact pattern, the name itself.
    pub fn prefix(&self) -> &[u8] {
        match &self.0 {
            GlobKind::All => b"",
            GlobKind::Exact(bytes) | GlobKind::Prefix(bytes) => bytes,
            GlobKind::Segmented(parts) => &parts.prefix,
        }
    }

    /// Whether it matches exactly the names that begin with [`Glob::prefix`].
    pub fn is_prefix(&self) -> bool {
        matches!(self.0, GlobKind::Prefix(_))
    }

    /// Whether matching takes more than a comparison.
    pub fn is_searched(&self) -> bool {
        matches!(self.0, GlobKind::Segmented(_))
    }

    /// The only matching name, if there is only one.
    pub fn exact(&self) -> Option<&[u8]> {
        match &self.0 {
            GlobKind::Exact(bytes) => Some(bytes),
            GlobKind::All | GlobKind::Prefix(_) | GlobKind::Segmented(_) => None,
        }
    }

    /// Its heap memory in bytes.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            GlobKind::All => 0,
            GlobKind::Exact(bytes) | GlobKind::Prefix(bytes) => bytes.len(),
            GlobKind::Segmented(parts) => {
                let segments: usize = parts.segments.iter().map(GlobSegment::memory_bytes).sum();
                let tables = size_of_val(&*parts.segments) + size_of_val(&*parts.classes);
                size_of::<SegmentedGlob>() + parts.prefix.len() + tables + segments
            }
        }
    }

    /// Literals that every matching name contains: the ends of the longest few.
    pub fn literals(&self) -> Vec<Vec<u8>> {
        let mut runs: Vec<Vec<u8>> = vec![Vec::new()];
        for part in self.parts() {
            match (part, runs.last_mut()) {
                (GlobElement::One(Token::Byte(byte)), Some(run)) => {
                    // Cut seldom, so that a long literal is not moved with each byte.
                    if run.len() == 2 * LITERAL_BYTES_MAX {
                        cut_front(run);
                    }
                    run.push(byte);
                }
                // An empty run is reused for the next literal.
                (_, Some(run)) if run.is_empty() => {}
                _ => {
                    keep_longest(&mut runs);
                    runs.push(Vec::new());
                }
            }
        }
        runs.retain(|run| !run.is_empty());
        keep_longest(&mut runs);
        runs.iter_mut().for_each(cut_front);
        runs
    }

    /// A regex on bytes that matches the same names, except for the empty one.
    pub fn to_regex(&self) -> String {
        let mut regex = String::from(r"(?s-u)\A");
        for part in self.parts() {
            // Writing to a string never fails.
            let _ = match part {
                GlobElement::Run => regex.write_str(".*"),
                GlobElement::One(Token::Any) => regex.write_char('.'),
                GlobElement::One(Token::Byte(byte)) => write!(regex, r"\x{byte:02X}"),
                GlobElement::One(Token::Class(place)) => write_class(&mut regex, &self.classes()[usize::from(place)]),
            };
        }
        regex + r"\z"
    }

    fn classes(&self) -> &[Class] {
        if let GlobKind::Segmented(parts) = &self.0 { &parts.classes } else { &[] }
    }

    /// The elements in order.
    fn parts(&self) -> impl Iterator<Item = GlobElement> {
        let segments: &[GlobSegment] = if let GlobKind::Segmented(parts) = &self.0 { &parts.segments } else { &[] };
        let runs_on = matches!(self.0, GlobKind::All | GlobKind::Prefix(_));
        let prefix = self.prefix().iter().map(|&byte| GlobElement::One(Token::Byte(byte)));
        let segments = segments.iter().enumerate().flat_map(|(place, segment)| {
            let run = (place > 0).then_some(GlobElement::Run);
            run.into_iter().chain(segment.tokens().map(GlobElement::One))
        });
        prefix.chain(segments).chain(runs_on.then_some(GlobElement::Run))
    }
}

/// An element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GlobElement {
    /// Any run of bytes.
    Run,
    /// One byte.
    One(Token),
}

/// Leaves the last [`LITERAL_BYTES_MAX`] bytes.
fn cut_front(run: &mut Vec<u8>) {
    run.drain(..run.len().saturating_sub(LITERAL_BYTES_MAX));
}

/// Drops the shortest when there are too many.
fn keep_longest(runs: &mut Vec<Vec<u8>>) {
    if runs.len() > LITERALS_MAX
        && let Some(shortest) = (0..runs.len()).min_by_key(|&place| runs[place].len())
    {
        runs.remove(shortest);
    }
}

fn write_class(regex: &mut String, class: &Class) -> std::fmt::Result {
    let ranges = class.ranges();
    if ranges.is_empty() {
        return regex.write_str(r"[^\x00-\xFF]");
    }
    regex.write_char('[')?;
    ranges.iter().try_for_each(|(first, last)| write!(regex, r"\x{first:02X}-\x{last:02X}"))?;
    regex.write_char(']')
}

impl SegmentedGlob {
    fn matches(&self, name: &[u8]) -> bool {
        let Some(rest) = name.strip_prefix(&*self.prefix).filter(|_| name.len() >= self.shortest) else { return false };
        let classes = &*self.classes;
        match &*self.segments {
            [] => rest.is_empty(),
            [only] => rest.len() == only.len() && only.matches(rest, classes),
            [first, middle @ .., last] => {
                // All segments together are no longer than the name.
                let (beginning, rest) = rest.split_at(first.len());
                let (mut rest, end) = rest.split_at(rest.len() - last.len());
                first.matches(beginning, classes)
                    && last.matches(end, classes)
                    && middle.iter().all(|segment| {
                        let found = segment.find(rest, classes);
                        rest = &rest[found.unwrap_or(0)..];
                        found.is_some()
                    })
            }
        }
    }
}
