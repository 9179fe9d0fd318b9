//! The bounds of scripts.

/// How many instructions a script runs between two looks at the clock.
pub const SCRIPT_HOOK_INSTRUCTIONS: u32 = 10_000;

/// The bytes that a script may make at once, of a reply or of a text by `cjson` and `cmsgpack`.
pub const SCRIPT_OUTPUT_BYTES_MAX: usize = 64 << 20;

/// The longest pattern of `string.find` and the like, in bytes: matching takes a part of the stack for each.
pub const SCRIPT_PATTERN_BYTES_MAX: usize = 1_000;

/// The scripts that a core keeps compiled; when there are more, it begins anew.
pub const SCRIPTS_COMPILED_MAX: usize = 10_000;

/// The time that a script may run, in milliseconds, `--script-time-limit-ms`.
pub const SCRIPT_TIME_MS_DEFAULT: u64 = 5_000;

/// The memory of each core's scripts, in bytes, `--script-memory-bytes`.
pub const SCRIPT_MEMORY_BYTES_DEFAULT: u64 = 64 << 20;

/// The bytes of the texts of all scripts, `--scripts-bytes`.
pub const SCRIPTS_BYTES_DEFAULT: u64 = 32 << 20;
