//! The flags of the limit of memory, and their values.

use super::ConfigError;
use super::values::{bytes_from, refused};
use crate::memory::ClientsLimit;
use clap::Parser;
use keytide_engine::eviction::Policy;
use serde::Deserialize;

/// The given flags of the limit.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Limit of memory")]
pub(super) struct MaxmemoryFlags {
    /// Bytes that keys, values and what is held for clients may take, of the whole process; suffixes k, m, g; 0 = no limit
    /// [default: 0]
    #[arg(long, env = "KEYTIDE_MAXMEMORY", value_name = "BYTES")]
    #[serde(default, deserialize_with = "super::values::text_or_number")]
    maxmemory: Option<String>,
    /// Which keys go when that is reached: noeviction, allkeys-s3fifo (recommended for caches), allkeys-lru, allkeys-lfu,
    /// allkeys-random, volatile-s3fifo, volatile-lru, volatile-lfu, volatile-random, volatile-ttl [default: noeviction]
    #[arg(long, env = "KEYTIDE_MAXMEMORY_POLICY", value_name = "POLICY")]
    maxmemory_policy: Option<String>,
    /// Bytes that the buffers of all clients may take before the client that takes most is closed; suffixes k, m, g; or a
    /// part of --maxmemory, such as 5%; 0 = no limit [default: 0]
    #[arg(long, env = "KEYTIDE_MAXMEMORY_CLIENTS", value_name = "BYTES")]
    #[serde(default, deserialize_with = "super::values::text_or_number")]
    maxmemory_clients: Option<String>,
}

/// The limit of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maxmemory {
    /// Bytes; 0 = none.
    pub bytes: u64,
    /// Which keys go.
    pub policy: Policy,
    /// How much the buffers of clients may take.
    pub clients: ClientsLimit,
}

impl MaxmemoryFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: MaxmemoryFlags) {
        self.maxmemory = self.maxmemory.take().or(file.maxmemory);
        self.maxmemory_policy = self.maxmemory_policy.take().or(file.maxmemory_policy);
        self.maxmemory_clients = self.maxmemory_clients.take().or(file.maxmemory_clients);
    }

    /// The limit.
    pub(super) fn decide(&self) -> Result<Maxmemory, ConfigError> {
        let policy = match self.maxmemory_policy.as_deref() {
            None => Policy::NoEviction,
            Some(name) => Policy::from_name(name.as_bytes()).ok_or_else(|| {
                let names: Vec<&str> = Policy::NAMED.iter().map(|(name, _)| *name).collect();
                refused("maxmemory-policy", name, format!("one of {}", names.join(", ")))
            })?,
        };
        let bytes = |flag, text: Option<&str>| bytes_from(flag, text, (0, 0));
        let clients = match self.maxmemory_clients.as_deref() {
            Some(text) if text.ends_with('%') => ClientsLimit::parse(text, |_| None)
                .ok_or_else(|| refused("maxmemory-clients", text, "a number of bytes, or from 0% to 100%"))?,
            text => match bytes("maxmemory-clients", text)? {
                0 => ClientsLimit::None,
                bytes => ClientsLimit::Bytes(bytes),
            },
        };
        Ok(Maxmemory { bytes: bytes("maxmemory", self.maxmemory.as_deref())?, policy, clients })
    }
}
