//! The filter of a read: a pattern on the stream or on the type of each event.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use memchr::memmem;
use regex_automata::meta;
use regex_automata::util::syntax;
use thiserror::Error;

use super::glob::{Glob, GlobError};
use super::lookaround::{Lookaround, negated};
use super::needs::Needs;
use crate::event::EventType;
use crate::limits::{
    FILTER_BYTES_MAX, REGEX_CACHE_BYTES_MAX, REGEX_HEAVY_BYTES, REGEX_NAME_BYTES_MAX, REGEX_NAME_WORK_MAX,
    REGEX_NFA_BYTES_MAX, SCAN_CLOCK_RECORDS,
};
use crate::position::ShardId;
use crate::stream_name::is_system;

/// The name that the pattern is matched against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// The name of the event's stream.
    #[default]
    Stream,
    /// The name of the event's type, as in the table of built-in types (`Set`).
    Type,
}

/// Up to this many prefixes are compared one by one.
const FEW_PREFIXES: usize = 8;

/// Which names a filter passes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// All.
    All,
    /// Names that begin with one of these; in ascending order, none begins with another.
    Prefixes(Box<[Box<[u8]>]>),
    /// Names that contain a match of this.
    Regex(Regex),
    /// Names that do not contain a match of this.
    Not(Regex),
    /// Names that contain a match of this.
    Lookaround(Lookaround),
    /// Names that match as a whole.
    Glob(Glob),
    /// `shard:<n>:<glob>`: the events of one shard whose key matches, and keys that literally match the whole text.
    Shard {
        /// The shard.
        shard: ShardId,
        /// The pattern for that shard's keys.
        keys: Glob,
        /// The whole text as a pattern, for every shard's keys.
        literal: Glob,
    },
}

/// A regex on bytes: case-sensitive, matching anywhere unless it is anchored. Unicode classes match UTF-8 and `(?-u)`
/// switches to single bytes; names need not be UTF-8.
#[derive(Clone)]
pub struct Regex {
    text: Arc<str>,
    regex: meta::Regex,
    needs: Arc<Needs>,
}

/// Why a filter is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// Longer than [`FILTER_BYTES_MAX`].
    #[error("filter of {bytes} bytes exceeds the limit of {FILTER_BYTES_MAX} bytes")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The glob is too long, or takes too much memory or time.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A list of prefixes without a prefix: it would pass nothing.
    #[error("no prefix given")]
    NoPrefix,
    /// The regex is not UTF-8. It can express any byte as `\xFF` within `(?-u:…)`.
    #[error("regex is not UTF-8")]
    RegexNotText,
    /// The regex is invalid, with the reason.
    #[error("invalid regex: {0}")]
    RegexSyntax(String),
    /// The compiled regex takes more memory than [`REGEX_NFA_BYTES_MAX`].
    #[error("regex takes more than {REGEX_NFA_BYTES_MAX} bytes when compiled")]
    RegexSize,
}

impl Regex {
    /// Compiles `text`.
    ///
    /// # Errors
    /// If it is too long, not UTF-8, invalid, or too large once compiled.
    pub fn new(text: &[u8]) -> Result<Regex, FilterError> {
        bounded(text.len())?;
        let text = std::str::from_utf8(text).map_err(|_| FilterError::RegexNotText)?;
        let hir = syntax::parse_with(text, &Regex::syntax())
            .map_err(|reason| FilterError::RegexSyntax(last_line(&reason.to_string())))?;
        let regex =
            meta::Builder::new().configure(Regex::config()).build_from_hir(&hir).map_err(|error| {
                match error.size_limit() {
                    Some(_) => FilterError::RegexSize,
                    None => FilterError::RegexSyntax(last_line(&error.to_string())),
                }
            })?;
        Ok(Regex { text: text.into(), regex, needs: Arc::new(Needs::of(&hir)) })
    }

