//! Patterns of keys and of channels, compiled once.

use super::check::Need;
use keytide_engine::filter::{Glob, GlobError};

/// Which keys may be read, written, or both.
#[derive(Clone, Debug)]
pub(super) struct KeyPattern {
    /// As it was given.
    pub text: Box<[u8]>,
    glob: Glob,
    /// Where the literal bytes are with which every matching key begins, among the first eight as a word; and they.
    start: (u64, u64),
    /// The length of these literal bytes, where every key matches that begins with them; none where the rest of a key has to be
    /// looked at too.
    prefix_bytes: Option<usize>,
    /// What it permits.
    pub permits: Need,
}

/// The first bytes of a key as a word, the first one lowest, with zeros behind a shorter key.
#[inline]
pub(super) fn first_word(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => key.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

impl KeyPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It is too long, or takes too much memory or time.
    pub fn new(text: &[u8], permits: Need) -> Result<KeyPattern, GlobError> {
        let glob = Glob::new(text)?;
        let prefix = glob.prefix();
        let mask = u64::MAX.checked_shr(64 - 8 * prefix.len().min(8) as u32).unwrap_or(0);
        let start = (mask, first_word(prefix) & mask);
        let prefix_bytes = (glob.is_prefix() && prefix.len() <= 8).then_some(prefix.len());
        Ok(KeyPattern { text: text.into(), glob, start, prefix_bytes, permits })
    }

    /// Whether it permits this of a key, of which `word` is the [`first_word`]. That decides for nearly all keys.
    #[inline]
    pub fn covers(&self, key: &[u8], word: u64, need: Need) -> bool {
        let (mask, start) = self.start;
        word & mask == start
            && self.permits.includes(need)
            && match self.prefix_bytes {
                Some(bytes) => key.len() >= bytes,
                None => self.glob.matches(key),
            }
    }

    /// Whether it permits this of every key.
    pub fn covers_all(&self, need: Need) -> bool {
        self.permits.includes(need) && self.glob.is_all()
    }

    /// The rule that adds it.
    pub fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.permits {
            Need { reads: true, writes: false } => b"%R~",
            Need { reads: false, writes: true } => b"%W~",
            Need { .. } => b"~",
        });
        out.extend_from_slice(&self.text);
    }
}

/// Which channels may be used.
#[derive(Clone, Debug)]
pub(super) struct ChannelPattern {
    /// As it was given.
    pub text: Box<[u8]>,
    glob: Glob,
}

impl ChannelPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// As [`KeyPattern::new`].
    pub fn new(text: &[u8]) -> Result<ChannelPattern, GlobError> {
        Ok(ChannelPattern { text: text.into(), glob: Glob::new(text)? })
    }

    /// Whether a channel may be used.
    pub fn covers(&self, channel: &[u8]) -> bool {
        self.glob.matches(channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_its_glob_matches() {
        let patterns = [
            "",
            "a",
            "a*",
            "abc*",
            "abcdefg*",
            "abcdefgh*",
            "abcdefghi*",
            "abcdefgh",
            "*a",
            "a*b",
            "?b*",
            "[ab]c",
            "a\\*",
        ];
        let keys = [
            "",
            "a",
            "b",
            "ab",
            "abc",
            "abcd",
            "abcdefg",
            "abcdefgh",
            "abcdefghi",
            "abcdefghij",
            "bc",
            "a*",
            "aXb",
            "\0",
            "a\0",
            "abc\0",
        ];
        for pattern in patterns {
            let (own, glob) =
                (KeyPattern::new(pattern.as_bytes(), Need::READ).expect("short"), Glob::new(pattern.as_bytes()));
            let glob = glob.expect("short");
            for key in keys {
                let covers = own.covers(key.as_bytes(), first_word(key.as_bytes()), Need::READ);
                assert_eq!(covers, glob.matches(key.as_bytes()), "{pattern:?} and {key:?}");
            }
        }
        // Zeros at its end are part of a prefix.
        let own = KeyPattern::new(b"a\0*", Need::READ).expect("short");
        assert!(!own.covers(b"a", first_word(b"a"), Need::READ) && own.covers(b"a\0", first_word(b"a\0"), Need::READ));
    }
}
