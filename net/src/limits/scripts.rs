//! The bounds of scripts.

/// How many instructions a script runs between two looks at the clock.
pub const SCRIPT_HOOK_INSTRUCTIONS: u32 = 10_000;

/// The scripts that a core keeps compiled; when there are more, it begins anew.
pub const SCRIPTS_COMPILED_MAX: usize = 10_000;

/// The time that a script may run, in milliseconds, `--script-time-limit-ms`.
pub const SCRIPT_TIME_MS_DEFAULT: u64 = 5_000;

/// The memory of each core's scripts, in bytes, `--script-memory-bytes`.
pub const SCRIPT_MEMORY_BYTES_DEFAULT: u64 = 64 << 20;

/// The bytes of the texts of all scripts, `--scripts-bytes`.
pub const SCRIPTS_BYTES_DEFAULT: u64 = 32 << 20;
