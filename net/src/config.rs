//! The configuration: flags, a TOML file, the environment. A flag beats the environment, the environment the file.

use crate::limits::{PUSH_BUFFER_BYTES_DEFAULT, PUSH_BUFFER_BYTES_MIN};
use clap::Parser;
use keytide_engine::limits::{ABSENT_STREAMS_DEFAULT, RING_BYTES_DEFAULT, RING_BYTES_MIN, SubscriptionLimits};
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;
use thiserror::Error;

/// What was typed, or found in the environment or in the file: nothing where nothing was said.
#[derive(Parser, Deserialize, Debug, Default)]
#[command(name = "keytide", version, about = "A Redis-protocol cache that records every mutation in a stream")]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flags {
    /// TOML file with these flags by their long names
    #[arg(long, env = "KEYTIDE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, env = "KEYTIDE_BIND", value_name = "ADDR")]
    bind: Option<IpAddr>,
    /// Port of the Redis protocol; 0 = any free one [default: 6379]
    #[arg(long, env = "KEYTIDE_PORT")]
    port: Option<u16>,
    /// Port of gRPC and HTTP; only 0 (off) so far [default: 0]
    #[arg(long, env = "KEYTIDE_GRPC_PORT", value_name = "PORT")]
    grpc_port: Option<u16>,
    /// Number of shards, each on a core of its own [default: one for each core]
    #[arg(long, env = "KEYTIDE_SHARDS", value_name = "N")]
    shards: Option<u16>,
    /// Cores to pin the shards to, as in 0,2,4-7 [default: all]
    #[arg(long, env = "KEYTIDE_CORES", value_name = "LIST")]
    cores: Option<String>,
    /// Bytes of each shard's ring, rounded up to a power of two; k, m and g may follow; 0 = record nothing [default: 64m]
    #[arg(long, env = "KEYTIDE_RING_BYTES", value_name = "BYTES")]
    ring_bytes: Option<String>,
    /// Streams of absent keys whose revision counter each shard keeps [default: 1048576]
    #[arg(long, env = "KEYTIDE_ABSENT_STREAMS", value_name = "N")]
    absent_streams: Option<usize>,
    /// Clients that may be connected at once [default: 10000]
    #[arg(long, env = "KEYTIDE_MAXCLIENTS", value_name = "N")]
    maxclients: Option<u64>,
    /// Subscriptions that one client may have [default: 1000]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTIONS_PER_CLIENT", value_name = "N")]
    subscriptions_per_client: Option<usize>,
    /// Events that wait for one subscription before it falls behind [default: 4096]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTION_QUEUE_EVENTS", value_name = "N")]
    subscription_queue_events: Option<usize>,
    /// Bytes of events that wait for one subscription before it falls behind; k, m and g may follow [default: 4m]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTION_QUEUE_BYTES", value_name = "BYTES")]
    subscription_queue_bytes: Option<String>,
    /// Bytes of output from which on a subscriber is given no more events; k, m and g may follow [default: 256k]
    #[arg(long, env = "KEYTIDE_PUSH_BUFFER_BYTES", value_name = "BYTES")]
    push_buffer_bytes: Option<String>,
    /// Microseconds without work after which a core sleeps; 0 = at once, `forever` = never [default: 50]
    #[arg(long, env = "KEYTIDE_SPIN_US", value_name = "US")]
    spin_us: Option<String>,
    /// Password that clients must give with AUTH
    #[arg(long, env = "KEYTIDE_REQUIREPASS", value_name = "PASSWORD", hide_env_values = true)]
    requirepass: Option<String>,
    /// Serve other machines without a password
    #[arg(long, env = "KEYTIDE_INSECURE", num_args = 0, default_missing_value = "true")]
    insecure: Option<bool>,
    /// error, warn, info, debug or trace; or a filter as in keytide_net=debug [default: warn]
    #[arg(long, env = "KEYTIDE_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    planned: Planned,
}

/// Flags of the contract whose feature is not built yet. They are refused by name, so that nobody believes in a
/// protection or a persistence that is not there.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
struct Planned {
    #[arg(long, hide = true, env = "KEYTIDE_DIR")]
    dir: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_FSYNC")]
    fsync: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_RETAIN_BYTES")]
    retain_bytes: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_RETAIN_AGE")]
    retain_age: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_MAXMEMORY")]
    maxmemory: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_MAXMEMORY_POLICY")]
    maxmemory_policy: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_USER")]
    user: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_ACL_FILE")]
    acl_file: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_TLS_PORT")]
    tls_port: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_TLS_CERT_FILE")]
    tls_cert_file: Option<String>,
    #[arg(long, hide = true, env = "KEYTIDE_TLS_KEY_FILE")]
    tls_key_file: Option<String>,
}

