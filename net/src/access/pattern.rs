//! Patterns of keys and of channels, compiled once.

use super::check::Need;
use keytide_engine::filter::{Glob, GlobError};

/// Which keys may be read, written, or both.
#[derive(Clone, Debug)]
pub(super) struct KeyPattern {
    /// As it was given.
    pub text: Box<[u8]>,
    glob: Glob,
    /// What it permits.
    pub permits: Need,
}

impl KeyPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// It is too long, or takes too much memory or time.
    pub fn new(text: &[u8], permits: Need) -> Result<KeyPattern, GlobError> {
        Ok(KeyPattern { text: text.into(), glob: Glob::new(text)?, permits })
    }

    /// Whether it permits this of a key.
    #[inline]
    pub fn covers(&self, key: &[u8], need: Need) -> bool {
        self.permits.includes(need) && self.glob.matches(key)
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
