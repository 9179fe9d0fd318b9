//! CONFIG: one table of rows, with Redis's names for equivalent settings.

use super::numbers::{check_count, check_from_minus_one, count};
use super::subcommand;
use super::{keyspace_events, maxmemory, output_limit, threshold};
use crate::access::{RuleError, UserLimits};
use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::config::{Durability, Spin, parse_bytes, parse_span_ms};
use crate::limits::PASSWORD_BYTES_MAX;
use crate::resp::{Args, Reply, error_text};
use crate::server::Server;
use crate::tls::{ClientCertificates, TlsFiles};
use keytide_engine::account::Limit;
use keytide_engine::filter::Glob;
use keytide_engine::number::parse_i64;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

static HELP: Command = help("config|help", "server");

pub static CONFIG: Command = Command {
    name: "config",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "The server's configuration.",
    group: "server",
    run: Run::Container(&[&GET, &SET, &RESETSTAT, &REWRITE, &HELP]),
};

const fn config(
    name: &'static str,
    arity: i32,
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    subcommand(name, arity, &[Flag::Admin], summary, run)
}

static GET: Command = config("config|get", -3, "Returns the values whose names match the patterns.", get);
pub(super) static SET: Command = config("config|set", -4, "Sets values.", set);
static RESETSTAT: Command = config("config|resetstat", 2, "Resets the counters of INFO.", resetstat);
static REWRITE: Command = config("config|rewrite", 2, "Refused: the configuration file is not rewritten.", rewrite);

/// One value.
struct Row {
    name: &'static str,
    value: fn(&Server) -> String,
    change: Change,
}

/// How CONFIG SET may change a value.
#[derive(Clone, Copy)]
enum Change {
    /// Not at all.
    Never,
    /// Only to its present value: clients do that to make sure.
    Same,
    /// To any value that `check` accepts.
    Free { check: fn(&Server, &[u8]) -> Result<(), String>, apply: fn(&Server, &[u8]) },
    /// To any number, of which 0 is no limit.
    Limit(fn(&UserLimits) -> &Limit),
    /// To any value with which, and with those of its kind in the same call, the files of TLS can be used.
    Tls(fn(&mut TlsFiles, &[u8]) -> bool),
}

const fn row(name: &'static str, change: Change, value: fn(&Server) -> String) -> Row {
    Row { name, value, change }
}

/// The names of settings that are passwords, also of those that only Redis has: they may be tried here.
const PASSWORDS: [&str; 5] =
    ["requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"];

/// Whether an argument of CONFIG SET is a password.
pub(super) fn is_secret(args: Args<'_>, place: usize) -> bool {
    let is_value = place > 2 && !place.is_multiple_of(2);
    is_value && PASSWORDS.iter().any(|name| args.get(place - 1).eq_ignore_ascii_case(name.as_bytes()))
}

/// What is shown instead of a password. Redis shows the password itself.
const REDACTED: &str = "(redacted)";

/// The row of a limit of users.
macro_rules! limit {
    ($name:literal $field:ident) => {
        row($name, Change::Limit(|limits| &limits.$field), |server| match server.users.limits.$field.max() {
            Limit::NONE => "0".to_owned(),
            max => max.to_string(),
        })
    };
}

/// The row of a bound of compact collections.
macro_rules! threshold {
    ($name:literal $field:ident) => {
        row(
            $name,
            Change::Free {
                check: threshold::check,
                apply: |server, value| threshold::apply(server, value, |all, number| all.$field = number),
            },
            |server| server.thresholds.get().$field.to_string(),
        )
    };
}

/// The row of the size of lists, which has two names.
const fn list_size(name: &'static str) -> Row {
    row(name, Change::Free { check: threshold::check_list, apply: threshold::apply_list }, |server| {
        server.thresholds.get().list_size.to_string()
    })
}