/// What is meant: every value decided and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub bind: IpAddr,
    /// Port of the Redis protocol; 0 = any free one.
    pub port: u16,
    /// How many shards.
    pub shards: u16,
    /// The core of each shard.
    pub cores: Vec<usize>,
    /// Bytes of each shard's ring, a power of two; 0 = record nothing.
    pub ring_bytes: u64,
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
    /// Others could write without a password.
    #[error(
        "--bind {bind} serves other machines without a password: give --requirepass, or --insecure if that is meant"
    )]
    Unprotected {
        /// The address.
        bind: IpAddr,
    },
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
        Ok(Config {
            bind,
            port: self.port.unwrap_or(6379),
            shards,
            cores,
            ring_bytes: ring_bytes(self.ring_bytes.as_deref())?,
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
            spin: spin(self.spin_us.as_deref())?,
            requirepass: self.requirepass,
            log_level: self.log_level.unwrap_or_else(|| "warn".to_owned()),
        })
    }

    fn fill_from(&mut self, file: Flags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(bind port grpc_port shards cores ring_bytes absent_streams maxclients spin_us requirepass insecure log_level);
        fill!(subscriptions_per_client subscription_queue_events subscription_queue_bytes push_buffer_bytes);
        macro_rules! fill_planned {
            ($($field:ident)*) => { $(self.planned.$field = self.planned.$field.take().or(file.planned.$field);)* };
        }
        fill_planned!(dir fsync retain_bytes retain_age maxmemory maxmemory_policy user acl_file);
        fill_planned!(tls_port tls_cert_file tls_key_file);
    }

    fn check_planned(&self) -> Result<(), ConfigError> {
        let planned = &self.planned;
        let given = [
            ("dir", &planned.dir),
            ("fsync", &planned.fsync),
            ("retain-bytes", &planned.retain_bytes),
            ("retain-age", &planned.retain_age),
            ("maxmemory", &planned.maxmemory),
            ("maxmemory-policy", &planned.maxmemory_policy),
            ("user", &planned.user),
            ("acl-file", &planned.acl_file),
            ("tls-port", &planned.tls_port),
            ("tls-cert-file", &planned.tls_cert_file),
            ("tls-key-file", &planned.tls_key_file),
        ];
        match given.iter().find(|(_, value)| value.is_some()) {
            Some((flag, _)) => Err(ConfigError::Planned { flag }),
            None => Ok(()),
        }
    }
}

fn refused(flag: &'static str, value: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value { flag, value: value.to_owned(), reason: reason.into() }
}

/// The number of shards and their cores: as many shards as cores, unless said otherwise.
fn placement(shards: Option<u16>, list: Option<&str>) -> Result<(u16, Vec<usize>), ConfigError> {
    let available: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    let cores = match list {
        None => available.clone(),
        Some(list) => parse_cores(list).ok_or_else(|| refused("cores", list, "a list such as 0,2,4-7 is expected"))?,
    };
    if let Some(missing) = cores.iter().find(|core| !available.contains(core)) {
        let reason = format!("core {missing} is not one that this process may use ({available:?})");
        return Err(refused("cores", list.unwrap_or(""), reason));
    }
    let shards = shards.unwrap_or(cores.len() as u16);
    if shards == 0 || shards as usize > cores.len() {
        let reason = format!("each shard needs a core of its own, and there are {}", cores.len());
        return Err(refused("shards", &shards.to_string(), reason));
    }
    Ok((shards, cores[..shards as usize].to_vec()))
}

fn parse_cores(list: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last < first || last > 4095 {
            return None;
        }
        cores.extend((first..=last).filter(|core| !cores.contains(core)).collect::<Vec<_>>());
    }
    Some(cores)
}

fn ring_bytes(text: Option<&str>) -> Result<u64, ConfigError> {
    let Some(text) = text else { return Ok(RING_BYTES_DEFAULT) };
    let flag = "ring-bytes";
    let bytes = parse_bytes(text).ok_or_else(|| refused(flag, text, "a number of bytes is expected, as 64m"))?;
    if bytes == 0 {
        return Ok(0);
    }
    if !(RING_BYTES_MIN..=RING_BYTES_MAX).contains(&bytes) {
        return Err(refused(flag, text, format!("0, or from {RING_BYTES_MIN} to {RING_BYTES_MAX} bytes")));
    }
    Ok(bytes.next_power_of_two())
}

/// A number of bytes from `min` on, or what it is where nothing was said.
fn bytes_from(flag: &'static str, text: Option<&str>, (min, default): (u64, u64)) -> Result<u64, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    match parse_bytes(text) {
        Some(bytes) if bytes >= min => Ok(bytes),
        Some(_) => Err(refused(flag, text, format!("at least {min} bytes"))),
        None => Err(refused(flag, text, "a number of bytes is expected, as 128k")),
    }
}

/// A record's length is a 32-bit number, and a record takes at most a quarter of a ring.
const RING_BYTES_MAX: u64 = 8 << 30;

/// A number of bytes, with Redis's units: k, m and g are powers of 1,000, kb, mb and gb of 1,024 — but here both are
/// of 1,024, for sizes of memory are meant.
fn parse_bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn spin(text: Option<&str>) -> Result<Spin, ConfigError> {
    match text {
        None => Ok(Spin::Micros(50)),
        Some("forever") => Ok(Spin::Forever),
        Some(text) => match text.parse() {
            Ok(micros) => Ok(Spin::Micros(micros)),
            Err(_) => Err(refused("spin-us", text, "a number of microseconds or `forever` is expected")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(words: &[&str]) -> Result<Config, String> {
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
        assert!(decide(&["--dir", "/tmp/x"]).unwrap_err().starts_with("--dir: not supported"));
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
        assert!(decide(&["--shards", "5000"]).unwrap_err().contains("core of its own"));
        assert!(decide(&["--cores", "x"]).unwrap_err().contains("0,2,4-7"));
        assert_eq!(decide(&["--spin-us", "forever"]).map(|c| c.spin), Ok(Spin::Forever));
        assert_eq!(decide(&["--push-buffer-bytes", "64k"]).map(|c| c.push_buffer_bytes), Ok(64 << 10));
        assert!(decide(&["--push-buffer-bytes", "10"]).unwrap_err().contains("at least 1024"));
        assert!(decide(&["--subscription-queue-bytes", "x"]).unwrap_err().contains("128k"));
        let limits = decide(&["--subscriptions-per-client", "3", "--subscription-queue-events", "7"]);
        assert_eq!(limits.map(|c| (c.subscriptions.per_client, c.subscriptions.queue_events)), Ok((3, 7)));
        assert_eq!(parse_cores("0,2,4-6"), Some(vec![0, 2, 4, 5, 6]));
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
