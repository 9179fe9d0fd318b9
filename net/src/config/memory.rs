//! The flags of the memory that the server holds for clients, all of them together, and their values.

use super::ConfigError;
use super::values::bytes_from;
use crate::limits::{
    ACCOUNT_BYTES_MIN, GROUPS_BYTES_DEFAULT, INPUT_BYTES_DEFAULT, SCRIPTS_BYTES_DEFAULT, SUBSCRIPTIONS_BYTES_DEFAULT,
    TRANSACTIONS_BYTES_DEFAULT, WAITS_BYTES_DEFAULT,
};
use clap::Parser;
use serde::Deserialize;

/// The given flags of the memory held for clients.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Memory of all clients together")]
pub(super) struct MemoryFlags {
    /// Bytes that consumer groups may take: patterns, consumers, pending entries; suffixes k, m, g [default: 256m]
    #[arg(long, env = "KEYTIDE_GROUPS_BYTES", value_name = "BYTES")]
    groups_bytes: Option<String>,
    /// Bytes that subscriptions may take, a quarter of them those of one client; suffixes k, m, g [default: 256m]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTIONS_BYTES", value_name = "BYTES")]
    subscriptions_bytes: Option<String>,
    /// Bytes that commands queued by MULTI may take, a quarter of them those of one client; suffixes k, m, g [default:
    /// 1g]
    #[arg(long, env = "KEYTIDE_TRANSACTIONS_BYTES", value_name = "BYTES")]
    transactions_bytes: Option<String>,
    /// Bytes that commands which wait for keys may take, such as BLPOP, a quarter of them those of one client; suffixes k,
    /// m, g [default: 256m]
    #[arg(long, env = "KEYTIDE_WAITS_BYTES", value_name = "BYTES")]
    waits_bytes: Option<String>,
    /// Bytes of incomplete or waiting commands; beyond it clients with more than their share are disconnected; suffixes
    /// k, m, g [default: 1g]
    #[arg(long, env = "KEYTIDE_INPUT_BYTES", value_name = "BYTES")]
    input_bytes: Option<String>,
    /// Bytes of the texts of scripts; those that were only run make place for others; suffixes k, m, g [default: 32m]
    #[arg(long, env = "KEYTIDE_SCRIPTS_BYTES", value_name = "BYTES")]
    scripts_bytes: Option<String>,
}

/// The bytes that the server may hold for clients, all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Of consumer groups.
    pub groups: u64,
    /// Of subscriptions.
    pub subscriptions: u64,
    /// Of commands queued by MULTI.
    pub transactions: u64,
    /// Of commands that wait for keys.
    pub waits: u64,
    /// Of input that has not been executed.
    pub input: u64,
    /// Of the texts of scripts.
    pub scripts: u64,
}

impl MemoryFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: MemoryFlags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(groups_bytes subscriptions_bytes transactions_bytes waits_bytes input_bytes scripts_bytes);
    }

    /// The limits.
    pub(super) fn decide(&self) -> Result<MemoryLimits, ConfigError> {
        let bytes =
            |flag, text: &Option<String>, default| bytes_from(flag, text.as_deref(), (ACCOUNT_BYTES_MIN, default));
        Ok(MemoryLimits {
            groups: bytes("groups-bytes", &self.groups_bytes, GROUPS_BYTES_DEFAULT)?,
            subscriptions: bytes("subscriptions-bytes", &self.subscriptions_bytes, SUBSCRIPTIONS_BYTES_DEFAULT)?,
            transactions: bytes("transactions-bytes", &self.transactions_bytes, TRANSACTIONS_BYTES_DEFAULT)?,
            waits: bytes("waits-bytes", &self.waits_bytes, WAITS_BYTES_DEFAULT)?,
            input: bytes("input-bytes", &self.input_bytes, INPUT_BYTES_DEFAULT)?,
            scripts: bytes("scripts-bytes", &self.scripts_bytes, SCRIPTS_BYTES_DEFAULT)?,
        })
    }
}