const ROWS: &[Row] = &[
    row("absent-streams", Change::Never, |server| server.config.absent_streams.to_string()),
    row("acl-pubsub-default", Change::Same, |_| "resetchannels".to_owned()),
    row("aclfile", Change::Never, |server| {
        server.users.file().map_or_else(String::new, |path| path.display().to_string())
    }),
    row(
        "acllog-max-len",
        Change::Free { check: check_count, apply: |server, value| server.users.denials.set_max(count(value)) },
        |server| server.users.denials.max().to_string(),
    ),
    // `os` here corresponds to `no` in Redis: the system decides.
    row("appendfsync", Change::Same, |server| match of_durability(server, |kept| kept.fsync_name().to_owned()) {
        name if name.is_empty() || name == "os" => "no".to_owned(),
        name => name,
    }),
    row("appendonly", Change::Same, |server| match server.config.durability {
        Some(_) => "yes".to_owned(),
        None => "no".to_owned(),
    }),
    limit!("auth-failures" auth_failures),
    row("auth-failures-window", Change::Free { check: check_window, apply: set_window }, |server| {
        format!("{}s", server.users.failed_logins.window_ms() / 1000)
    }),
    row("auth-timeout", Change::Never, |server| format!("{}s", server.config.auth_timeout_ms.unwrap_or(0) / 1000)),
    row("bind", Change::Same, |server| server.config.bind.to_string()),
    row(
        "client-output-buffer-limit",
        Change::Free { check: |_, value| output_limit::check(value), apply: output_limit::apply },
        output_limit::show,
    ),
    row("client-output-bytes", Change::Never, |server| server.client_output_bytes().to_string()),
    row("clients-output-bytes", Change::Never, |server| server.config.clients_output_bytes.to_string()),
    row("cluster-enabled", Change::Never, |_| "no".to_owned()),
    row("cores", Change::Never, |server| {
        let cores: Vec<String> = server.config.cores.iter().map(usize::to_string).collect();
        cores.join(",")
    }),
    row("databases", Change::Never, |server| server.config.databases.to_string()),
    row("dir", Change::Same, |server| of_durability(server, |kept| kept.dir.display().to_string())),
    row("fsync", Change::Never, |server| of_durability(server, |kept| kept.fsync_name().to_owned())),
    row("groups-bytes", Change::Never, |server| server.config.memory.groups.to_string()),
    threshold!("hash-max-listpack-entries" hash_entries),
    threshold!("hash-max-listpack-value" hash_value),
    threshold!("hash-max-ziplist-entries" hash_entries),
    threshold!("hash-max-ziplist-value" hash_value),
    row("heap-bytes", Change::Never, |server| server.config.heap_bytes.to_string()),
    threshold!("hll-sparse-max-bytes" sketch_bytes),
    row("input-bytes", Change::Never, |server| server.config.memory.input.to_string()),
    row("io-threads", Change::Never, |_| "1".to_owned()),
    row("latency-monitor-threshold", Change::Same, |_| "0".to_owned()),
    list_size("list-max-listpack-size"),
    list_size("list-max-ziplist-size"),
    row("maxclients", Change::Free { check: check_maxclients, apply: set_maxclients }, |server| {
        server.maxclients().to_string()
    }),
    row("maxmemory", Change::Free { check: maxmemory::check_limit, apply: maxmemory::apply_limit }, |server| {
        server.pool.limit().to_string()
    }),
    row(
        "maxmemory-clients",
        Change::Free { check: maxmemory::check_clients, apply: maxmemory::apply_clients },
        |server| server.clients_limit.get().to_string(),
    ),
    row(
        "maxmemory-policy",
        Change::Free { check: maxmemory::check_policy, apply: maxmemory::apply_policy },
        |server| server.pool.policy().name().to_owned(),
    ),
    row(
        "notify-keyspace-events",
        Change::Free { check: keyspace_events::check, apply: keyspace_events::apply },
        |server| server.keyspace_events.get().letters(),
    ),
    row("output-stall-seconds", Change::Never, |server| server.output_stall_seconds().to_string()),
    row("port", Change::Same, |server| server.plain_address().map_or(0, |address| address.port()).to_string()),
    row("proto-max-bulk-len", Change::Same, |_| keytide_engine::limits::STRING_BYTES_MAX.to_string()),
    row("push-buffer-bytes", Change::Never, |server| server.config.push_buffer_bytes.to_string()),
    row("requirepass", Change::Free { check: check_requirepass, apply: set_requirepass }, |server| {
        if server.users.has_default_password() { REDACTED } else { "" }.to_owned()
    }),
    row("retain-age", Change::Never, |server| {
        of_durability(server, |kept| kept.retain_ms.map_or(String::new(), |ms| format!("{}s", ms / 1000)))
    }),
    row("retain-bytes", Change::Never, |server| of_durability(server, |kept| kept.retain_bytes.to_string())),
    row("ring-bytes", Change::Never, |server| server.config.ring_bytes.to_string()),
    row("save", Change::Same, |_| String::new()),
    row("segment-bytes", Change::Never, |server| of_durability(server, |kept| kept.segment_bytes.to_string())),
    threshold!("set-max-intset-entries" set_integers),
    threshold!("set-max-listpack-entries" set_entries),
    threshold!("set-max-listpack-value" set_value),
    row("shards", Change::Never, |server| server.shards().to_string()),
    row(
        "slowlog-log-slower-than",
        Change::Free {
            check: check_from_minus_one,
            apply: |server, value| server.slow_log.set_threshold_us(parse_i64(value).unwrap_or(-1)),
        },
        |server| server.slow_log.threshold_us().to_string(),
    ),
    row(
        "slowlog-max-len",
        Change::Free { check: check_count, apply: |server, value| server.slow_log.set_max(count(value)) },
        |server| server.slow_log.max().to_string(),
    ),
    row("snapshot-bytes", Change::Never, |server| of_durability(server, |kept| kept.snapshot_bytes.to_string())),
    row("snapshots", Change::Never, |server| of_durability(server, |kept| kept.snapshots.to_string())),
    row("spin-us", Change::Never, |server| match server.config.spin {
        Spin::Micros(micros) => micros.to_string(),
        Spin::Forever => "forever".to_owned(),
    }),
    threshold!("stream-node-max-bytes" stream_bytes),
    threshold!("stream-node-max-entries" stream_entries),
    row("subscription-queue-bytes", Change::Never, |server| server.config.subscriptions.queue_bytes.to_string()),
    row("subscription-queue-events", Change::Never, |server| server.config.subscriptions.queue_events.to_string()),
    row("subscriptions-bytes", Change::Never, |server| server.config.memory.subscriptions.to_string()),
    row("subscriptions-per-client", Change::Never, |server| server.config.subscriptions.per_client.to_string()),
    row("tcp-backlog", Change::Never, |server| {
        server.descriptors().map_or(0, |descriptors| descriptors.backlog).to_string()
    }),
    row("tcp-keepalive", Change::Same, |_| "0".to_owned()),
    row("timeout", Change::Same, |_| "0".to_owned()),
    row("tls-auth-clients", Change::Tls(set_client_certificates), |server| {
        of_tls(server, |files| files.client_certificates.name().to_owned())
    }),
    row("tls-auth-clients-user", Change::Tls(set_names_users), |server| {
        of_tls(server, |files| if files.names_users { "CN" } else { "off" }.to_owned())
    }),
    row(
        "tls-ca-cert-file",
        Change::Tls(|files, value| {
            files.authorities = path(value);
            true
        }),
        |server| of_tls(server, |files| shown(files.authorities.as_deref())),
    ),
    row(
        "tls-cert-file",
        Change::Tls(|files, value| path(value).map(|path| files.certificate = path).is_some()),
        |server| of_tls(server, |files| shown(Some(&files.certificate))),
    ),
    row("tls-key-file", Change::Tls(|files, value| path(value).map(|path| files.key = path).is_some()), |server| {
        of_tls(server, |files| shown(Some(&files.key)))
    }),
    row("tls-port", Change::Same, |server| server.tls_address().map_or(0, |address| address.port()).to_string()),
    row(
        "tracking-table-max-keys",
        Change::Free { check: check_count, apply: |server, value| server.tracking.set_keys_max(count(value)) },
        |server| server.tracking.keys_max().to_string(),
    ),
    row("transactions-bytes", Change::Never, |server| server.config.memory.transactions.to_string()),
    row("unauthenticated-clients", Change::Never, |server| server.strangers_max().to_string()),
    limit!("user-commands" commands),
    limit!("user-connections" connections),
    limit!("user-groups" groups),
    limit!("user-groups-bytes" groups_bytes),
    limit!("user-subscriptions" subscriptions),
    limit!("user-subscriptions-bytes" subscriptions_bytes),
    row("waiting-keys-per-client", Change::Never, |server| server.config.waiting_keys_per_client.to_string()),
    row("waits-bytes", Change::Never, |server| server.config.memory.waits.to_string()),
    threshold!("zset-max-listpack-entries" sorted_entries),
    threshold!("zset-max-listpack-value" sorted_value),
    threshold!("zset-max-ziplist-entries" sorted_entries),
    threshold!("zset-max-ziplist-value" sorted_value),
];

