//! The keys of a command: where they are among its arguments, and what the command does with each.

use super::options::is;
use crate::access::Need;
use crate::resp::Args;
use keytide_engine::position::ShardId;
use keytide_engine::slot::shard_of;
use keytide_engine::stream_name::{DATABASES_MAX, Database};

/// The positions of a command's keys among its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// It has none.
    None,
    /// Arguments `first` to `last` (negative: from the end), every `step`-th.
    At {
        /// The first key's argument.
        first: usize,
        /// The last key's; -1 is the last argument.
        last: isize,
        /// The distance from one key to the next.
        step: usize,
    },
    /// Argument `at` is the number of keys, which follow it.
    Counted {
        /// The argument with the number.
        at: usize,
    },
    /// Of COPY: the first two arguments are keys, and options may say in which database the second one is.
    Copied,
    /// Behind the word STREAMS, the first half of what follows, as in XREAD; none if the words before it are not those of
    /// XREAD.
    Streams {
        /// The first argument that may be that word, as COMMAND has it.
        from: usize,
    },
    /// The first argument is a key, the second the number of further ones, which follow it.
    TargetAndCounted,
    /// Of SORT: the first argument is a key, and if it stores, the last one behind `STORE`. What its patterns make of the
    /// elements are keys too.
    Sorted {
        /// Whether it stores.
        stores: bool,
    },
    /// Of GEORADIUS: the first argument is a key, and the last one behind `STORE` or `STOREDIST`.
    Around {
        /// The argument from which on these words are looked for.
        from: usize,
    },
}

impl Keys {
    /// One key, the first argument.
    pub const ONE: Keys = Keys::At { first: 1, last: 1, step: 1 };
    /// Two keys, the first two arguments.
    pub const TWO: Keys = Keys::At { first: 1, last: 2, step: 1 };
    /// Every argument is a key.
    pub const ALL: Keys = Keys::At { first: 1, last: -1, step: 1 };
    /// Every other argument is a key.
    pub const PAIRS: Keys = Keys::At { first: 1, last: -1, step: 2 };

    /// The indexes of the keys in a command of `args`.
    #[inline]
    pub fn places(self, args: Args<'_>) -> Places {
        let count = args.len();
        let counted = |at: usize| {
            let number = args.try_get(at).and_then(keytide_engine::number::parse_u64).unwrap_or(0);
            (at + 1).saturating_add(number as usize).min(count)
        };
        let (first, end, step) = match self {
            Keys::None => (0, 0, 1),
            Keys::At { first, last, step } => {
                let last = if last < 0 { count as isize + last } else { last };
                (first, (last + 1).clamp(0, count as isize) as usize, step)
            }
            Keys::Copied => (1, 3.min(count), 1),
            Keys::Counted { at } => (at + 1, counted(at), 1),
            Keys::Streams { .. } => {
                let (first, end) = streams(args);
                (first, end, 1)
            }
            // The number is stepped over.
            Keys::TargetAndCounted => return Places { at: 1, end: counted(2).min(count), next_step: 2, step: 1 },
            Keys::Sorted { stores } => return Places::first_and(Sorting::of(args).target.filter(|_| stores), count),
            Keys::Around { from } => {
                let is_word = |at: &usize| is(args.get(*at), "store") || is(args.get(*at), "storedist");
                let target = (from..count.saturating_sub(1)).rev().find(is_word).map(|at| at + 1);
                return Places::first_and(target, count);
            }
        };
        Places { at: first, end, next_step: step, step }
    }

    /// The database of the keys behind the first one, if the arguments say it; `None` for the selected one.
    pub fn other_database(self, args: Args<'_>) -> Option<Database> {
        if self != Keys::Copied {
            return None;
        }
        let (mut at, mut database) = (3, None);
        while let Some(word) = args.try_get(at) {
            if is(word, "db") {
                let number = args.try_get(at + 1).and_then(keytide_engine::number::parse_u64);
                let number = number.and_then(|number| u16::try_from(number).ok());
                // Other numbers are errors, which the command answers.
                database = Some(Database(number.filter(|number| *number < DATABASES_MAX)?));
                at += 1;
            }
            at += 1;
        }
        database
    }

    /// Whether the command uses keys that its arguments do not say.
    #[inline]
    pub fn are_hidden(self, args: Args<'_>) -> bool {
        matches!(self, Keys::Sorted { .. }) && Sorting::of(args).has_patterns
    }