    /// The compiler configuration for every regex of a filter.
    pub fn config() -> meta::Config {
        meta::Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(REGEX_NFA_BYTES_MAX))
            .onepass_size_limit(Some(REGEX_NFA_BYTES_MAX))
            .hybrid_cache_capacity(REGEX_CACHE_BYTES_MAX)
    }

    /// The parser configuration for every regex of a filter.
    pub fn syntax() -> syntax::Config {
        syntax::Config::new().utf8(false)
    }

    /// The text as the client wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The literal text that every match contains.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// The memory of its automata in bytes, without their caches.
    pub fn memory_bytes(&self) -> usize {
        self.regex.memory_usage()
    }

    /// Whether it matches anywhere in `name`.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.regex.is_match(name)
    }
}

/// Two regexes are equal if their texts are.
impl PartialEq for Regex {
    fn eq(&self, other: &Regex) -> bool {
        self.text == other.text
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex({:?})", self.text)
    }
}

impl Pattern {
    /// Names that begin with one of `prefixes`.
    ///
    /// # Errors
    /// If there is none, or they are too long together.
    pub fn prefixes<'a>(prefixes: impl IntoIterator<Item = &'a [u8]>) -> Result<Pattern, FilterError> {
        let mut prefixes: Vec<&[u8]> = prefixes.into_iter().collect();
        bounded(prefixes.iter().map(|prefix| prefix.len()).sum())?;
        prefixes.sort_unstable();
        // In this order a prefix is followed by those that begin with it.
        prefixes.dedup_by(|longer, kept| longer.starts_with(kept));
        match &prefixes[..] {
            [] => Err(FilterError::NoPrefix),
            [[], ..] => Ok(Pattern::All),
            list => Ok(Pattern::Prefixes(list.iter().map(|&prefix| Box::from(prefix)).collect())),
        }
    }

    /// Names that contain a match of `regex`.
    ///
    /// # Errors
    /// As [`Regex::new`].
    pub fn regex(regex: &[u8]) -> Result<Pattern, FilterError> {
        Regex::new(regex).map(Pattern::Regex)
    }

    /// As [`Pattern::regex`], where the regex may have look-around.
    ///
    /// # Errors
    /// As [`Regex::new`].
    pub fn regex_with_lookaround(regex: &[u8]) -> Result<Pattern, FilterError> {
        let plain = match Pattern::regex(regex) {
            Err(error @ FilterError::RegexSyntax(_)) => error,
            done => return done,
        };
        if let Some(negated) = negated(regex) {
            return negated.map(Pattern::Not);
        }
        // Where it has no look-around either, the first error says more.
        let has_some = [&b"(?="[..], b"(?!", b"(?<"].iter().any(|begin| memmem::find(regex, begin).is_some());
        if has_some { Lookaround::new(regex).map(Pattern::Lookaround) } else { Err(plain) }
    }

    /// Whether a name matches, whatever the shard of the event is: for patterns that select no shard.
    pub fn matches_name(&self, name: &[u8]) -> bool {
        self.matches(name, ShardId(0))
    }

    /// Whether names can only be matched one by one, against this pattern alone.
    pub fn is_matched_alone(&self) -> bool {
        matches!(self, Pattern::Not(_) | Pattern::Lookaround(_))
    }

    /// Names that match `glob`; no shard is selected.
    ///
    /// # Errors
    /// As [`Glob::new`].
    pub fn glob(glob: &[u8]) -> Result<Pattern, FilterError> {
        let glob = Glob::new(glob)?;
        Ok(if glob.is_all() { Pattern::All } else { Pattern::Glob(glob) })
    }

    /// Events whose key matches `glob`, where `shard:<n>:<glob>` selects a shard and `stream:mutations` means `*`.
    ///
    /// # Errors
    /// As [`Glob::new`].
    pub fn keys(glob: &[u8]) -> Result<Pattern, FilterError> {
        if glob == b"stream:mutations" {
            return Ok(Pattern::All);
        }
        match shard_selection(glob) {
            Some((shard, keys)) => Ok(Pattern::Shard { shard, keys: Glob::new(keys)?, literal: Glob::new(glob)? }),
            None => Pattern::glob(glob),
        }
    }

    /// Its heap memory in bytes, without a regex's caches.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Pattern::All => 0,
            Pattern::Prefixes(prefixes) => {
                size_of_val(&**prefixes) + prefixes.iter().map(|prefix| prefix.len()).sum::<usize>()
            }
            Pattern::Regex(regex) | Pattern::Not(regex) => regex.text().len() + regex.memory_bytes(),
            // About: its library does not say.
            Pattern::Lookaround(regex) => 16 * regex.text().len(),
            Pattern::Glob(glob) => glob.memory_bytes(),
            Pattern::Shard { keys, literal, .. } => keys.memory_bytes() + literal.memory_bytes(),
        }
    }

    fn matches(&self, name: &[u8], shard: ShardId) -> bool {
        match self {
            Pattern::All => true,
            // For a few, comparing each takes fewer instructions than a binary search.
            Pattern::Prefixes(prefixes) if prefixes.len() <= FEW_PREFIXES => {
                prefixes.iter().any(|prefix| name.starts_with(prefix))
            }
            Pattern::Prefixes(prefixes) => {
                // In this order no prefix is between a name and its own prefix: it would begin with that prefix too.
                let place = prefixes.partition_point(|prefix| **prefix <= *name);
                place > 0 && name.starts_with(&prefixes[place - 1])
            }
            Pattern::Regex(regex) => regex.matches(name),
            Pattern::Not(regex) => !regex.matches(name),
            Pattern::Lookaround(regex) => regex.matches(name),
            Pattern::Glob(glob) => glob.matches(name),
            Pattern::Shard { shard: selected, keys, literal } => {
                shard == *selected && keys.matches(name) || literal.matches(name)
            }
        }
    }
}

