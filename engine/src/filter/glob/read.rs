//! From the text of a pattern to segments, within the limits.

use super::class::{Class, Token};
use super::segment::Segment;
use super::{GlobError, Kind, Parts};
use crate::limits::{GLOB_BYTES_MAX, GLOB_COMPILED_BYTES_MAX, GLOB_SEGMENT_MAX};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// What a pattern is made of so far.
#[derive(Default)]
struct Reading {
    segments: Vec<Vec<Token>>,
    classes: Vec<Class>,
    known: HashMap<Class, u16, RandomState>,
}

impl Reading {
    /// The shortest token for a class: equal ones are kept once.
    fn token(&mut self, class: Class) -> Token {
        if class.is_full() {
            return Token::Any;
        }
        if let Some(byte) = class.single() {
            return Token::Byte(byte);
        }
        let next = self.classes.len() as u16;
        let place = *self.known.entry(class).or_insert(next);
        if place == next {
            self.classes.push(class);
        }
        Token::Class(place)
    }
}

// A class takes two bytes of a pattern at the least, so that their number fits a token.
const _: () = assert!(GLOB_BYTES_MAX / 2 <= u16::MAX as usize);

/// Compiles a pattern.
pub(super) fn read(pattern: &[u8]) -> Result<Kind, GlobError> {
    if pattern.len() > GLOB_BYTES_MAX {
        return Err(GlobError::TooLong { bytes: pattern.len() });
    }
    if pattern == b"*" {
        return Ok(Kind::All);
    }
    let mut reading = Reading { segments: vec![Vec::new()], ..Reading::default() };
    let mut after_run = false;
    let mut rest = pattern;
    while let [byte, after @ ..] = rest {
        rest = after;
        let token = match (byte, after) {
            (b'*', _) => {
                if !after_run {
                    reading.segments.push(Vec::new());
                }
                after_run = true;
                continue;
            }
            (b'?', _) => Token::Any,
            (b'[', _) => {
                let (class, after) = Class::read(after);
                rest = after;
                reading.token(class)
            }
            (b'\\', [escaped, after @ ..]) => {
                rest = after;
                Token::Byte(*escaped)
            }
            (byte, _) => Token::Byte(*byte),
        };
        after_run = false;
        if let Some(segment) = reading.segments.last_mut() {
            segment.push(token);
        }
    }
    finish(reading)
}

fn finish(reading: Reading) -> Result<Kind, GlobError> {
    let Reading { mut segments, classes, .. } = reading;
    let count = segments.len();
    let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
    let prefix: Box<[u8]> = segments[0].iter().map_while(byte).collect();
    segments[0].drain(..prefix.len());
    match &segments[..] {
        [only] if only.is_empty() => return Ok(Kind::Exact(prefix)),
        [first, last] if first.is_empty() && last.is_empty() && !prefix.is_empty() => return Ok(Kind::Prefix(prefix)),
        _ => {}
    }
    // Known before any memory is taken for it.
    let mut bytes = prefix.len() + size_of_val(&*classes);
    for (place, segment) in segments.iter().enumerate() {
        let is_searched = place > 0 && place + 1 < count;
        let is_mixed = segment.iter().any(|token| byte(token).is_none());
        if is_searched && is_mixed && segment.len() > GLOB_SEGMENT_MAX {
            return Err(GlobError::SegmentTooLong { elements: segment.len() });
        }
        bytes += match (is_mixed, is_searched) {
            (true, true) => Segment::memory_bytes_of(segment.len()),
            (true, false) => segment.len() * size_of::<Token>() + size_of::<Segment>(),
            (false, _) => segment.len() + size_of::<Segment>(),
        };
    }
    if bytes > GLOB_COMPILED_BYTES_MAX {
        return Err(GlobError::TooLarge);
    }
    let shortest = prefix.len() + segments.iter().map(Vec::len).sum::<usize>();
    let of = |(place, tokens): (usize, Vec<Token>)| Segment::new(tokens, place > 0 && place + 1 < count, &classes);
    let segments = segments.into_iter().enumerate().map(of).collect();
    Ok(Kind::Parts(Arc::new(Parts { prefix, segments, classes: classes.into(), shortest })))
}
