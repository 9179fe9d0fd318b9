//! The flags about memory that clients have the server keep, all of them together, and what they mean.

use super::ConfigError;
use super::values::bytes_from;
use crate::limits::{
    ACCOUNT_BYTES_MIN, GROUPS_BYTES_DEFAULT, INPUT_BYTES_DEFAULT, SUBSCRIPTIONS_BYTES_DEFAULT,
    TRANSACTIONS_BYTES_DEFAULT,
};
use clap::Parser;
use serde::Deserialize;

/// What was said about memory that clients have the server keep.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Memory of all clients together")]
pub(super) struct MemoryFlags {
    /// Bytes that consumer groups may take: patterns, consumers, pending entries; k, m and g may follow [default: 256m]
    #[arg(long, env = "KEYTIDE_GROUPS_BYTES", value_name = "BYTES")]
    groups_bytes: Option<String>,
    /// Bytes that subscriptions may take, a quarter of them those of one client; k, m and g may follow [default: 256m]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTIONS_BYTES", value_name = "BYTES")]
    subscriptions_bytes: Option<String>,
    /// Bytes that commands queued by MULTI may take, a quarter of them those of one client; k, m and g may follow
    /// [default: 1g]
    #[arg(long, env = "KEYTIDE_TRANSACTIONS_BYTES", value_name = "BYTES")]
    transactions_bytes: Option<String>,
    /// Bytes of commands that have not arrived as a whole or wait to run; beyond it clients that have more than their
    /// share are disconnected; k, m and g may follow [default: 1g]
    #[arg(long, env = "KEYTIDE_INPUT_BYTES", value_name = "BYTES")]
    input_bytes: Option<String>,
}

/// How many bytes clients may have the server keep, all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Of consumer groups.
    pub groups: u64,
    /// Of subscriptions.
    pub subscriptions: u64,
    /// Of commands queued by MULTI.
    pub transactions: u64,
    /// Of input that has not been run.
    pub input: u64,
}

impl MemoryFlags {
    /// Takes from the file what was not said otherwise.
    pub(super) fn fill_from(&mut self, file: MemoryFlags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(groups_bytes subscriptions_bytes transactions_bytes input_bytes);
    }

    /// What is meant.
    pub(super) fn decide(&self) -> Result<MemoryLimits, ConfigError> {
        let bytes =
            |flag, text: &Option<String>, default| bytes_from(flag, text.as_deref(), (ACCOUNT_BYTES_MIN, default));
        Ok(MemoryLimits {
            groups: bytes("groups-bytes", &self.groups_bytes, GROUPS_BYTES_DEFAULT)?,
            subscriptions: bytes("subscriptions-bytes", &self.subscriptions_bytes, SUBSCRIPTIONS_BYTES_DEFAULT)?,
            transactions: bytes("transactions-bytes", &self.transactions_bytes, TRANSACTIONS_BYTES_DEFAULT)?,
            input: bytes("input-bytes", &self.input_bytes, INPUT_BYTES_DEFAULT)?,
        })
    }
}
