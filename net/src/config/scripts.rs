//! The flags of scripts.

use super::ConfigError;
use super::values::bytes_from;
use crate::limits::{SCRIPT_MEMORY_BYTES_DEFAULT, SCRIPT_TIME_MS_DEFAULT};
use clap::Parser;
use serde::Deserialize;
use std::time::Duration;

/// The given flags of scripts.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Scripts")]
pub(super) struct ScriptFlags {
    /// Milliseconds after which a script is ended with an error; 0 = never [default: 5000]
    #[arg(long, env = "KEYTIDE_SCRIPT_TIME_LIMIT_MS", value_name = "MS")]
    script_time_limit_ms: Option<u64>,
    /// Bytes that scripts may use on each core; suffixes k, m, g [default: 64m]
    #[arg(long, env = "KEYTIDE_SCRIPT_MEMORY_BYTES", value_name = "BYTES")]
    script_memory_bytes: Option<String>,
}

/// The limits of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptLimits {
    /// How long one may run; `None` = for ever.
    pub time: Option<Duration>,
    /// The memory of each core's scripts, in bytes.
    pub memory_bytes: usize,
}

impl ScriptFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: ScriptFlags) {
        self.script_time_limit_ms = self.script_time_limit_ms.or(file.script_time_limit_ms);
        self.script_memory_bytes = self.script_memory_bytes.take().or(file.script_memory_bytes);
    }

    /// The limits.
    pub(super) fn decide(&self) -> Result<ScriptLimits, ConfigError> {
        /// The interpreter itself takes a part of it.
        const MEMORY_BYTES_MIN: u64 = 1 << 20;
        let memory_max = (MEMORY_BYTES_MIN, SCRIPT_MEMORY_BYTES_DEFAULT);
        let time_ms = self.script_time_limit_ms.unwrap_or(SCRIPT_TIME_MS_DEFAULT);
        Ok(ScriptLimits {
            time: (time_ms > 0).then(|| Duration::from_millis(time_ms)),
            memory_bytes: bytes_from("script-memory-bytes", self.script_memory_bytes.as_deref(), memory_max)? as usize,
        })
    }
}
