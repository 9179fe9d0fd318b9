//! Globs against Redis's own rules, and their limits.

use super::*;
use crate::filter::Regex;
use proptest::prelude::*;

fn glob(pattern: &[u8]) -> Glob {
    Glob::new(pattern).unwrap()
}

fn matches(pattern: &str, name: &str) -> bool {
    glob(pattern.as_bytes()).matches(name.as_bytes())
}

/// Redis's `stringmatchlen`, statement by statement, regardless of time. The end of the pattern reads as a byte 0, like
/// the terminator of a C string.
fn redis(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (pattern, name);
    let at = |pattern: &[u8], place: usize| pattern.get(place).copied().unwrap_or(0);
    while !pattern.is_empty() && !name.is_empty() {
        match pattern[0] {
            b'*' => {
                while at(pattern, 1) == b'*' {
                    pattern = &pattern[1..];
                }
                return pattern.len() == 1 || (0..name.len()).any(|skip| redis(&pattern[1..], &name[skip..]));
            }
            b'?' => name = &name[1..],
            b'[' => {
                pattern = &pattern[1..];
                let negated = at(pattern, 0) == b'^';
                if negated {
                    pattern = &pattern[1..];
                }
                let mut is_in = false;
                loop {
                    if pattern.len() >= 2 && pattern[0] == b'\\' {
                        pattern = &pattern[1..];
                        is_in |= pattern[0] == name[0];
                    } else if at(pattern, 0) == b']' || pattern.is_empty() {
                        break;
                    } else if pattern.len() >= 3 && pattern[1] == b'-' {
                        let (from, to) = (pattern[0].min(pattern[2]), pattern[0].max(pattern[2]));
                        pattern = &pattern[2..];
                        is_in |= (from..=to).contains(&name[0]);
                    } else {
                        is_in |= pattern[0] == name[0];
                    }
                    pattern = &pattern[1..];
                }
                if is_in == negated {
                    return false;
                }
                name = &name[1..];
            }
            _ => {
                if pattern[0] == b'\\' && pattern.len() >= 2 {
                    pattern = &pattern[1..];
                }
                if pattern[0] != name[0] {
                    return false;
                }
                name = &name[1..];
            }
        }
        pattern = pattern.get(1..).unwrap_or(&[]);
        if name.is_empty() {
            while at(pattern, 0) == b'*' {
                pattern = &pattern[1..];
            }
            break;
        }
    }
    pattern.is_empty() && name.is_empty()
}

#[test]
fn the_usual_patterns_take_the_short_ways() {
    assert_eq!(glob(b"*").0, GlobKind::All);
    assert_eq!(glob(b"user:1").0, GlobKind::Exact(b"user:1".as_slice().into()));
    assert_eq!(glob(b"user:\\*").0, GlobKind::Exact(b"user:*".as_slice().into()));
    assert_eq!(glob(b"user:**").0, GlobKind::Prefix(b"user:".as_slice().into()));
    assert_eq!(glob(b"[u]se[\\r]*").0, GlobKind::Prefix(b"user".as_slice().into()));
}

