//! A glob matches as a simple implementation of Redis's rules does, its properties hold for every name that it matches,
//! and it stays within its limits.
//!
//! ```text
//!  flags │ length of the pattern, 2 bytes │ pattern … │ name …
//! ```

use super::Input;
use keytide_engine::filter::{Filter, Glob, GlobError, Pattern, Regex, Target};
use keytide_engine::limits::{GLOB_BYTES_MAX, GLOB_COMPILED_BYTES_MAX};
use keytide_engine::position::ShardId;

/// The most pairs of a place in the pattern and a place in the name for the simple implementation, and its longest
/// pattern, in bytes: a class may extend from any place to the end.
const SLOW_PLACES_MAX: usize = 1 << 17;
const SLOW_PATTERN_MAX: usize = 1 << 10;

/// The longest pattern whose regex is compared, in bytes: compiling a regex is slow.
const REGEX_PATTERN_MAX: usize = 48;

/// The memory of a compiled glob that its limit does not count, in bytes.
const FIXED_BYTES: usize = 512;

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let (flags, length) = (input.byte(), input.short());
    // Repeated patterns reach the limits.
    let times = [1, 1, 1, 2, 17, 300, 1025, 9000][usize::from(flags & 7)];
    let is_with_regex = flags & 8 != 0;
    let pattern = input.take(length).repeat(times);
    check_pattern(&pattern, input.0, is_with_regex);
}

fn check_pattern(pattern: &[u8], name: &[u8], is_with_regex: bool) {
    let glob = match Glob::new(pattern) {
        Ok(glob) => glob,
        Err(error) => {
            let is_long = pattern.len() > GLOB_BYTES_MAX;
            assert_eq!(matches!(error, GlobError::TooLong { bytes } if bytes == pattern.len()), is_long);
            assert!(Pattern::keys(pattern).is_err());
            return;
        }
    };
    assert!(pattern.len() <= GLOB_BYTES_MAX && glob.memory_bytes() <= GLOB_COMPILED_BYTES_MAX + FIXED_BYTES);
    let is_match = glob.matches(name);
    if pattern.len() <= SLOW_PATTERN_MAX && (pattern.len() + 1) * (name.len() + 1) <= SLOW_PLACES_MAX {
        assert_eq!(is_match, slow(pattern, name), "{} {}", pattern.escape_ascii(), name.escape_ascii());
    }
    check_knowledge(&glob, name, is_match);
    if is_with_regex && !name.is_empty() && pattern.len() <= REGEX_PATTERN_MAX {
        let regex = Regex::new(glob.to_regex().as_bytes()).expect("a short glob is a short regex");
        assert_eq!(regex.matches(name), is_match, "{}", regex.text());
    }
    check_keys(pattern, name, is_match);
}

/// The properties of a glob that all its names have.
fn check_knowledge(glob: &Glob, name: &[u8], is_match: bool) {
    let begins = name.starts_with(glob.prefix());
    if glob.is_all() {
        assert!(is_match && glob.prefix().is_empty());
    }
    if glob.is_prefix() {
        assert_eq!(is_match, begins);
    }
    if let Some(exact) = glob.exact() {
        assert_eq!(is_match, exact == name);
    }
    assert!(begins || !is_match);
    let contains = |literal: &Vec<u8>| name.windows(literal.len()).any(|part| part == literal);
    assert!(!is_match || glob.literals().iter().all(contains));
}

/// The same pattern as that of a group, which may select a shard.
fn check_keys(pattern: &[u8], name: &[u8], is_match: bool) {
    let Ok(keys) = Pattern::keys(pattern) else { return assert!(pattern.starts_with(b"shard:")) };
    let expected = match &keys {
        Pattern::Shard { shard, keys, .. } => {
            let rest = [b"shard:", shard.0.to_string().as_bytes(), b":"].concat().len();
            assert_eq!(*keys, Glob::new(&pattern[rest..]).expect("it is part of the pattern"));
            [is_match, is_match || keys.matches(name)]
        }
        _ => [is_match || pattern == b"stream:mutations"; 2],
    };
    let selected = if let Pattern::Shard { shard, .. } = keys { shard } else { ShardId(0) };
    let filter = Filter::new(Target::Stream, keys, false);
    let found = [ShardId(selected.0 ^ 1), selected].map(|shard| filter.matches(name, b"Set", shard));
    assert_eq!(found, expected);
}

/// Redis's rules: each place of the pattern against each place of the name, starting from their ends.
fn slow(pattern: &[u8], name: &[u8]) -> bool {
    if name.is_empty() {
        return pattern.is_empty() || pattern == b"*";
    }
    // Row `p`: whether the pattern from place `p` on matches the name from each place on.
    let mut rows: Vec<Vec<bool>> = vec![Vec::new(); pattern.len() + 1];
    rows[pattern.len()] = (0..=name.len()).map(|at| at == name.len()).collect();
    for place in (0..pattern.len()).rev() {
        let (token, next) = element(pattern, place);
        let mut row = vec![false; name.len() + 1];
        for at in (0..=name.len()).rev() {
            row[at] = match &token {
                None => rows[next][at] || at < name.len() && row[at + 1],
                Some(takes) => at < name.len() && takes(name[at]) && rows[next][at + 1],
            };
        }
        rows[place] = row;
    }
    rows[0][0]
}

/// Whether an element of a pattern takes a byte.
type Takes<'p> = Box<dyn Fn(u8) -> bool + 'p>;

/// The element at a place of the pattern, none for `*`, and the place after it.
fn element(pattern: &[u8], place: usize) -> (Option<Takes<'_>>, usize) {
    let next = place + 1;
    match pattern[place] {
        b'*' => (None, next),
        b'?' => (Some(Box::new(|_| true)), next),
        b'[' => {
            let (is_negated, first) = if pattern.get(next) == Some(&b'^') { (true, next + 1) } else { (false, next) };
            let mut at = first;
            let mut ranges = Vec::new();
            loop {
                let rest = &pattern[at..];
                if rest.len() >= 2 && rest[0] == b'\\' {
                    ranges.push((rest[1], rest[1]));
                    at += 2;
                } else if rest.is_empty() || rest[0] == b']' {
                    break;
                } else if rest.len() >= 3 && rest[1] == b'-' {
                    ranges.push((rest[0].min(rest[2]), rest[0].max(rest[2])));
                    at += 3;
                } else {
                    ranges.push((rest[0], rest[0]));
                    at += 1;
                }
            }
            let is_in = move |byte| ranges.iter().any(|(from, to)| (*from..=*to).contains(&byte));
            (Some(Box::new(move |byte| is_in(byte) != is_negated)), pattern.len().min(at + 1))
        }
        b'\\' if next < pattern.len() => (Some(Box::new(move |byte| byte == pattern[next])), next + 1),
        literal => (Some(Box::new(move |byte| byte == literal)), next),
    }
}
