//! The configuration: flags, a TOML file, the environment. A flag beats the environment, the environment the file.

mod durability;
mod flags;
mod values;

pub use durability::Durability;
pub use flags::{Command, Flags};

use crate::limits::{HEAP_BYTES_DEFAULT, PUSH_BUFFER_BYTES_DEFAULT, PUSH_BUFFER_BYTES_MIN};
use keytide_engine::limits::{ABSENT_STREAMS_DEFAULT, SubscriptionLimits};
use std::net::IpAddr;
use thiserror::Error;
use values::{bytes_from, placement, refused, ring_bytes, spin};

/// What is meant: every value decided and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: IpAddr,
    /// Port of the Redis protocol; 0 = any free one.
    pub port: u16,
    /// How many shards.
    pub shards: u16,
    /// The core of each shard. Several shards may have the same one.
    pub cores: Vec<usize>,
    /// Bytes of each shard's ring, a power of two; 0 = record nothing.
    pub ring_bytes: u64,
    /// Bytes of heap memory that are had from the system before the first client.
    pub heap_bytes: u64,
    /// Where and how history is kept on disk; nothing where it is kept in memory only.
    pub durability: Option<Durability>,
    /// Streams of absent keys that each shard knows.
    pub absent_streams: usize,
    /// Clients at once.
    pub maxclients: u64,
    /// The bounds of subscriptions.
    pub subscriptions: SubscriptionLimits,
    /// A subscriber has room for events while less output than this waits to leave, in bytes.
    pub push_buffer_bytes: usize,
    /// When an idle core sleeps.
    pub spin: Spin,
    /// The password, if one is asked.
    pub requirepass: Option<String>,
    /// What is logged.
    pub log_level: String,
}

/// When a core without work sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spin {
    /// After so many microseconds.
    Micros(u64),
    /// Never.
    Forever,
}

/// Why the server does not start with this configuration. The text names the flag and the remedy.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("--config {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("--config {path}: {message}")]
    Syntax {
        /// The file.
        path: String,
        /// Where and why.
        message: String,
    },
    /// A flag's value is none.
    #[error("--{flag} {value}: {reason}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What it should be.
        reason: String,
    },
    /// A flag of a feature that does not exist yet.
    #[error("--{flag}: not supported by this version of keytide; start without it")]
    Planned {
        /// The flag.
        flag: &'static str,
    },
    /// A flag about history on disk, and no directory for it.
    #[error("--{flag} is about history on disk: give --dir too, or leave it out")]
    NoDirectory {
        /// The flag.
        flag: &'static str,
    },
    /// Others could write without a password.
    #[error(
        "--bind {bind} serves other machines without a password: give --requirepass, or --insecure if that is meant"
    )]
    Unprotected {
        /// The address.
        bind: IpAddr,
    },
}

impl Config {
    /// Whether there are more shards than cores, so that several of them run on one.
    pub fn shares_cores(&self) -> bool {
        has_repeats(&self.cores)
    }
}

/// The cores are dealt in turn, so the first one is the first that comes again.
fn has_repeats(cores: &[usize]) -> bool {
    cores.iter().skip(1).any(|core| Some(core) == cores.first())
}

