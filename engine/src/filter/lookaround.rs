//! Regexes with look-around, which automata cannot have.
//!
//! Nearly all of them say which names are *not* wanted: `^(?!(\$.+$|Result$))`. What follows the look-ahead is an ordinary
//! regex, so such a pattern is that regex, negated. All others are matched by backtracking, with a bound on its steps; only
//! readers of the history do that, for whom nobody waits.

use super::pattern::{FilterError, Regex, bounded};
use crate::limits::LOOKAROUND_STEPS_MAX;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A regex that is matched by backtracking.
#[derive(Clone)]
pub struct Lookaround {
    text: Arc<str>,
    regex: Arc<fancy_regex::Regex>,
}

impl Lookaround {
    /// Compiles `text`.
    ///
    /// # Errors
    /// If it is too long, not UTF-8, or invalid.
    pub fn new(text: &[u8]) -> Result<Lookaround, FilterError> {
        bounded(text.len())?;
        let text = std::str::from_utf8(text).map_err(|_| FilterError::RegexNotText)?;
        let regex = fancy_regex::RegexBuilder::new(text)
            .backtrack_limit(LOOKAROUND_STEPS_MAX)
            .build()
            .map_err(|error| FilterError::RegexSyntax(error.to_string().replace('\n', " ")))?;
        Ok(Lookaround { text: text.into(), regex: Arc::new(regex) })
    }

    /// The text as the client wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it matches anywhere in `name`, whose bytes that are no UTF-8 are replaced. A name that takes more steps than
    /// [`LOOKAROUND_STEPS_MAX`] does not.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.regex.is_match(&String::from_utf8_lossy(name)).unwrap_or(false)
    }
}

impl PartialEq for Lookaround {
    fn eq(&self, other: &Lookaround) -> bool {
        self.text == other.text
    }
}

impl Eq for Lookaround {}

impl Hash for Lookaround {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Lookaround {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lookaround({:?})", self.text)
    }
}

/// The regex that must not match, of a text that says nothing else: `^(?!…)`, maybe with `.*` or `.*$` behind it.
pub(super) fn negated(text: &[u8]) -> Option<Result<Regex, FilterError>> {
    let body = text.strip_prefix(b"^(?!")?;
    let end = closing_parenthesis(body)?;
    let rest = &body[end + 1..];
    if !matches!(rest, b"" | b".*" | b".*$") {
        return None;
    }
    let regex = Regex::new(&[b"^(?:", &body[..end], b")"].concat());
    // What it contains may itself have look-around.
    regex.is_ok().then_some(regex)
}

/// The place of the parenthesis that closes one which is open before `text`.
fn closing_parenthesis(text: &[u8]) -> Option<usize> {
    let (mut depth, mut in_class, mut at) = (0, false, 0);
    while at < text.len() {
        match text[at] {
            b'\\' => at += 1,
            b'[' if !in_class => {
                in_class = true;
                // A bracket that comes first is one of the class.
                at += usize::from(text.get(at + 1) == Some(&b'^'));
                at += usize::from(text.get(at + 1) == Some(&b']'));
            }
            b']' if in_class => in_class = false,
            b'(' if !in_class => depth += 1,
            b')' if !in_class && depth == 0 => return Some(at),
            b')' if !in_class => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;

    fn matches(regex: &str, name: &str) -> bool {
        Pattern::regex_with_lookaround(regex.as_bytes()).unwrap().matches_name(name.as_bytes())
    }

    #[test]
    fn what_excludes_names_is_an_ordinary_regex_negated() {
        let negated = |regex: &str| matches!(Pattern::regex_with_lookaround(regex.as_bytes()), Ok(Pattern::Not(_)));
        for regex in [r"^(?!(\$.+$|PersistentConfig\d+$|Result$))", "^(?!a)", "^(?!a|[)(]b).*", r"^(?!\)).*$"] {
            assert!(negated(regex), "{regex}");
        }
        for regex in ["^(?!a)b", "^(?!a)(?!b)", "(?!a)", "^(?!(?=a))", "^a"] {
            assert!(!negated(regex), "{regex}");
        }
        let system = r"^(?!(\$.+$|Result$))";
        for (name, passes) in
            [("$a", false), ("$", true), ("Result", false), ("Results", true), ("", true), ("a$b", true)]
        {
            assert_eq!(matches(system, name), passes, "{name}");
        }
    }

    #[test]
    fn other_look_around_is_matched_within_bounds() {
        assert!(matches("^(?!a)b", "b") && !matches("^(?!a)b", "ab"));
        assert!(matches("(?<=user-)7", "user-7") && !matches("(?<=user-)7", "order-7"));
        // It would take longer than the universe lasts.
        assert!(!matches("^(?=(a+)+$)", &format!("{}b", "a".repeat(60))));
        assert!(Pattern::regex_with_lookaround(b"(?!a").is_err() && Pattern::regex_with_lookaround(b"(").is_err());
    }
}