/// Splits `shard:<n>:<rest>`. The number must not have leading zeros.
fn shard_selection(glob: &[u8]) -> Option<(ShardId, &[u8])> {
    let rest = glob.strip_prefix(b"shard:")?;
    let (number, keys) = rest.split_at(rest.iter().position(|&byte| byte == b':')?);
    let plain = number == b"0" || !number.starts_with(b"0") && number.iter().all(u8::is_ascii_digit);
    let shard = std::str::from_utf8(number).ok().filter(|_| plain)?.parse().ok()?;
    Some((ShardId(shard), &keys[1..]))
}

/// Which events a read or a subscription wants. The default passes everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Filter {
    on: Target,
    pattern: Pattern,
    no_system: bool,
}

impl Default for Filter {
    fn default() -> Filter {
        Filter { on: Target::Stream, pattern: Pattern::All, no_system: false }
    }
}

impl Filter {
    /// Events whose stream or type, selected by `on`, matches `pattern`; with `no_system`, without those whose stream
    /// or type begins with `$`.
    pub fn new(on: Target, pattern: Pattern, no_system: bool) -> Filter {
        Filter { on, pattern, no_system }
    }

    /// The name that the pattern is matched against.
    pub fn on(&self) -> Target {
        self.on
    }

    /// The pattern.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Whether system events are excluded.
    pub fn no_system(&self) -> bool {
        self.no_system
    }

    /// Whether it passes everything, so that no event needs to be matched.
    pub fn is_all(&self) -> bool {
        matches!(self.pattern, Pattern::All) && !self.no_system
    }

    /// The number of short names that a read matches between two readings of the clock, because matching may take long;
    /// `None` if the filter is always cheap.
    pub fn clock_records(&self) -> Option<usize> {
        let is_searched = match &self.pattern {
            Pattern::Regex(regex) | Pattern::Not(regex) if regex.memory_bytes() > REGEX_HEAVY_BYTES => return Some(1),
            Pattern::Lookaround(_) => return Some(1),
            Pattern::Regex(_) | Pattern::Not(_) => true,
            Pattern::Glob(glob) => glob.is_searched(),
            Pattern::Shard { keys, literal, .. } => keys.is_searched() || literal.is_searched(),
            Pattern::All | Pattern::Prefixes(_) => false,
        };
        is_searched.then_some(SCAN_CLOCK_RECORDS)
    }

