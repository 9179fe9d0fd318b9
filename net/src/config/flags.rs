//! The flags by name: on the command line, in the environment, in the file.

use super::ConfigError;
use super::durability::DurabilityFlags;
use super::import::ImportFlags;
use super::maxmemory::MaxmemoryFlags;
use super::memory::MemoryFlags;
use super::origin::{Origin, Origins, variable};
use super::pubsub::PubsubFlags;
use super::readers::ReaderFlags;
use super::scripts::ScriptFlags;
use super::slow_log::SlowLogFlags;
use super::tls::TlsFlags;
use super::tracking::TrackingFlags;
use super::user_limits::UserLimitFlags;
use super::users::UserFlags;
use super::values::{bytes_from, refused};
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use keytide_engine::limits::SubscriptionLimits;
use serde::Deserialize;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;

/// The given flags, from the command line, the environment or the file: `None` for those not given.
#[derive(Parser, Deserialize, Debug, Default)]
#[command(name = "keytide", version, about = "A Redis-protocol cache that records every mutation in a stream")]
#[command(args_conflicts_with_subcommands = true)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Flags {
    /// The subcommand, if any.
    #[command(subcommand)]
    #[serde(skip)]
    pub command: Option<BinaryCommand>,
    /// TOML file with these flags by their long names
    #[arg(long, env = "KEYTIDE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// Address to listen on, or a host name [default: 127.0.0.1]
    #[arg(long, env = "KEYTIDE_BIND", value_name = "ADDR")]
    pub(super) bind: Option<String>,
    /// Port of the Redis protocol; 0 = any free port, or none with --tls-port [default: 6379]
    #[arg(long, env = "KEYTIDE_PORT")]
    pub(super) port: Option<u16>,
    /// Port of gRPC, for clients of KurrentDB, and of HTTP; 0 = off, any = any free port [default: 2113]
    #[arg(long, env = "KEYTIDE_GRPC_PORT", value_name = "PORT")]
    #[serde(default, deserialize_with = "super::values::text_or_number")]
    pub(super) grpc_port: Option<String>,
    /// Takes the passwords of gRPC calls without TLS too
    #[arg(long, env = "KEYTIDE_GRPC_PLAIN_CREDENTIALS", num_args = 0..=1, default_missing_value = "true")]
    pub(super) grpc_plain_credentials: Option<bool>,
    /// How long clients of gRPC may be silent before they are asked for a sign of life; those that give none in twice that time
    /// are closed; as 10s or 1m, 0 = they are not asked [default: 10s]
    #[arg(long, env = "KEYTIDE_GRPC_KEEPALIVE", value_name = "SPAN")]
    pub(super) grpc_keepalive: Option<String>,
    /// Number of shards; more shards than cores share the cores, which costs time [default: one per core]
    #[arg(long, env = "KEYTIDE_SHARDS", value_name = "N")]
    pub(super) shards: Option<u16>,
    /// Cores to pin the shards to, in turn, as in 0,2,4-7 [default: all]
    #[arg(long, env = "KEYTIDE_CORES", value_name = "LIST")]
    pub(super) cores: Option<String>,
    /// Size of each shard's ring in bytes, rounded up to a power of two; suffixes k, m, g; 0 = no recording [default:
    /// 64m]
    #[arg(long, env = "KEYTIDE_RING_BYTES", value_name = "BYTES")]
    pub(super) ring_bytes: Option<String>,
    /// Heap memory to prefault at start, for all shards, in bytes; suffixes k, m, g [default: 128m]
    #[arg(long, env = "KEYTIDE_HEAP_BYTES", value_name = "BYTES")]
    pub(super) heap_bytes: Option<String>,
    /// Deleted keys for which each shard keeps the stream's revision counter [default: 1048576]
    #[arg(long, env = "KEYTIDE_ABSENT_STREAMS", value_name = "N")]
    pub(super) absent_streams: Option<usize>,
    /// Number of databases that SELECT may name [default: 16]
    #[arg(long, env = "KEYTIDE_DATABASES", value_name = "N")]
    pub(super) databases: Option<u64>,
    /// Maximum number of connected clients [default: 10000]
    #[arg(long, env = "KEYTIDE_MAXCLIENTS", value_name = "N")]
    pub(super) maxclients: Option<u64>,
    /// Maximum number of clients that have not authenticated [default: a quarter of --maxclients, at most 1000]
    #[arg(long, env = "KEYTIDE_UNAUTHENTICATED_CLIENTS", value_name = "N")]
    pub(super) unauthenticated_clients: Option<u64>,
    /// Time for a client to authenticate, as 60s or 1m; 0 = unlimited [default: 60s]
    #[arg(long, env = "KEYTIDE_AUTH_TIMEOUT", value_name = "SPAN")]
    pub(super) auth_timeout: Option<String>,
    /// Maximum number of subscriptions per client [default: 1000]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTIONS_PER_CLIENT", value_name = "N")]
    pub(super) subscriptions_per_client: Option<usize>,
    /// Maximum number of keys that one command may wait for, such as BLPOP [default: 10000]
    #[arg(long, env = "KEYTIDE_WAITING_KEYS_PER_CLIENT", value_name = "N")]
    pub(super) waiting_keys_per_client: Option<usize>,
    /// Events queued for a subscription before it falls behind [default: 4096]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTION_QUEUE_EVENTS", value_name = "N")]
    pub(super) subscription_queue_events: Option<usize>,
    /// Bytes of events queued for a subscription before it falls behind; suffixes k, m, g [default: 4m]
    #[arg(long, env = "KEYTIDE_SUBSCRIPTION_QUEUE_BYTES", value_name = "BYTES")]
    pub(super) subscription_queue_bytes: Option<String>,
    /// Bytes of unsent output at which a subscriber gets no more events; suffixes k, m, g [default: 256k]
    #[arg(long, env = "KEYTIDE_PUSH_BUFFER_BYTES", value_name = "BYTES")]
    pub(super) push_buffer_bytes: Option<String>,
    /// Bytes of unread output after which a client's commands wait; suffixes k, m, g [default: 256m]
    #[arg(long, env = "KEYTIDE_CLIENT_OUTPUT_BYTES", value_name = "BYTES")]
    pub(super) client_output_bytes: Option<String>,
    /// Bytes of unread output of all clients together after which the commands of those with the most wait; suffixes k,
    /// m, g [default: 1g, or an eighth of the memory if that is less]
    #[arg(long, env = "KEYTIDE_CLIENTS_OUTPUT_BYTES", value_name = "BYTES")]
    pub(super) clients_output_bytes: Option<String>,
    /// Seconds without reading after which a client whose commands wait is closed; 0 = never [default: 60]
    #[arg(long, env = "KEYTIDE_OUTPUT_STALL_SECONDS", value_name = "SECONDS")]
    pub(super) output_stall_seconds: Option<u64>,
    /// Microseconds without work after which a core sleeps; 0 = at once, `forever` = never [default: 50, or 0 if shards
    /// share cores]
    #[arg(long, env = "KEYTIDE_SPIN_US", value_name = "US")]
    pub(super) spin_us: Option<String>,
    /// Password of the default user, whom everything is permitted to
    #[arg(long, env = "KEYTIDE_REQUIREPASS", value_name = "PASSWORD", hide_env_values = true)]
    pub(super) requirepass: Option<String>,
    /// Serve other machines without a password
    #[arg(long, env = "KEYTIDE_INSECURE", num_args = 0, default_missing_value = "true")]
    pub(super) insecure: Option<bool>,
    /// error, warn, info, debug, trace or off; or a filter such as keytide_net=debug [default: warn]
    #[arg(long, env = "KEYTIDE_LOG_LEVEL", value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) durability: DurabilityFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) maxmemory: MaxmemoryFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) memory: MemoryFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) pubsub: PubsubFlags,
    #[serde(flatten)]
    #[command(flatten)]
    pub(super) readers: ReaderFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) scripts: ScriptFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) tracking: TrackingFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) slow_log: SlowLogFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) users: UserFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) user_limits: UserLimitFlags,
    #[command(flatten)]
    #[serde(flatten)]
    pub(super) tls: TlsFlags,
    /// The flags with a password on the command line.
    #[arg(skip)]
    #[serde(skip)]
    pub(super) exposed: Vec<&'static str>,
    /// The origins of settings that are not from the command line.
    #[arg(skip)]
    #[serde(skip)]
    pub(super) origins: Origins,
}

