//! Parses a pattern into segments, within the limits.

use super::class::{Class, Token};
use super::segment::GlobSegment;
use super::{GlobError, GlobKind, SegmentedGlob};
use crate::limits::{GLOB_BYTES_MAX, GLOB_COMPILED_BYTES_MAX, GLOB_SEGMENT_MAX};
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::Arc;

/// The pattern parsed so far.
#[derive(Default)]
struct PatternParser {
    segments: Vec<Vec<Token>>,
    classes: Vec<Class>,
    class_indexes: HashMap<Class, u16, RandomState>,
}

impl PatternParser {
    /// The simplest token for a class; equal classes share one.
    fn token(&mut self, class: Class) -> Token {
        if class.is_full() {
            return Token::Any;
        }
        if let Some(byte) = class.single() {
            return Token::Byte(byte);
        }
        let next = self.classes.len() as u16;
        let place = *self.class_indexes.entry(class).or_insert(next);
        if place == next {
            self.classes.push(class);
        }
        Token::Class(place)
    }
}

// A class takes at least two bytes of a pattern, so its index fits a token.
const _: () = assert!(GLOB_BYTES_MAX / 2 <= u16::MAX as usize);

/// Compiles a pattern.
pub(super) fn read(pattern: &[u8]) -> Result<GlobKind, GlobError> {
    if pattern.len() > GLOB_BYTES_MAX {
        return Err(GlobError::TooLong { bytes: pattern.len() });
    }
    if pattern == b"*" {
        return Ok(GlobKind::All);
    }
    let mut parser = PatternParser { segments: vec![Vec::new()], ..PatternParser::default() };
    let mut after_run = false;
    let mut rest = pattern;
    while let [byte, after @ ..] = rest {
        rest = after;
        let token = match (byte, after) {
            (b'*', _) => {
                if !after_run {
                    parser.segments.push(Vec::new());
                }
                after_run = true;
                continue;
            }
            (b'?', _) => Token::Any,
            (b'[', _) => {
                let (class, after) = Class::read(after);
                rest = after;
                parser.token(class)
            }
            (b'\\', [escaped, after @ ..]) => {
                rest = after;
                Token::Byte(*escaped)
            }
            (byte, _) => Token::Byte(*byte),
        };
        after_run = false;
        if let Some(segment) = parser.segments.last_mut() {
            segment.push(token);
        }
    }
    finish(parser)
}

fn finish(parser: PatternParser) -> Result<GlobKind, GlobError> {
    let PatternParser { mut segments, classes, .. } = parser;
    let count = segments.len();
    let byte = |token: &Token| if let Token::Byte(byte) = token { Some(*byte) } else { None };
    let prefix: Box<[u8]> = segments[0].iter().map_while(byte).collect();
    segments[0].drain(..prefix.len());
    match &segments[..] {
        [only] if only.is_empty() => return Ok(GlobKind::Exact(prefix)),
        [first, last] if first.is_empty() && last.is_empty() && !prefix.is_empty() => {
            return Ok(GlobKind::Prefix(prefix));
        }
        _ => {}
    }
    // Checked before the memory is allocated.
    let mut bytes = prefix.len() + size_of_val(&*classes);
    for (place, segment) in segments.iter().enumerate() {
        let is_searched = place > 0 && place + 1 < count;
        let is_mixed = segment.iter().any(|token| byte(token).is_none());
        if is_searched && is_mixed && segment.len() > GLOB_SEGMENT_MAX {
            return Err(GlobError::SegmentTooLong { elements: segment.len() });
        }
        bytes += match (is_mixed, is_searched) {
            (true, true) => GlobSegment::memory_bytes_of(segment.len()),
            (true, false) => segment.len() * size_of::<Token>() + size_of::<GlobSegment>(),
            (false, _) => segment.len() + size_of::<GlobSegment>(),
        };
    }
    if bytes > GLOB_COMPILED_BYTES_MAX {
        return Err(GlobError::TooLarge);
    }
    let shortest = prefix.len() + segments.iter().map(Vec::len).sum::<usize>();
    let of = |(place, tokens): (usize, Vec<Token>)| GlobSegment::new(tokens, place > 0 && place + 1 < count, &classes);
    let segments = segments.into_iter().enumerate().map(of).collect();
    Ok(GlobKind::Segmented(Arc::new(SegmentedGlob { prefix, segments, classes: classes.into(), shortest })))
}