#[test]
fn each_special_byte_matches_what_it_stands_for() {
    for (pattern, name) in [
        ("h?llo", "hello"),
        ("h*llo", "hllo"),
        ("h*llo", "heeello"),
        ("h[ae]llo", "hallo"),
        ("h[^e]llo", "hbllo"),
        ("h[a-b]llo", "hbllo"),
        ("h[b-a]llo", "hallo"),
        ("\\[a]", "[a]"),
        ("[\\]]", "]"),
        ("a\\", "a\\"),
        ("*a*b*c", "xaybzc"),
        ("*ab", "aab"),
    ] {
        assert!(matches(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in
        [("h?llo", "hllo"), ("h[^e]llo", "hello"), ("h[a-b]llo", "hcllo"), ("a*b", "abc"), ("", "a"), ("[]a]", "a")]
    {
        assert!(!matches(pattern, name), "{pattern} {name}");
    }
}

#[test]
fn an_open_class_ends_with_the_pattern() {
    assert!(matches("[abc", "b") && !matches("[abc", "[abc") && !matches("[", "["));
    assert!(matches("[^", "x") && matches("[a-", "-") && matches("[a-]", "^") && matches("[\\", "\\"));
}

#[test]
fn the_empty_name_is_matched_by_star_and_the_empty_pattern_only() {
    assert!(matches("*", "") && matches("", "") && !matches("**", "") && !matches("?", ""));
}

/// Backtracking would take a lifetime for any of these, and trying each position would take minutes.
#[test]
fn no_pattern_takes_long() {
    let name = "a".repeat(1 << 20);
    for pattern in [
        "a*".repeat(20_000) + "b",
        format!("*{}b", "a".repeat(60_000)),
        format!("*{}b*", "a".repeat(60_000)),
        format!("*{}b*", "a?".repeat(GLOB_SEGMENT_MAX / 2 - 1)),
        "*?a".repeat(10_000) + "*b*",
        format!("*{}*b*", "[ab][ac]".repeat(8)),
    ] {
        assert!(!matches(&pattern, &name), "{}", &pattern[..8]);
    }
}

#[test]
fn a_pattern_has_its_bounds() {
    assert!(Glob::new(&[b'a'; GLOB_BYTES_MAX]).is_ok());
    let long = GLOB_BYTES_MAX + 1;
    assert_eq!(Glob::new(&vec![b'a'; long]), Err(GlobError::TooLong { bytes: long }));
    let between = |elements: usize| Glob::new(format!("*a{}*", "?".repeat(elements - 1)).as_bytes());
    assert!(between(GLOB_SEGMENT_MAX).is_ok_and(|glob| glob.matches(&[b'a'; GLOB_SEGMENT_MAX])));
    assert_eq!(between(GLOB_SEGMENT_MAX + 1), Err(GlobError::SegmentTooLong { elements: GLOB_SEGMENT_MAX + 1 }));
    // The first and the last segment are not searched for, and literals are found whatever their length.
    assert!(Glob::new("?a".repeat(20_000).as_bytes()).is_ok());
    assert!(Glob::new(format!("*{}*", "a".repeat(60_000)).as_bytes()).is_ok());
    let many = Glob::new(format!("{}*", "*?2345678901234567".repeat(3_000)).as_bytes());
    assert_eq!(many.err(), Some(GlobError::TooLarge));
}

#[test]
fn a_compiled_pattern_takes_no_more_memory_than_it_may() {
    let mut classes = Vec::new();
    for n in 0..8_000_u32 {
        let [_, _, high, low] = n.to_be_bytes();
        classes.extend([b'[', high | 128, low | 128, b'a', b'z' - (low & 1), b']', b'*']);
    }
    for pattern in [&classes[..], &b"?*".repeat(20_000), &b"?[ab]".repeat(12_000), &b"*?2345678901234567".repeat(450)] {
        let bytes = glob(pattern).memory_bytes();
        assert!(bytes <= GLOB_COMPILED_BYTES_MAX + 4096, "{bytes}");
    }
    let usual = glob(b"?[ab]".repeat(12_000).as_slice()).memory_bytes();
    assert!(usual < 128 << 10, "{usual}");
}

fn patterns(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let special = prop_oneof![
        3 => Just(b"*".to_vec()),
        2 => Just(b"?".to_vec()),
        1 => Just(b"[".to_vec()),
        1 => Just(b"]".to_vec()),
        1 => Just(b"^".to_vec()),
        1 => Just(b"-".to_vec()),
        1 => Just(b"\\".to_vec()),
        1 => Just(b"[ab]".to_vec()),
        1 => Just(b"[^a]".to_vec()),
        1 => Just(b"[a-c]".to_vec()),
        1 => Just(b"\n".to_vec()),
    ];
    let literal = prop_oneof![8 => b'a'..=b'c', 1 => any::<u8>()].prop_map(|byte| vec![byte]);
    proptest::collection::vec(prop_oneof![4 => special, 4 => literal], 0..count).prop_map(|parts| parts.concat())
}

fn names(count: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![12 => b'a'..=b'c', 1 => Just(b'-'), 1 => Just(b']'), 1 => Just(b'\n'), 1 => any::<u8>()];
    proptest::collection::vec(byte, 1..count)
}

proptest! {
    #[test]
    fn the_regex_of_a_glob_matches_what_the_glob_does(pattern in patterns(10), name in names(12)) {
        let glob = glob(&pattern);
        let regex = Regex::new(glob.to_regex().as_bytes()).expect("a regex");
        prop_assert_eq!(regex.matches(&name), glob.matches(&name));
        for literal in glob.literals() {
            prop_assert!(!glob.matches(&name) || memchr::memmem::find(&name, &literal).is_some());
        }
        prop_assert!(!glob.matches(&name) || name.starts_with(glob.prefix()));
    }

    #[test]
    fn a_name_matches_as_in_redis(pattern in patterns(12), name in names(14)) {
        prop_assert_eq!(glob(&pattern).matches(&name), redis(&pattern, &name));
    }

    /// Segments that are searched for word by word, in a name that contains them, or nearly.
    #[test]
    fn a_long_segment_is_found_as_in_redis(
        shape in proptest::collection::vec((0..4, b'a'..=b'b'), 17..150),
        before in proptest::collection::vec(b'a'..=b'b', 0..150),
        after in proptest::collection::vec(b'a'..=b'b', 0..10),
        wrong in proptest::option::of(0..150_usize),
        second in "[ab]{0,3}",
    ) {
        let mut pattern = b"*".to_vec();
        let mut name = before;
        for (kind, byte) in &shape {
            name.push(*byte);
            match kind {
                0 => pattern.push(b'?'),
                1 => pattern.extend([b'[', *byte, b'x', b']']),
                _ => pattern.push(*byte),
            }
        }
        if let Some(wrong) = wrong.filter(|wrong| *wrong < name.len()) {
            name[wrong] = b'y';
        }
        pattern.push(b'*');
        pattern.extend(second.as_bytes());
        name.extend(after);
        prop_assert_eq!(glob(&pattern).matches(&name), redis(&pattern, &name));
    }
}