impl Flags {
    /// Reads the file, if one is named, and decides.
    pub fn decide(mut self) -> Result<Config, ConfigError> {
        if let Some(path) = &self.config {
            let shown = path.display().to_string();
            let text =
                std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: shown.clone(), source })?;
            let file: Flags = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
                path: shown,
                message: error.to_string().trim_end().to_owned(),
            })?;
            self.fill_from(file);
        }
        self.check_planned()?;
        // An empty password is none, as in Redis.
        self.requirepass = self.requirepass.filter(|password| !password.is_empty());
        let bind = self.bind.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        if !bind.is_loopback() && self.requirepass.is_none() && self.insecure != Some(true) {
            return Err(ConfigError::Unprotected { bind });
        }
        if let Some(port) = self.grpc_port.filter(|port| *port != 0) {
            let reason = "not supported by this version of keytide; start without it, or with 0".to_owned();
            return Err(ConfigError::Value { flag: "grpc-port", value: port.to_string(), reason });
        }
        let limits = SubscriptionLimits::default();
        if self.subscription_queue_events == Some(0) {
            return Err(refused("subscription-queue-events", "0", "at least 1 event"));
        }
        let (shards, cores) = placement(self.shards, self.cores.as_deref())?;
        let shares_cores = has_repeats(&cores);
        let ring_bytes = ring_bytes(self.ring_bytes.as_deref())?;
        Ok(Config {
            bind,
            port: self.port.unwrap_or(6379),
            shards,
            cores,
            ring_bytes,
            heap_bytes: bytes_from("heap-bytes", self.heap_bytes.as_deref(), (0, HEAP_BYTES_DEFAULT))?,
            durability: self.durability.decide(ring_bytes)?,
            absent_streams: self.absent_streams.unwrap_or(ABSENT_STREAMS_DEFAULT),
            maxclients: self.maxclients.unwrap_or(10_000),
            subscriptions: SubscriptionLimits {
                per_client: self.subscriptions_per_client.unwrap_or(limits.per_client),
                queue_events: self.subscription_queue_events.unwrap_or(limits.queue_events),
                queue_bytes: bytes_from(
                    "subscription-queue-bytes",
                    self.subscription_queue_bytes.as_deref(),
                    (1, limits.queue_bytes),
                )?,
            },
            push_buffer_bytes: bytes_from(
                "push-buffer-bytes",
                self.push_buffer_bytes.as_deref(),
                (PUSH_BUFFER_BYTES_MIN, PUSH_BUFFER_BYTES_DEFAULT),
            )? as usize,
            spin: spin(self.spin_us.as_deref(), shares_cores)?,
            requirepass: self.requirepass,
            log_level: self.log_level.unwrap_or_else(|| "warn".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// What these flags mean, or the text of the refusal.
    pub(super) fn decide(words: &[&str]) -> Result<Config, String> {
        let flags = Flags::try_parse_from([&["keytide"], words].concat()).map_err(|error| error.to_string())?;
        flags.decide().map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_it_listens_on_loopback_with_a_shard_for_each_core() {
        let config = decide(&[]).expect("the defaults are a configuration");
        assert_eq!((config.bind.to_string().as_str(), config.port), ("127.0.0.1", 6379));
        assert_eq!(config.shards as usize, config.cores.len());
        assert_eq!((config.ring_bytes, config.spin), (64 << 20, Spin::Micros(50)));
    }

    #[test]
    fn a_feature_that_does_not_exist_is_refused_by_name() {
        assert!(decide(&["--maxmemory", "1g"]).unwrap_err().starts_with("--maxmemory: not supported"));
        assert!(decide(&["--grpc-port", "2113"]).unwrap_err().starts_with("--grpc-port 2113: not supported"));
        assert!(decide(&["--grpc-port", "0"]).is_ok());
    }

    #[test]
    fn other_machines_are_served_with_a_password_or_on_request_only() {
        assert!(decide(&["--bind", "0.0.0.0"]).unwrap_err().contains("--requirepass"));
        assert!(decide(&["--bind", "0.0.0.0", "--requirepass", ""]).unwrap_err().contains("--requirepass"));
        assert!(decide(&["--bind", "0.0.0.0", "--requirepass", "x"]).is_ok());
        assert!(decide(&["--bind", "0.0.0.0", "--insecure"]).is_ok());
    }

    #[test]
    fn values_are_checked_and_the_remedy_is_named() {
        assert_eq!(decide(&["--ring-bytes", "100k"]).map(|c| c.ring_bytes), Ok(128 << 10));
        assert_eq!(decide(&["--ring-bytes", "0"]).map(|c| c.ring_bytes), Ok(0));
        assert!(decide(&["--ring-bytes", "1k"]).unwrap_err().contains("from 65536"));
        assert!(decide(&["--shards", "5000"]).unwrap_err().contains("from 1 to 512"));
        assert!(decide(&["--shards", "0"]).unwrap_err().contains("from 1 to 512"));
        assert!(decide(&["--cores", "x"]).unwrap_err().contains("0,2,4-7"));
        assert_eq!(decide(&["--spin-us", "forever"]).map(|c| c.spin), Ok(Spin::Forever));
        assert_eq!(decide(&["--push-buffer-bytes", "64k"]).map(|c| c.push_buffer_bytes), Ok(64 << 10));
        assert!(decide(&["--push-buffer-bytes", "10"]).unwrap_err().contains("at least 1024"));
        assert!(decide(&["--subscription-queue-bytes", "x"]).unwrap_err().contains("128k"));
        let limits = decide(&["--subscriptions-per-client", "3", "--subscription-queue-events", "7"]);
        assert_eq!(limits.map(|c| (c.subscriptions.per_client, c.subscriptions.queue_events)), Ok((3, 7)));
    }

    #[test]
    fn more_shards_than_cores_share_the_cores_and_do_not_spin() {
        let core = decide(&[]).expect("the defaults are a configuration").cores[0];
        let on_one = |more: &[&str]| decide(&[&["--cores", &core.to_string()], more].concat());
        let config = on_one(&["--shards", "3"]).expect("one core is enough");
        assert_eq!((config.shards, &config.cores[..], config.spin), (3, &[core; 3][..], Spin::Micros(0)));
        assert!(config.shares_cores());
        assert_eq!(on_one(&["--shards", "3", "--spin-us", "20"]).map(|c| c.spin), Ok(Spin::Micros(20)));
        assert!(on_one(&["--shards", "3", "--spin-us", "forever"]).unwrap_err().contains("give fewer --shards"));
        assert!(on_one(&["--spin-us", "forever"]).is_ok_and(|config| !config.shares_cores()));
    }

    #[test]
    fn a_file_is_read_and_a_flag_beats_it() {
        let path = std::env::temp_dir().join(format!("keytide-config-{}.toml", std::process::id()));
        std::fs::write(&path, "port = 7000\nring-bytes = \"1m\"\n").expect("a file in the temporary directory");
        let config = decide(&["--config", path.to_str().expect("a plain path"), "--port", "7001"]);
        std::fs::write(&path, "prot = 7000\n").expect("a file in the temporary directory");
        let misspelt = decide(&["--config", path.to_str().expect("a plain path")]);
        std::fs::remove_file(&path).expect("the file was written");
        assert_eq!(config.map(|c| (c.port, c.ring_bytes)), Ok((7001, 1 << 20)));
        assert!(misspelt.unwrap_err().contains("prot"));
    }
}
