//! Redis's glob patterns on bytes: `*` any run, `?` any byte, `[a-c]` and `[^a-c]` one byte, `\` takes the next byte as
//! it is.
//!
//! As in Redis, a class that is not closed ends with the pattern, `]` right after `[` closes, a range may be given
//! backwards and may end in `]`, a `\` that ends the pattern stands for itself, and the empty name is matched by `*` and
//! by the empty pattern only.
//!
//! A pattern is a row of *segments* with a `*` between each two. The first segment begins the name, the last ends it, and
//! each of the others is where it is found first behind the one before: a later place would leave less for those that
//! follow. So nothing is tried twice, and the time for a name grows with its length alone.
//!
//! | module | what is in it |
//! |---|---|
//! | `class` | one element of a pattern |
//! | `segment` | the elements between two `*`, and how they are found |
//! | `read` | from the text to segments, within the limits |

mod class;
mod read;
mod segment;
#[cfg(test)]
mod tests;

use crate::limits::{GLOB_BYTES_MAX, GLOB_COMPILED_BYTES_MAX, GLOB_SEGMENT_MAX};
use class::{Class, Token};
use segment::Segment;
use std::fmt::Write;
use std::sync::Arc;
use thiserror::Error;

/// A glob, compiled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(Kind);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    All,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    /// Shared, for the matcher of each shard keeps several copies of a pattern.
    Parts(Arc<Parts>),
}

/// A pattern that takes more than a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Parts {
    /// The literal bytes that it begins with.
    prefix: Box<[u8]>,
    /// What follows them, with a `*` between each two segments.
    segments: Box<[Segment]>,
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
        /// How long it is, in bytes.
        bytes: usize,
    },
    /// More than [`GLOB_SEGMENT_MAX`] elements, `?` or classes among them, between two `*`.
    #[error(
        "pattern has {elements} elements between two '*', the limit with '?' or '[]' among them is {GLOB_SEGMENT_MAX}"
    )]
    SegmentTooLong {
        /// How many there are.
        elements: usize,
    },
    /// Compiled, the pattern takes more memory than [`GLOB_COMPILED_BYTES_MAX`].
    #[error("pattern takes more than the limit of {GLOB_COMPILED_BYTES_MAX} bytes when compiled")]
    TooLarge,
}

/// How many literals [`Glob::literals`] tells, and how many bytes of each, at the most.
const LITERALS_MAX: usize = 8;
const LITERAL_BYTES_MAX: usize = 16;

impl Glob {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// When it is too long, or takes too much memory or time. There is no other: every sequence of bytes is a pattern.
    pub fn new(pattern: &[u8]) -> Result<Glob, GlobError> {
        read::read(pattern).map(Glob)
    }

    /// Whether `name` matches. Takes at most some 16 steps for each byte of the name, whatever the pattern.
    #[inline]
    pub fn matches(&self, name: &[u8]) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Exact(exact) => **exact == *name,
            Kind::Prefix(prefix) => name.starts_with(prefix),
            Kind::Parts(parts) => !name.is_empty() && parts.matches(name),
        }
    }

    /// Whether it matches everything.
    pub fn is_all(&self) -> bool {
        self.0 == Kind::All
    }

    /// The bytes that every match begins with; the one match itself where there is only one.
    pub fn prefix(&self) -> &[u8] {
        match &self.0 {
            Kind::All => b"",
            Kind::Exact(bytes) | Kind::Prefix(bytes) => bytes,
            Kind::Parts(parts) => &parts.prefix,
        }
    }

    /// Whether it matches exactly what begins with [`Glob::prefix`].
    pub fn is_prefix(&self) -> bool {
        matches!(self.0, Kind::Prefix(_))
    }

    /// Whether a name is more than compared with it.
    pub fn is_searched(&self) -> bool {
        matches!(self.0, Kind::Parts(_))
    }

    /// The one name that matches, if there is only one.
    pub fn exact(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Exact(bytes) => Some(bytes),
            Kind::All | Kind::Prefix(_) | Kind::Parts(_) => None,
        }
    }

    /// The memory that it takes beside itself, in bytes.
    pub fn memory_bytes(&self) -> usize {
        match &self.0 {
            Kind::All => 0,
            Kind::Exact(bytes) | Kind::Prefix(bytes) => bytes.len(),
            Kind::Parts(parts) => {
                let segments: usize = parts.segments.iter().map(Segment::memory_bytes).sum();
                let tables = size_of_val(&*parts.segments) + size_of_val(&*parts.classes);
                size_of::<Parts>() + parts.prefix.len() + tables + segments
            }
        }
    }

    /// Literal bytes, each of which are in every name that matches: the ends of the longest few.
    pub fn literals(&self) -> Vec<Vec<u8>> {
        let mut runs: Vec<Vec<u8>> = vec![Vec::new()];
        for part in self.parts() {
            match (part, runs.last_mut()) {
                (Part::One(Token::Byte(byte)), Some(run)) => {
                    if run.len() == LITERAL_BYTES_MAX {
                        run.remove(0);
                    }
                    run.push(byte);
                }
                // What is empty serves the next one.
                (_, Some(run)) if run.is_empty() => {}
                _ => {
                    keep_longest(&mut runs);
                    runs.push(Vec::new());
                }
            }
        }
        runs.retain(|run| !run.is_empty());
        keep_longest(&mut runs);
        runs
    }

    /// The same as an anchored regex on bytes, but for the empty name.
    pub fn to_regex(&self) -> String {
        let mut regex = String::from(r"(?s-u)\A");
        for part in self.parts() {
            // Writing to a string never fails.
            let _ = match part {
                Part::Run => regex.write_str(".*"),
                Part::One(Token::Any) => regex.write_char('.'),
                Part::One(Token::Byte(byte)) => write!(regex, r"\x{byte:02X}"),
                Part::One(Token::Class(place)) => write_class(&mut regex, &self.classes()[usize::from(place)]),
            };
        }
        regex + r"\z"
    }

    fn classes(&self) -> &[Class] {
        if let Kind::Parts(parts) = &self.0 { &parts.classes } else { &[] }
    }

    /// The elements in their order.
    fn parts(&self) -> impl Iterator<Item = Part> {
        let segments: &[Segment] = if let Kind::Parts(parts) = &self.0 { &parts.segments } else { &[] };
        let runs_on = matches!(self.0, Kind::All | Kind::Prefix(_));
        let prefix = self.prefix().iter().map(|&byte| Part::One(Token::Byte(byte)));
        let segments = segments.iter().enumerate().flat_map(|(place, segment)| {
            let run = (place > 0).then_some(Part::Run);
            run.into_iter().chain(segment.tokens().map(Part::One))
        });
        prefix.chain(segments).chain(runs_on.then_some(Part::Run))
    }
}

/// An element of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Any run of bytes.
    Run,
    /// One byte.
    One(Token),
}

/// Where there are more than may be kept, the shortest goes.
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

impl Parts {
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