    /// Whether a name is so long that matching the filter's regex against it would hold up the caller.
    #[inline]
    pub fn is_too_long(&self, stream: &[u8], event_type: &[u8]) -> bool {
        let (Pattern::Regex(regex) | Pattern::Not(regex)) = &self.pattern else { return false };
        let name = match self.on {
            Target::Stream => stream,
            Target::Type => event_type,
        };
        name.len() > REGEX_NAME_BYTES_MAX && name.len().saturating_mul(regex.memory_bytes()) > REGEX_NAME_WORK_MAX
    }

    /// Whether the pattern matches an event of this stream, type name and shard. Ignores that `FlushDb` always passes:
    /// see [`Filter::passes`].
    pub fn matches(&self, stream: &[u8], event_type: &[u8], shard: ShardId) -> bool {
        if self.no_system && (is_system(stream) || is_system(event_type)) {
            return false;
        }
        let name = match self.on {
            Target::Stream => stream,
            Target::Type => event_type,
        };
        self.pattern.matches(name, shard)
    }

    /// Whether an event is wanted: [`EventType::FlushDb`] always, any other if it matches. `custom_name` is the name of
    /// a custom type.
    pub fn passes(&self, event_type: EventType, custom_name: &[u8], stream: &[u8], shard: ShardId) -> bool {
        let name = event_type.name().map_or(custom_name, str::as_bytes);
        event_type == EventType::FlushDb || self.matches(stream, name, shard)
    }
}

pub(super) fn bounded(bytes: usize) -> Result<(), FilterError> {
    if bytes > FILTER_BYTES_MAX { Err(FilterError::TooLong { bytes }) } else { Ok(()) }
}