/// A value of history on disk; empty if there is none.
fn of_durability(server: &Server, value: fn(&Durability) -> String) -> String {
    server.config.durability.as_ref().map_or(String::new(), value)
}

/// A value of TLS; empty if it is not served.
fn of_tls(server: &Server, value: fn(&TlsFiles) -> String) -> String {
    server.tls.as_ref().map_or(String::new(), |tls| value(&tls.files()))
}

fn shown(path: Option<&Path>) -> String {
    path.map_or(String::new(), |path| path.display().to_string())
}

/// A path; none where the value is empty.
fn path(value: &[u8]) -> Option<PathBuf> {
    (!value.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(value)))
}

fn set_client_certificates(files: &mut TlsFiles, value: &[u8]) -> bool {
    let named = ClientCertificates::NAMED.iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, whether)| files.client_certificates = *whether).is_some()
}

fn set_names_users(files: &mut TlsFiles, value: &[u8]) -> bool {
    let named =
        [("off", false), ("cn", true)].into_iter().find(|(name, _)| value.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, names)| files.names_users = names).is_some()
}

fn check_maxclients(server: &Server, value: &[u8]) -> Result<(), String> {
    check_client_count(value, server.clients_max())
}

/// Checks a number of clients against the limit of open files. The texts are Redis's.
fn check_client_count(value: &[u8], clients_max: u64) -> Result<(), String> {
    match parse_i64(value) {
        Some(count @ 1..=0xffff_ffff) if count as u64 > clients_max => Err(format!(
            "The operating system is not able to handle the specified number of clients, try with {clients_max}"
        )),
        None => Err("argument couldn't be parsed into an integer".to_owned()),
        Some(1..=0xffff_ffff) => Ok(()),
        Some(_) => Err(format!("argument must be between 1 and {} inclusive", u32::MAX)),
    }
}