/// The subcommands of the binary.
#[derive(Subcommand, Debug, Clone, PartialEq, Eq)]
pub enum BinaryCommand {
    /// Check a directory of --dir completely, while no server uses it
    ///
    /// Exits with status 0 if it is sound, 1 if it is damaged, 2 if it cannot be checked. Problems that a start repairs
    /// by itself are only noted.
    Check {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Make the intact parts of damaged logs usable; removed parts stay there as *.damaged
        #[arg(long)]
        repair: bool,
    },
    /// Print the rule for a password, read from standard input: its hash, for --user and the file of users
    HashPassword,
    /// Copy the keys of an RDB file or of a running Redis into a running server
    ///
    /// Exits with status 0 if all were copied, 1 if some were not or it could not be finished, 2 if the command line is not
    /// right. Each key is written with RESTORE, and so is an event.
    Import(ImportFlags),
}

impl Flags {
    /// Parses a command line, whose first word is the program, and the environment.
    ///
    /// # Errors
    /// The flag or variable with an invalid value; or clap's own text, which may also be the requested help.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Flags, ConfigError> {
        let words: Vec<OsString> = words.into_iter().collect();
        let command = Flags::command();
        let matches = match command.try_get_matches_from(&words) {
            Ok(matches) => matches,
            Err(error) => return Err(variable_error(&error, &words).unwrap_or(ConfigError::Usage(error))),
        };
        let mut flags = Flags::from_arg_matches(&matches)?;
        let from_environment = |id: &&str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        let is_on_line = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if is_on_line("requirepass") && flags.requirepass.as_ref().is_some_and(|password| !password.is_empty()) {
            flags.exposed.push("--requirepass");
        }
        if is_on_line("user") && flags.users.has_passwords() {
            flags.exposed.push("--user");
        }
        for id in matches.ids().map(clap::Id::as_str).filter(from_environment) {
            flags.origins.note(id.replace('_', "-"), Origin::Variable);
        }
        Ok(flags)
    }

    /// The limits of subscriptions.
    pub(super) fn subscription_limits(&self) -> Result<SubscriptionLimits, ConfigError> {
        let limits = SubscriptionLimits::default();
        if self.subscription_queue_events == Some(0) {
            return Err(refused("subscription-queue-events", "0", "at least 1 event"));
        }
        let queue_bytes = self.subscription_queue_bytes.as_deref();
        Ok(SubscriptionLimits {
            per_client: self.subscriptions_per_client.unwrap_or(limits.per_client),
            queue_events: self.subscription_queue_events.unwrap_or(limits.queue_events),
            queue_bytes: bytes_from("subscription-queue-bytes", queue_bytes, (1, limits.queue_bytes))?,
            ..limits
        })
    }

    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: Flags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(bind port grpc_port grpc_plain_credentials grpc_keepalive shards cores ring_bytes heap_bytes absent_streams maxclients spin_us requirepass);
        fill!(databases insecure log_level unauthenticated_clients auth_timeout);
        fill!(waiting_keys_per_client client_output_bytes clients_output_bytes output_stall_seconds);
        fill!(subscriptions_per_client subscription_queue_events subscription_queue_bytes push_buffer_bytes);
        self.durability.fill_from(file.durability);
        self.maxmemory.fill_from(file.maxmemory);
        self.memory.fill_from(file.memory);
        self.pubsub.fill_from(file.pubsub);
        self.readers.fill_from(file.readers);
        self.scripts.fill_from(file.scripts);
        self.tracking.fill_from(file.tracking);
        self.slow_log.fill_from(file.slow_log);
        self.users.fill_from(file.users);
        self.user_limits.fill_from(file.user_limits);
        self.tls.fill_from(file.tls);
    }
}

/// The error of a variable's value, which clap attributes to the flag. `None` if the error is on the command line.
fn variable_error(error: &clap::Error, words: &[OsString]) -> Option<ConfigError> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    // Such as `--port <PORT>`.
    let flag = text(ContextKind::InvalidArg)?.strip_prefix("--")?.split([' ', '=']).next()?.to_owned();
    let is_flag = |word: &OsString| {
        let rest = word.to_str().and_then(|word| word.strip_prefix("--")?.strip_prefix(&flag));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if words.iter().any(is_flag) || std::env::var_os(variable(&flag)).is_none() {
        return None;
    }
    let allowed = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("{} is expected", values.join(" or ")),
        _ => error.source().map_or_else(|| "not a value".to_owned(), ToString::to_string),
    };
    let value = text(ContextKind::InvalidValue).unwrap_or_default();
    Some(ConfigError::Value { flag, value, reason: allowed, origin: Origin::Variable })
}
