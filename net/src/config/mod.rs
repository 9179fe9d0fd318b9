//! The configuration: flags, a TOML file, the environment. Flags take precedence over the environment, and that over
//! the file.

mod durability;
mod file;
mod flags;
mod import;
mod maxmemory;
mod memory;
mod origin;
mod pubsub;
mod readers;
mod scripts;
mod slow_log;
mod tls;
mod tracking;
mod user_limits;
mod users;
mod values;

pub use durability::Durability;
pub use flags::{BinaryCommand, Flags};
pub use import::ImportFlags;
pub use maxmemory::Maxmemory;
pub use memory::MemoryLimits;
pub use origin::Origin;
pub use readers::ReaderLimits;
pub use scripts::ScriptLimits;
pub use tls::Tls;
pub use user_limits::UserLimitValues;
pub use users::UserSources;
pub use values::{parse_bytes, parse_span_ms};

use crate::keyspace_events::Classes;
use crate::limits::{
    AUTH_TIMEOUT_MS_DEFAULT, CLIENT_OUTPUT_BYTES_DEFAULT, CLIENTS_OUTPUT_BYTES_DEFAULT, CLIENTS_OUTPUT_PART,
    DATABASES_DEFAULT, GRPC_KEEPALIVE_MS_DEFAULT, HEAP_BYTES_DEFAULT, MAXCLIENTS_DEFAULT, MAXCLIENTS_MAX,
    OUTPUT_BYTES_MIN, OUTPUT_STALL_SECONDS_DEFAULT, PUSH_BUFFER_BYTES_DEFAULT, PUSH_BUFFER_BYTES_MIN,
    TRACKING_TABLE_KEYS_DEFAULT, WAITING_KEYS_PER_CLIENT_DEFAULT,
};
use crate::memory::MemoryLimit;
use crate::unread::SubscriberLimit;
use keytide_engine::limits::{ABSENT_STREAMS_DEFAULT, SubscriptionLimits};
use keytide_engine::stream_name::DATABASES_MAX;
use origin::Origins;
use std::net::IpAddr;
use thiserror::Error;
use values::{address, bytes_from, count_from, grpc_port, log_level, patience_ms, placement, ring_bytes, spin};

/// The configuration with every value determined and checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on.
    pub bind: IpAddr,
    /// Port of the Redis protocol; 0 = any free port; `None` if it is served over TLS only.
    pub port: Option<u16>,
    /// Port of gRPC and HTTP; 0 = any free port, `None` if they are not served.
    pub grpc_port: Option<u16>,
    /// Whether passwords of gRPC calls are taken without TLS.
    pub grpc_plain_credentials: bool,
    /// How long a client of gRPC may be silent before it is asked for a sign of life, in milliseconds; `None` = for ever.
    pub grpc_keepalive_ms: Option<u64>,
    /// Where and how TLS is served; `None` if it is not.
    pub tls: Option<Tls>,
    /// The number of shards.
    pub shards: u16,
    /// The core of each shard. Several shards may have the same one.
    pub cores: Vec<usize>,
    /// The size of each shard's ring in bytes, a power of two; 0 = no recording.
    pub ring_bytes: u64,
    /// The heap memory to prefault at start, in bytes.
    pub heap_bytes: u64,
    /// Where and how history is stored on disk; `None` if it is in memory only.
    pub durability: Option<Durability>,
    /// The number of deleted keys for which each shard keeps the stream's revision counter.
    pub absent_streams: usize,
    /// The number of databases.
    pub databases: u16,
    /// The most clients; the limit of open files may allow fewer.
    pub maxclients: u64,
    /// The most clients that have not authenticated, if there is a password; `None` for the default.
    pub unauthenticated_clients: Option<u64>,
    /// The time for a client to authenticate, in milliseconds; `None` for unlimited.
    pub auth_timeout_ms: Option<u64>,
    /// The most keys that one command may wait for.
    pub waiting_keys_per_client: usize,
    /// The limits of subscriptions.
    pub subscriptions: SubscriptionLimits,
    /// How much subscribers to channels may leave unread.
    pub pubsub_output: SubscriberLimit,
    /// The classes of keyspace notifications that are published.
    pub keyspace_events: Classes,
    /// From how many microseconds on a command is slow, if not -1, and how many slow ones are kept.
    pub slow_log: (i64, u64),
    /// How many keys may be remembered as read by clients that cache; 0 = no limit.
    pub tracking_table_max_keys: u64,
    /// The limits of readers of consumer groups.
    pub readers: ReaderLimits,
    /// The limits of scripts.
    pub scripts: ScriptLimits,
    /// The limit of memory.
    pub maxmemory: Maxmemory,
    /// The memory that the server may hold for all clients together.
    pub memory: MemoryLimits,
    /// A subscriber gets events while its unsent output is below this, in bytes.
    pub push_buffer_bytes: usize,
    /// The bytes of unread output after which a client's commands wait.
    pub client_output_bytes: u64,
    /// The same for all clients together: those with the most wait.
    pub clients_output_bytes: u64,
    /// The seconds without reading after which a client whose commands wait is closed; 0 = never.
    pub output_stall_seconds: u64,
    /// When an idle core sleeps.
    pub spin: Spin,
    /// Where users come from.
    pub users: UserSources,
    /// What one user may have and do.
    pub user_limits: UserLimitValues,
    /// Whether other machines may be served without a password.
    pub insecure: bool,
    /// The password, if one is required. The start forgets it.
    pub requirepass: Option<String>,
    /// The flags with a password on the command line, where other users of the machine see it.
    pub exposed: Vec<&'static str>,
    /// The log level or filter.
    pub log_level: String,
}