fn set_maxclients(server: &Server, value: &[u8]) {
    if let Some(Ok(count)) = parse_i64(value).map(u64::try_from) {
        server.set_maxclients(count);
    }
}

fn check_requirepass(_server: &Server, value: &[u8]) -> Result<(), String> {
    if value.len() > PASSWORD_BYTES_MAX { Err(RuleError::PasswordTooLong.to_string()) } else { Ok(()) }
}

fn set_requirepass(server: &Server, value: &[u8]) {
    if server.users.set_default_password(value).is_ok() {
        tracing::info!(change = "requirepass", "users changed");
        server.note_users_changed();
    }
}

/// A limit: a number, with a unit where it is of bytes; 0 is none.
fn parse_limit(limit: &Limit, value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let max = if limit.unit() == "bytes" { parse_bytes(text)? } else { text.parse().ok()? };
    Some(if max == 0 { Limit::NONE } else { max })
}

fn check_limit(limit: &Limit, value: &[u8]) -> Result<(), String> {
    let wanted = || format!("a number of {} is expected, 0 for no limit", limit.unit());
    parse_limit(limit, value).map(|_| ()).ok_or_else(wanted)
}

fn check_window(_server: &Server, value: &[u8]) -> Result<(), String> {
    let wanted = || "a span of time is expected, as 60s or 1m".to_owned();
    parse_span_ms(&String::from_utf8_lossy(value)).map(|_| ()).ok_or_else(wanted)
}

fn set_window(server: &Server, value: &[u8]) {
    if let Some(window_ms) = parse_span_ms(&String::from_utf8_lossy(value)) {
        server.users.failed_logins.set_window_ms(window_ms);
    }
}

