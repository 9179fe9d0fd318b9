//! A regex is compiled within its limits or refused, and every name that it matches contains the text that it needs.
//!
//! ```text
//!  flags │ length of the regex, 2 bytes │ regex … │ name …
//! ```

use super::Input;
use keytide_engine::filter::{Filter, FilterError, Pattern, Regex, Target, Whole};
use keytide_engine::limits::{FILTER_BYTES_MAX, REGEX_NFA_BYTES_MAX};
use keytide_engine::position::ShardId;

/// A regex has several automata, each with its own limit: one for each direction, one for captures, and the literals.
const AUTOMATA: usize = 4;

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let (flags, length) = (input.byte(), input.short());
    let times = [1, 1, 1, 2, 50, 3000, 1, 1][usize::from(flags & 7)];
    let text = input.take(length).repeat(times);
    let name = input.0;
    let regex = match Regex::new(&text) {
        Ok(regex) => regex,
        Err(error) => {
            let is_long = text.len() > FILTER_BYTES_MAX;
            assert_eq!(matches!(error, FilterError::TooLong { bytes } if bytes == text.len()), is_long);
            assert_eq!(error == FilterError::RegexNotText, !is_long && std::str::from_utf8(&text).is_err());
            assert!(!error.to_string().contains('\n'), "an error is one line: {error}");
            return;
        }
    };
    assert!(regex.memory_bytes() <= AUTOMATA * REGEX_NFA_BYTES_MAX, "{} bytes", regex.memory_bytes());
    let is_match = regex.matches(name);
    check_needs(&regex, name, is_match);
    // One string of each list in a row is a name that is likely to match.
    let likely: Vec<u8> = regex.needs().clauses.iter().filter_map(|clause| clause.first()).flatten().copied().collect();
    check_needs(&regex, &likely, regex.matches(&likely));
    let filter = Filter::new(Target::Type, Pattern::Regex(regex), false);
    assert_eq!(filter.matches(b"stream", name, ShardId(0)), is_match);
}

fn check_needs(regex: &Regex, name: &[u8], is_match: bool) {
    let needs = regex.needs();
    let contains = |text: &Vec<u8>| text.is_empty() || name.windows(text.len()).any(|part| part == text);
    let has_all = needs.clauses.iter().all(|clause| clause.iter().any(contains));
    assert!(has_all || !is_match, "{} {}: {needs:?}", regex.text(), name.escape_ascii());
    match &needs.whole {
        None => {}
        Some(Whole::Prefix(prefix)) => assert_eq!(is_match, name.starts_with(prefix), "{}", regex.text()),
        Some(Whole::Exact(exact)) => assert_eq!(is_match, name == &**exact, "{}", regex.text()),
    }
}