/// When a core without work sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spin {
    /// After this many microseconds.
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
        /// The cause.
        source: std::io::Error,
    },
    /// A line of the file is invalid.
    #[error("{file} line {line}: {message}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The cause.
        message: String,
    },
    /// A setting's value is invalid.
    #[error("{}: {reason}", .origin.setting(.flag, Some(.value)))]
    Value {
        /// The flag.
        flag: String,
        /// The given value.
        value: String,
        /// The expected value.
        reason: String,
        /// Where it was given.
        origin: Origin,
    },
    /// A flag of history on disk without a directory for it.
    #[error("{} is about history on disk: give --dir too, or leave it out", .origin.setting(.flag, None))]
    NoDirectory {
        /// The flag.
        flag: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// Other machines could write without a password.
    #[error(
        "{} serves other machines without a password: give --requirepass or --user, or --insecure if that is meant",
        .origin.setting("bind", Some(.bind))
    )]
    Unprotected {
        /// The address.
        bind: String,
        /// Where it was given.
        origin: Origin,
    },
    /// The command line is invalid, or requests help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
}

impl ConfigError {
    /// Adds the origin of the setting.
    fn located(mut self, origins: &Origins) -> ConfigError {
        match &mut self {
            ConfigError::Value { flag, origin, .. } => *origin = origins.of(flag),
            ConfigError::NoDirectory { flag, origin } => *origin = origins.of(flag),
            ConfigError::Unprotected { origin, .. } => *origin = origins.of("bind"),
            ConfigError::File { .. } | ConfigError::Line { .. } | ConfigError::Usage(_) => {}
        }
        self
    }
}

impl Config {
    /// Whether there are more shards than cores, so that several of them run on one.
    pub fn shares_cores(&self) -> bool {
        has_repeats(&self.cores)
    }

    /// Forgets the passwords, once users have been made of them: what the process keeps has them nowhere then.
    pub fn forget_passwords(&mut self) {
        for text in self.requirepass.iter_mut().chain(&mut self.users.given) {
            let mut bytes = std::mem::take(text).into_bytes();
            bytes.fill(0);
            // So that the compiler does not leave it out.
            std::hint::black_box(bytes);
        }
        (self.requirepass, self.users.given) = (None, Vec::new());
    }
}

/// Cores are assigned in turn, so the first one is the first to recur.
fn has_repeats(cores: &[usize]) -> bool {
    cores.iter().skip(1).any(|core| Some(core) == cores.first())
}

impl Flags {
    /// Reads the file, if one is named, and determines the configuration.
    ///
    /// # Errors
    /// An invalid setting, with its origin.
    pub fn decide(mut self) -> Result<Config, ConfigError> {
        let mut origins = std::mem::take(&mut self.origins);
        if let Some(path) = &self.config {
            for setting in file::read(path)? {
                origins.note(setting.name, setting.origin);
                self.fill_from(setting.flags);
            }
        }
        self.decide_values().map_err(|error| error.located(&origins))
    }

