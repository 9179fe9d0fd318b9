//! Rules in words: what is wrong with one, and selectors that are spread over several words.

use crate::limits::PASSWORD_BYTES_MAX;
use keytide_engine::filter::GlobError;
use thiserror::Error;

/// What is wrong with a rule. The texts are redis-server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// No command or category has this name.
    #[error("Unknown command or category name in ACL")]
    Unknown,
    /// It is not understood, or has a space in a pattern.
    #[error("Syntax error")]
    Syntax,
    /// A pattern of keys beside all keys.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
         'resetkeys' to start with an empty list of patterns"
    )]
    AfterAllKeys,
    /// A pattern of channels beside all channels.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try \
         'resetchannels' to start with an empty list of channels"
    )]
    AfterAllChannels,
    /// A password is to be removed that the user does not have.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// A password is too long.
    #[error("The password is longer than {PASSWORD_BYTES_MAX} bytes")]
    PasswordTooLong,
    /// It is no hash of a password.
    #[error("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")]
    NoHash,
    /// A first argument of a subcommand.
    #[error("Allowing first-arg of a subcommand is not supported")]
    WordOfSubcommand,
    /// A pattern is too long, or takes too much memory or time.
    #[error(transparent)]
    Pattern(#[from] GlobError),
}

/// A selector that begins with this word has no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedParenthesis(pub Vec<u8>);

/// The rules that some words are: a selector may be one word or be spread over several.
///
/// # Errors
/// A selector without an end.
pub fn merge_selectors<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, UnmatchedParenthesis> {
    let (mut rules, mut open) = (Vec::new(), None::<(Vec<u8>, Vec<u8>)>);
    for word in words {
        match &mut open {
            None if word.starts_with(b"(") && !word.ends_with(b")") => open = Some((word.to_vec(), word.to_vec())),
            None => rules.push(word.to_vec()),
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if word.ends_with(b")") {
                    rules.extend(open.take().map(|(_, selector)| selector));
                }
            }
        }
    }
    match open {
        None => Ok(rules),
        Some((first, _)) => Err(UnmatchedParenthesis(first)),
    }
}

/// A rule as an error or a log may show it: without a password.
pub fn shown_rule(rule: &[u8]) -> &[u8] {
    let is_secret = |word: &[u8]| matches!(word, [b'>' | b'<', ..]);
    match rule {
        [b'>', ..] => b">(redacted)",
        [b'<', ..] => b"<(redacted)",
        rule if rule.split(|byte| b" \t\r\n(".contains(byte)).any(is_secret) => b"(redacted)",
        rule => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(line: &str) -> Result<Vec<String>, String> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it was text");
        let merged = merge_selectors(line.split(' ').map(str::as_bytes));
        merged.map(|rules| rules.into_iter().map(text).collect()).map_err(|error| text(error.0))
    }

    #[test]
    fn a_selector_may_be_spread_over_words() {
        assert_eq!(merge("on (+get ~a) (+set)").unwrap(), ["on", "(+get ~a)", "(+set)"]);
        assert_eq!(merge("( +get ~a ) off").unwrap(), ["( +get ~a )", "off"]);
        assert_eq!(merge("on (+get ~a").unwrap_err(), "(+get");
    }

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(shown_rule(b">secret"), b">(redacted)");
        assert_eq!(shown_rule(b"<secret"), b"<(redacted)");
        for rule in [&b"(>secret)"[..], b"(~a >secret", b" >secret"] {
            assert_eq!(shown_rule(rule), b"(redacted)");
        }
        assert_eq!(shown_rule(b"~a"), b"~a");
    }
}