fn get(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let mut found: Vec<(&[u8], &Row)> = Vec::new();
    for pattern in args.rest(2).iter() {
        if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
            // A plain name is returned in the client's spelling, as in Redis.
            let named = ROWS.iter().find(|row| pattern.eq_ignore_ascii_case(row.name.as_bytes()));
            found.extend(named.map(|row| (pattern, row)));
        } else {
            let glob = match Glob::new(&pattern.to_ascii_lowercase()) {
                Ok(glob) => glob,
                Err(error) => return reply.error(error_text::err(&error)),
            };
            let matching = ROWS.iter().filter(|row| glob.matches(row.name.as_bytes()));
            found.extend(matching.map(|row| (row.name.as_bytes(), row)));
        }
    }
    let mut names = HashSet::new();
    found.retain(|(name, _)| names.insert(*name));
    reply.map(found.len());
    for (name, row) in found {
        reply.bulk(name);
        reply.text(&(row.value)(context.server));
    }
}

/// All values are checked before any is set.
fn set(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let words = args.rest(2);
    if !words.len().is_multiple_of(2) {
        return reply.error(error_text::SYNTAX);
    }
    let mut changes: Vec<(&Row, &[u8])> = Vec::new();
    let mut files = context.server.tls.as_ref().map(|tls| tls.files());
    for at in (0..words.len()).step_by(2) {
        let (name, value) = (words.get(at), words.get(at + 1));
        let Some(row) = ROWS.iter().find(|row| name.eq_ignore_ascii_case(row.name.as_bytes())) else {
            return reply.error([b"ERR Unknown option or number of arguments for CONFIG SET - '", name, b"'"].concat());
        };
        let is_double = changes.iter().any(|(other, _)| other.name == row.name);
        let checked = match row.change {
            _ if is_double => Err("duplicate parameter".to_owned()),
            Change::Free { check, .. } => check(context.server, value),
            Change::Limit(of) => check_limit(of(&context.server.users.limits), value),
            Change::Tls(change) => match files.as_mut().map(|files| change(files, value)) {
                Some(true) => Ok(()),
                Some(false) => Err("argument must be one of the allowed values".to_owned()),
                None => Err("TLS is not served: start with --tls-port".to_owned()),
            },
            Change::Same if (row.value)(context.server).as_bytes() == value => Ok(()),
            Change::Same | Change::Never => Err("can't set immutable config".to_owned()),
        };
        if let Err(reason) = checked {
            let name = row.name;
            return reply.error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"));
        }
        changes.push((row, value));
    }
    let is_of_tls = |(row, _): &(&Row, &[u8])| matches!(row.change, Change::Tls(_));
    if let Some(tls) = &context.server.tls
        && changes.iter().any(is_of_tls)
        && let Err(error) = tls.change(|files| {
            for (row, value) in &changes {
                if let Change::Tls(change) = row.change {
                    change(files, value);
                }
            }
        })
    {
        let name = error.setting().name();
        return reply.error(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {error}"));
    }
    for (row, value) in changes {
        match row.change {
            Change::Free { apply, .. } => apply(context.server, value),
            Change::Limit(of) => {
                let limit = of(&context.server.users.limits);
                limit.set_max(parse_limit(limit, value).unwrap_or(Limit::NONE));
            }
            Change::Never | Change::Same | Change::Tls(_) => {}
        }
    }
    reply.ok();
}

fn resetstat(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    context.server.reset_stats();
    reply.ok();
}

fn rewrite(_context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    reply.error("ERR The server is running without a config file");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_none_is_there_twice() {
        assert!(ROWS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn a_number_of_clients_is_checked() {
        let check_maxclients = |value| check_client_count(value, 100);
        assert_eq!(check_maxclients(b"1"), Ok(()));
        assert_eq!(check_maxclients(b"100"), Ok(()));
        assert!(check_maxclients(b"101").is_err_and(|text| text.ends_with("try with 100")));
        assert_eq!(check_maxclients(b"0"), Err("argument must be between 1 and 4294967295 inclusive".into()));
        assert_eq!(check_maxclients(b"x"), Err("argument couldn't be parsed into an integer".into()));
    }
}
