//! The bounds of the log of slow commands.

/// From how many microseconds on a command is slow, `--slowlog-log-slower-than`; as in Redis.
pub const SLOW_US_DEFAULT: i64 = 10_000;

/// How many slow commands are kept, `--slowlog-max-len`; as in Redis.
pub const SLOW_COMMANDS_DEFAULT: u64 = 128;

/// Where commands are slow from fewer microseconds on than this, all of them are timed, by a look at the clock for each.
pub const SLOW_TIMED_ALL_BELOW_US: i64 = 1_000;

/// How many arguments of a slow command are kept, as in Redis.
pub const SLOW_ARGUMENTS: usize = 32;

/// How many bytes of an argument of a slow command are kept, as in Redis.
pub const SLOW_ARGUMENT_BYTES: usize = 128;