    /// The shards, of `total`, on which the keys of a command may be, in ascending order.
    pub fn shards(self, args: Args<'_>, total: u16) -> Vec<ShardId> {
        if self.are_hidden(args) {
            return (0..total).map(ShardId).collect();
        }
        let mut shards: Vec<ShardId> = self.of(args).map(|key| shard_of(key, total)).collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    /// The keys of a command.
    #[inline]
    pub fn of(self, args: Args<'_>) -> impl Iterator<Item = &[u8]> {
        self.places(args).map(move |place| args.get(place))
    }
}

/// The arguments of XREAD or XREADGROUP that are keys, from one to before another.
fn streams(args: Args<'_>) -> (usize, usize) {
    let mut at = 1;
    while let Some(word) = args.try_get(at) {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        at += match () {
            () if is("streams") => {
                let words = args.len() - at - 1;
                return if words.is_multiple_of(2) { (at + 1, at + 1 + words / 2) } else { (0, 0) };
            }
            () if is("block") || is("count") => 2,
            () if is("group") => 3,
            () if is("noack") => 1,
            () => break,
        };
    }
    (0, 0)
}

/// What the options of SORT say of keys.
struct Sorting {
    /// The argument that is the key at which the result is stored.
    target: Option<usize>,
    /// Whether there is a pattern that makes keys of elements.
    has_patterns: bool,
}

impl Sorting {
    fn of(args: Args<'_>) -> Sorting {
        let mut found = Sorting { target: None, has_patterns: false };
        let mut at = 2;
        while let Some(word) = args.try_get(at) {
            let is_pattern = is(word, "by") || is(word, "get");
            found.has_patterns |= is_pattern && args.try_get(at + 1).is_some_and(|pattern| pattern.contains(&b'*'));
            if is(word, "store") && at + 1 < args.len() {
                found.target = Some(at + 1);
            }
            at += match word {
                _ if is_pattern || is(word, "store") => 2,
                _ if is(word, "limit") => 3,
                _ => 1,
            };
        }
        found
    }
}

/// The indexes of keys among the arguments. The standard library's stepping range divides to know its length, which
/// costs more than the one step that nearly all commands take.
#[derive(Clone, Debug)]
pub struct Places {
    at: usize,
    end: usize,
    /// The step to the next place.
    next_step: usize,
    /// The steps behind that one.
    step: usize,
}

impl Places {
    /// The first argument, and maybe one more, of `count`.
    fn first_and(other: Option<usize>, count: usize) -> Places {
        let end = other.unwrap_or(1) + 1;
        Places { at: 1, end: end.min(count), next_step: end.saturating_sub(2).max(1), step: count }
    }
}

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let place = (self.at < self.end).then_some(self.at)?;
        self.at += self.next_step;
        self.next_step = self.step;
        Some(place)
    }
}

/// What a command does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The words for it in the key specifications of COMMAND, as Redis has them.
    pub words: &'static [&'static str],
    /// What a user needs for it.
    pub need: Need,
}