    fn decide_values(mut self) -> Result<Config, ConfigError> {
        let subscriptions = self.subscription_limits()?;
        // An empty password means none, as in Redis.
        self.requirepass = self.requirepass.filter(|password| !password.is_empty());
        let (users, insecure) = (self.users.decide()?, self.insecure == Some(true));
        let given = self.bind.unwrap_or_else(|| "127.0.0.1".to_owned());
        let bind = address(&given)?;
        if !bind.is_loopback() && self.requirepass.is_none() && !users.has_users() && !insecure {
            return Err(ConfigError::Unprotected { bind: given, origin: Origin::default() });
        }
        let maxclients = count_from("maxclients", self.maxclients, (1, MAXCLIENTS_MAX, MAXCLIENTS_DEFAULT))?;
        let (shards, cores) = placement(self.shards, self.cores.as_deref())?;
        let shares_cores = has_repeats(&cores);
        let ring_bytes = ring_bytes(self.ring_bytes.as_deref())?;
        let tls = self.tls.decide()?;
        Ok(Config {
            bind,
            // As in Redis: a server for TLS needs no other port.
            port: Some(self.port.unwrap_or(6379)).filter(|port| *port != 0 || tls.is_none()),
            tls,
            grpc_port: grpc_port(self.grpc_port.as_deref())?,
            grpc_keepalive_ms: patience_ms(
                "grpc-keepalive",
                self.grpc_keepalive.as_deref(),
                GRPC_KEEPALIVE_MS_DEFAULT,
            )?,
            grpc_plain_credentials: self.grpc_plain_credentials == Some(true),
            shards,
            cores,
            ring_bytes,
            heap_bytes: bytes_from("heap-bytes", self.heap_bytes.as_deref(), (0, HEAP_BYTES_DEFAULT))?,
            durability: self.durability.decide(ring_bytes)?,
            absent_streams: self.absent_streams.unwrap_or(ABSENT_STREAMS_DEFAULT),
            databases: count_from("databases", self.databases, (1, DATABASES_MAX.into(), DATABASES_DEFAULT))? as u16,
            maxclients,
            unauthenticated_clients: match self.unauthenticated_clients {
                None => None,
                given => Some(count_from("unauthenticated-clients", given, (1, MAXCLIENTS_MAX, 1))?),
            },
            auth_timeout_ms: patience_ms("auth-timeout", self.auth_timeout.as_deref(), AUTH_TIMEOUT_MS_DEFAULT)?,
            waiting_keys_per_client: self.waiting_keys_per_client.unwrap_or(WAITING_KEYS_PER_CLIENT_DEFAULT),
            subscriptions,
            pubsub_output: self.pubsub.decide()?,
            keyspace_events: self.pubsub.classes()?,
            slow_log: self.slow_log.decide(),
            tracking_table_max_keys: self.tracking.tracking_table_max_keys.unwrap_or(TRACKING_TABLE_KEYS_DEFAULT),
            readers: self.readers.decide()?,
            scripts: self.scripts.decide()?,
            maxmemory: self.maxmemory.decide()?,
            memory: self.memory.decide()?,
            push_buffer_bytes: bytes_from(
                "push-buffer-bytes",
                self.push_buffer_bytes.as_deref(),
                (PUSH_BUFFER_BYTES_MIN, PUSH_BUFFER_BYTES_DEFAULT),
            )? as usize,
            client_output_bytes: bytes_from(
                "client-output-bytes",
                self.client_output_bytes.as_deref(),
                (OUTPUT_BYTES_MIN, CLIENT_OUTPUT_BYTES_DEFAULT),
            )?,
            clients_output_bytes: bytes_from(
                "clients-output-bytes",
                self.clients_output_bytes.as_deref(),
                (OUTPUT_BYTES_MIN, clients_output_bytes_default()),
            )?,
            output_stall_seconds: self.output_stall_seconds.unwrap_or(OUTPUT_STALL_SECONDS_DEFAULT),
            spin: spin(self.spin_us.as_deref(), shares_cores)?,
            users,
            user_limits: self.user_limits.decide()?,
            insecure,
            requirepass: self.requirepass,
            exposed: self.exposed,
            log_level: log_level(self.log_level.as_deref().unwrap_or("warn"))?,
        })
    }
}