/// The text of a syntax error draws the pattern with a mark below; the reason is in its last line.
fn last_line(text: &str) -> String {
    let line = text.lines().next_back().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARD: ShardId = ShardId(0);

    fn on_streams(pattern: Result<Pattern, FilterError>) -> Filter {
        Filter::new(Target::Stream, pattern.unwrap(), false)
    }

    #[test]
    fn prefixes_let_through_what_begins_with_one_of_them() {
        let filter = on_streams(Pattern::prefixes([&b"user:"[..], b"order:"]));
        assert!(filter.matches(b"user:1", b"Set", SHARD) && filter.matches(b"order:", b"Set", SHARD));
        assert!(!filter.matches(b"use", b"Set", SHARD) && !filter.matches(b"xuser:1", b"Set", SHARD));
        assert!(on_streams(Pattern::prefixes([&b""[..], b"a"])).is_all());
        let filter = on_streams(Pattern::prefixes([&b"b"[..], b"ab", b"abc", b"b", b"ca"]));
        for (name, passes) in [("abx", true), ("abcd", true), ("aa", false), ("b", true), ("c", false), ("caz", true)] {
            assert_eq!(filter.matches(name.as_bytes(), b"", SHARD), passes, "{name}");
        }
        // Few are compared one by one, more by binary search.
        for count in [1, FEW_PREFIXES, FEW_PREFIXES + 1, 100] {
            let prefixes: Vec<Vec<u8>> = (0..count).map(|n| format!("p{n:02}:").into_bytes()).collect();
            let filter = on_streams(Pattern::prefixes(prefixes.iter().map(Vec::as_slice)));
            for n in 0..100 {
                let name = format!("p{n:02}:x").into_bytes();
                assert_eq!(filter.matches(&name, b"Set", SHARD), n < count, "{n} of {count}");
                assert!(!filter.matches(&name[..3], b"Set", SHARD));
            }
        }
        assert_eq!(Pattern::prefixes([]).unwrap_err(), FilterError::NoPrefix);
    }

    #[test]
    fn a_regex_is_unanchored_case_sensitive_and_on_bytes() {
        let filter = on_streams(Pattern::regex(br"r:\d+"));
        assert!(filter.matches(b"\xffuser:42\xff", b"Set", SHARD) && !filter.matches(b"USER:42", b"Set", SHARD));
        assert!(!on_streams(Pattern::regex(br"^(?-u:\xff).$")).matches("\u{e9}".as_bytes(), b"", SHARD));
        assert!(on_streams(Pattern::regex(br"^(?-u:\xff)\p{Greek}$")).matches(b"\xff\xce\xb1", b"", SHARD));
        assert!(on_streams(Pattern::regex(b"(?i)stra\xc3\x9fe")).matches("STRA\u{1e9e}E".as_bytes(), b"", SHARD));
    }

    #[test]
    fn an_invalid_filter_is_refused_with_its_reason() {
        assert_eq!(Pattern::regex(b"(a").unwrap_err(), FilterError::RegexSyntax("unclosed group".into()));
        assert!(
            matches!(Pattern::regex(b"(?=a)").unwrap_err(), FilterError::RegexSyntax(reason) if reason.contains("look-around"))
        );
        assert_eq!(Pattern::regex(b"\xff").unwrap_err(), FilterError::RegexNotText);
        assert_eq!(Pattern::regex(br"\w{1000}{1000}").unwrap_err(), FilterError::RegexSize);
        let long = vec![b'a'; FILTER_BYTES_MAX + 1];
        assert_eq!(Pattern::glob(&long).unwrap_err(), FilterError::Glob(GlobError::TooLong { bytes: long.len() }));
        assert!(matches!(Pattern::keys(&long), Err(FilterError::Glob(GlobError::TooLong { .. }))));
        assert!(matches!(Pattern::prefixes([&long[..]]), Err(FilterError::TooLong { .. })));
        assert!(matches!(Pattern::regex(&long), Err(FilterError::TooLong { .. })));
        assert!(Pattern::regex(&b"(".repeat(10_000)).is_err());
    }

    #[test]
    fn a_shard_is_selected_beside_the_keys_so_named() {
        let filter = on_streams(Pattern::keys(b"shard:2:user:*"));
        assert!(filter.matches(b"user:1", b"Set", ShardId(2)) && !filter.matches(b"user:1", b"Set", ShardId(1)));
        assert!(!filter.matches(b"order:1", b"Set", ShardId(2)));
        assert!(filter.matches(b"shard:2:user:7", b"Set", ShardId(1)));
    }

    #[test]
    fn other_spellings_of_a_shard_are_globs() {
        for glob in [&b"shard:x:*"[..], b"shard:01:*", b"shard::*", b"shard:1", b"shard:99999:*", b"shard:+1:*"] {
            assert!(matches!(Pattern::keys(glob).unwrap(), Pattern::Glob(_)), "{}", glob.escape_ascii());
        }
        assert!(on_streams(Pattern::keys(b"stream:mutations")).is_all() && on_streams(Pattern::keys(b"*")).is_all());
    }

    #[test]
    fn types_match_as_the_table_writes_them() {
        let filter = Filter::new(Target::Type, Pattern::glob(b"H*").unwrap(), false);
        assert!(filter.passes(EventType::HSet, b"", b"k", SHARD) && !filter.passes(EventType::Set, b"", b"Hk", SHARD));
        assert!(filter.passes(EventType::Custom, b"Happened", b"k", SHARD));
    }

    #[test]
    fn system_events_can_be_left_out_but_a_flush_always_passes() {
        let filter = Filter::new(Target::Stream, Pattern::All, true);
        assert!(!filter.is_all() && filter.matches(b"a", b"Set", SHARD));
        assert!(!filter.matches(b"$a", b"Set", SHARD) && !filter.matches(b"a", b"$>", SHARD));
        assert!(filter.passes(EventType::FlushDb, b"", b"$db", SHARD));
        assert!(on_streams(Pattern::glob(b"user:*")).passes(EventType::FlushDb, b"", b"$db", SHARD));
    }
}