impl KeyUse {
    const fn of(words: &'static [&'static str], need: Need) -> KeyUse {
        KeyUse { words, need }
    }

    /// It only asks whether the key exists, or how large its value is.
    pub const LOOK: KeyUse = KeyUse::of(&["RO"], Need::NOTHING);
    /// It reads the value.
    pub const READ: KeyUse = KeyUse::of(&["RO", "access"], Need::READ);
    /// It adds to the value.
    pub const INSERT: KeyUse = KeyUse::of(&["RW", "insert"], Need::WRITE);
    /// It changes the value.
    pub const UPDATE: KeyUse = KeyUse::of(&["RW", "update"], Need::WRITE);
    /// It removes parts of the value.
    pub const DELETE: KeyUse = KeyUse::of(&["RW", "delete"], Need::WRITE);
    /// It changes the value and removes parts of it.
    pub const UPDATE_DELETE: KeyUse = KeyUse::of(&["RW", "update", "delete"], Need::WRITE);
    /// It changes the value and tells of it.
    pub const READ_UPDATE: KeyUse = KeyUse::of(&["RW", "access", "update"], Need::BOTH);
    /// It adds to the value and tells of it.
    pub const READ_INSERT: KeyUse = KeyUse::of(&["RW", "access", "insert"], Need::BOTH);
    /// It reads the value; in Redis it keeps the result in it.
    pub const READ_SKETCH: KeyUse = KeyUse::of(&["RW", "access"], Need::READ);
    /// It removes the value, or parts of it, and tells of them.
    pub const READ_DELETE: KeyUse = KeyUse::of(&["RW", "access", "delete"], Need::BOTH);
    /// It replaces the value, whatever it is.
    pub const OVERWRITE: KeyUse = KeyUse::of(&["OW", "update"], Need::WRITE);
    /// It sets the value if there is none.
    pub const CREATE: KeyUse = KeyUse::of(&["OW", "insert"], Need::WRITE);
    /// It removes the key.
    pub const REMOVE: KeyUse = KeyUse::of(&["RM", "delete"], Need::WRITE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn keys_are_where_the_arguments_say() {
        let of = |keys: Keys, line: &str| -> Vec<String> {
            let args: OwnedArgs = line.split(' ').collect();
            keys.of(args.as_args()).map(|key| String::from_utf8_lossy(key).into_owned()).collect()
        };
        assert_eq!(of(Keys::ONE, "get a b"), ["a"]);
        assert_eq!(of(Keys::Copied, "copy a b db 1"), ["a", "b"]);
        assert_eq!(of(Keys::Copied, "copy a"), ["a"]);
        assert_eq!(of(Keys::PAIRS, "mset a 1 b 2"), ["a", "b"]);
        assert_eq!(of(Keys::Counted { at: 1 }, "zunion 2 a b weights"), ["a", "b"]);
        assert_eq!(of(Keys::Counted { at: 1 }, "zunion 9 a b"), ["a", "b"]);
        assert_eq!(of(Keys::TargetAndCounted, "zunionstore t 2 a b weights"), ["t", "a", "b"]);
        assert_eq!(of(Keys::TargetAndCounted, "zunionstore t x a b"), ["t"]);
        assert_eq!(of(Keys::TargetAndCounted, "zunionstore t 99999999999999999999 a"), ["t"]);
        assert_eq!(of(Keys::TargetAndCounted, "zunionstore t 18446744073709551615 a"), ["t", "a"]);
        assert_eq!(of(Keys::TargetAndCounted, "zunionstore"), [""; 0]);
        assert_eq!(of(Keys::Streams { from: 1 }, "xread BLOCK 0 count 1 Streams a b 0 $"), ["a", "b"]);
        assert_eq!(of(Keys::Streams { from: 1 }, "xreadgroup group streams noack noack streams a >"), ["a"]);
        for line in ["xread streams a b 0", "xread count streams a 0", "xread foo streams a 0", "xread streams"] {
            assert_eq!(of(Keys::Streams { from: 1 }, line), [""; 0], "{line}");
        }
        let sorted = Keys::Sorted { stores: true };
        assert_eq!(of(sorted, "sort a"), ["a"]);
        assert_eq!(of(sorted, "sort"), [""; 0]);
        assert_eq!(of(sorted, "sort a get store limit store store store b STORE c"), ["a", "c"]);
        assert_eq!(of(sorted, "sort a store"), ["a"]);
        assert_eq!(of(sorted, "sort a by store"), ["a"]);
        assert_eq!(of(Keys::Sorted { stores: false }, "sort_ro a store b"), ["a"]);
        let around = Keys::Around { from: 6 };
        assert_eq!(of(around, "georadius a 1 2 3 m storedist b"), ["a", "b"]);
        assert_eq!(of(around, "georadius a 1 2 3 m store b STORE c"), ["a", "c"]);
        assert_eq!(of(around, "georadius a 1 2 3 m store"), ["a"]);
        assert_eq!(of(around, "georadius a"), ["a"]);
    }

    #[test]
    fn a_pattern_with_a_star_hides_keys() {
        let are_hidden = |line: &str| {
            let args: OwnedArgs = line.split(' ').collect();
            Keys::Sorted { stores: true }.are_hidden(args.as_args())
        };
        assert!(are_hidden("sort a BY w_*") && are_hidden("sort a get # get x_*->f"));
        assert!(
            !are_hidden("sort a by nosort get #") && !are_hidden("sort a limit get x_*") && !are_hidden("sort a by")
        );
    }
}