/// The default limit of unread output of all clients together.
fn clients_output_bytes_default() -> u64 {
    match MemoryLimit::read().bytes() {
        // The system does not report its memory.
        0 => CLIENTS_OUTPUT_BYTES_DEFAULT,
        bytes => (bytes / CLIENTS_OUTPUT_PART).clamp(OUTPUT_BYTES_MIN, CLIENTS_OUTPUT_BYTES_DEFAULT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The configuration of these flags, or the text of the refusal.
    pub(super) fn decide(words: &[&str]) -> Result<Config, String> {
        let flags = Flags::try_parse_from([&["keytide"], words].concat()).map_err(|error| error.to_string())?;
        flags.decide().map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_it_listens_on_loopback_with_a_shard_for_each_core() {
        let config = decide(&[]).expect("the defaults are a configuration");
        assert_eq!((config.bind.to_string().as_str(), config.port), ("127.0.0.1", Some(6379)));
        assert_eq!(config.shards as usize, config.cores.len());
        assert_eq!((config.ring_bytes, config.spin), (64 << 20, Spin::Micros(50)));
    }

    #[test]
    fn the_limit_of_memory_has_a_policy_with_a_name() {
        let limit =
            |words: &[&str]| decide(words).map(|config| (config.maxmemory.bytes, config.maxmemory.policy.name()));
        assert_eq!(limit(&[]), Ok((0, "noeviction")));
        let given = limit(&["--maxmemory", "1g", "--maxmemory-policy", "allkeys-s3fifo"]);
        assert_eq!(given, Ok((1 << 30, "allkeys-s3fifo")));
        assert!(limit(&["--maxmemory", "x"]).unwrap_err().starts_with("--maxmemory x: a number of bytes"));
        assert!(limit(&["--maxmemory-policy", "x"]).unwrap_err().contains("one of noeviction, allkeys-lru"));
    }

    #[test]
    fn the_port_of_grpc_is_a_port_any_or_none() {
        let grpc_port = |flags: &[&str]| decide(flags).map(|config| config.grpc_port);
        assert_eq!(grpc_port(&[]), Ok(Some(2113)));
        assert_eq!(grpc_port(&["--grpc-port", "0"]), Ok(None));
        assert_eq!(grpc_port(&["--grpc-port", "any"]), Ok(Some(0)));
        assert_eq!(grpc_port(&["--grpc-port", "2114"]), Ok(Some(2114)));
        let wrong = "--grpc-port x: a port, 0 for none, or any for any free port";
        assert_eq!(grpc_port(&["--grpc-port", "x"]), Err(wrong.to_owned()));
    }

    #[test]
    fn other_machines_are_served_with_a_password_or_on_request_only() {
        assert!(decide(&["--bind", "0.0.0.0"]).unwrap_err().contains("--requirepass"));
        assert!(decide(&["--bind", "0.0.0.0", "--requirepass", ""]).unwrap_err().contains("--requirepass"));
        assert!(decide(&["--bind", "0.0.0.0", "--requirepass", "x"]).is_ok());
        assert!(decide(&["--bind", "0.0.0.0", "--insecure"]).is_ok());
    }

    #[test]
    fn a_name_to_listen_on_is_resolved() {
        assert!(decide(&["--bind", "localhost"]).is_ok_and(|config| config.bind.is_loopback()));
        assert_eq!(decide(&["--bind", "::1"]).map(|config| config.bind.to_string()), Ok("::1".into()));
        let refused = decide(&["--bind", "no such host"]).unwrap_err();
        assert!(refused.starts_with("--bind no such host: ") && refused.contains("an address"), "{refused}");
        assert!(decide(&["--bind", ""]).is_err());
    }

    #[test]
    fn a_level_of_logging_is_a_word_or_a_filter() {
        for level in ["error", "WARN", "info", "debug", "trace", "off", "keytide_net=debug", "info,keytide_net=trace"] {
            assert_eq!(decide(&["--log-level", level]).map(|config| config.log_level), Ok(level.to_owned()));
        }
        for level in ["wran", "", "warn,wran", "keytide_net", "keytide_net=wran", "=debug", "info,"] {
            let refused = decide(&["--log-level", level]).unwrap_err();
            assert!(refused.contains("error, warn, info, debug, trace or off"), "{refused}");
        }
    }

    #[test]
    fn there_is_at_least_one_client_and_a_part_of_them_may_be_strangers() {
        for flag in ["--maxclients", "--unauthenticated-clients"] {
            assert!(decide(&[flag, "0"]).unwrap_err().starts_with(&format!("{flag} 0: from 1 to")));
        }
        let strangers = |words: &[&str]| decide(words).map(|config| config.unauthenticated_clients);
        assert_eq!(strangers(&[]), Ok(None));
        assert_eq!(strangers(&["--unauthenticated-clients", "7"]), Ok(Some(7)));
        let timeout = |words: &[&str]| decide(words).map(|config| config.auth_timeout_ms);
        assert_eq!(timeout(&[]), Ok(Some(60_000)));
        assert_eq!(timeout(&["--auth-timeout", "5s"]), Ok(Some(5_000)));
        assert_eq!(timeout(&["--auth-timeout", "0"]), Ok(None));
        assert!(timeout(&["--auth-timeout", "5"]).unwrap_err().contains("90s"));
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
        assert_eq!(decide(&["--groups-bytes", "1m"]).map(|c| c.memory.groups), Ok(1 << 20));
        assert!(decide(&["--input-bytes", "10"]).unwrap_err().contains("at least 65536"));
        let limits = decide(&["--subscriptions-per-client", "3", "--subscription-queue-events", "7"]);
        assert_eq!(limits.map(|c| (c.subscriptions.per_client, c.subscriptions.queue_events)), Ok((3, 7)));
    }

    /// The configuration of a file with this text, and these flags.
    fn decide_with_file(name: &str, text: &str, words: &[&str]) -> Result<Config, String> {
        let path = std::env::temp_dir().join(format!("keytide-config-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).expect("a file in the temporary directory");
        let config = decide(&[&["--config", path.to_str().expect("a plain path")], words].concat());
        std::fs::remove_file(&path).expect("the file was written");
        config
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
        let text = "port = 7000\nring-bytes = \"1m\"\n";
        let config = decide_with_file("read", text, &["--port", "7001"]);
        assert_eq!(config.map(|c| (c.port, c.ring_bytes)), Ok((Some(7001), 1 << 20)));
    }

    #[test]
    fn an_error_of_the_file_names_the_line() {
        let error = |name: &str, last: &str| {
            let text = format!("# A comment.\nfsync = \"os\"\n\n{last}\ndir = \"/data\"\n");
            let error = decide_with_file(name, &text, &[]).expect_err(last);
            assert!(error.contains(&format!("{name}.toml line 4: ")), "{error}");
            assert!(!error.contains('\n'), "{error}");
            error
        };
        assert!(error("misspelt", "prot = 7000").contains("prot"));
        assert!(error("type", "port = \"abc\"").contains("abc"));
        assert!(error("range", "port = 70000").contains("70000"));
        assert!(error("syntax", "port = = 3").contains("line 4"));
        assert!(error("value", "snapshots = 0").ends_with("line 4: snapshots = 0: at least 1"));
        assert!(error("level", "log-level = \"wran\"").contains("log-level = wran: "));
        assert!(
            error("policy", "maxmemory-policy = \"x\"").contains("line 4: maxmemory-policy = x: one of noeviction")
        );
        // Nothing of a password is shown.
        for (name, last) in [
            ("secret-number", "requirepass = 12345678"),
            ("secret-syntax", "requirepass = hunter12345678"),
            ("secret-open", "requirepass = \"12345678"),
            ("secret-user", "user = \"anna >12345678\""),
            ("secret-quoted", "\"user\" = [12345678]"),
        ] {
            let error = error(name, last);
            assert!(!error.contains("12345678") && error.contains("is expected, in quotes"), "{error}");
        }
        assert!(error("bind", "bind = \"0.0.0.0\"").contains("line 4: bind = 0.0.0.0 serves other machines"));
    }
}
