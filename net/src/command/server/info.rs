//! INFO: the server's figures, by section.

mod commands;
mod memory;

use crate::access::{Category, Reason};
use crate::command::options::is;
use crate::command::{Access, Command, HistoryContext, Keys, Progress, Run};
use crate::config::Spin;
use crate::process::Usage;
use crate::resp::{Args, Reply};
use crate::server::Stat;
use keytide_engine::keyspace::DatabaseKeys;
use keytide_engine::position::ShardId;
use keytide_engine::stream_name::Database;
use std::fmt::{Display, Write};

/// The version of Redis whose protocol and texts are implemented: clients choose their commands by it.
pub const REDIS_VERSION: &str = crate::limits::REDIS_VERSION.0;

pub static INFO: Command = Command {
    name: "info",
    arity: -1,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Dangerous]),
    summary: "Returns figures of the server, all or some sections of them.",
    group: "server",
    // After the commit, so that it includes the commands before it; in a transaction at once.
    run: Run::History(info),
};

/// A section's name, whether INFO without arguments includes it, and the function that writes it.
type Section = (&'static str, bool, fn(&HistoryContext<'_>, &mut Text));

const SECTIONS: &[Section] = &[
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory::memory),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("Replication", true, replication),
    ("CPU", true, cpu),
    ("Commandstats", false, commands::commandstats),
    ("Latencystats", false, commands::latencystats),
    ("Modules", true, |_, _| {}),
    ("Errorstats", true, commands::errorstats),
    ("Cluster", true, |_, text| text.row("cluster_enabled", 0)),
    ("CDC", true, cdc),
    ("Subscriptions", true, subscriptions),
    ("Keyspace", true, keyspace),
];

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    fn row(&mut self, name: &str, value: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    fn bytes(&mut self, name: &str, bytes: u64) {
        self.row(name, bytes);
        self.row(&format!("{name}_human"), human(bytes));
    }
}

fn info(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    let names = args.rest(1);
    let is_wanted = |&&(name, is_default, _): &&Section| {
        let is_asked = |word| {
            is(word, name) || ["all", "everything"].iter().any(|all| is(word, all)) || is_default && is(word, "default")
        };
        if names.is_empty() { is_default } else { names.iter().any(is_asked) }
    };
    let mut text = Text::default();
    for (name, _, write) in SECTIONS.iter().filter(is_wanted) {
        if !text.0.is_empty() {
            text.0 += "\r\n";
        }
        let _ = write!(text.0, "# {name}\r\n");
        write(context, &mut text);
    }
    reply.verbatim("txt", &text.0);
    Progress::Done
}

fn server(context: &HistoryContext<'_>, text: &mut Text) {
    let server = context.server;
    let uptime_seconds = keytide_engine::clock::steady_millis().saturating_sub(server.started_ms) / 1000;
    text.row("redis_version", REDIS_VERSION);
    text.row("keytide_version", env!("CARGO_PKG_VERSION"));
    text.row("redis_mode", "standalone");
    text.row("os", "Linux");
    text.row("arch_bits", usize::BITS);
    text.row("multiplexing_api", "io_uring");
    text.row("process_id", std::process::id());
    text.row("run_id", &server.history_id);
    text.row("tcp_port", server.address().port());
    text.row("server_time_usec", keytide_engine::clock::unix_micros());
    text.row("uptime_in_seconds", uptime_seconds);
    text.row("uptime_in_days", uptime_seconds / 86_400);
    text.row("shards", server.shards());
    let cores: Vec<String> = server.config.cores.iter().map(usize::to_string).collect();
    text.row("cores", cores.join(","));
    match server.config.spin {
        Spin::Micros(micros) => text.row("spin_us", micros),
        Spin::Forever => text.row("spin_us", "forever"),
    }
    text.row("io_threads_active", 0);
}

fn clients(context: &HistoryContext<'_>, text: &mut Text) {
    text.row("connected_clients", context.server.client_count());
    text.row("cluster_connections", 0);
    text.row("maxclients", context.server.maxclients());
    text.row("unauthenticated_clients", context.server.stranger_count());
    text.row("unauthenticated_clients_max", context.server.strangers_max());
    text.row("blocked_clients", context.server.total(Stat::Blocked));
    text.row("tracking_clients", context.server.tracking.clients());
    text.row("client_output_bytes", context.server.total(Stat::OutputBytes));
    text.row("clients_stalled_by_output", context.server.total(Stat::StalledClients));
}

fn persistence(context: &HistoryContext<'_>, text: &mut Text) {
    let server = context.server;
    let status = |is_well: bool| if is_well { "ok" } else { "err" };
    let saves = server.on_disk.as_ref().map(|disk| disk.board.totals()).unwrap_or_default();
    let is_requested = server.on_disk.as_ref().is_some_and(|disk| disk.board.is_requested());
    let saved_s = server.on_disk.as_ref().map_or(server.started_ms / 1000, |disk| disk.board.last_save_s());
    text.row("loading", 0);
    text.row("async_loading", 0);
    text.row("rdb_changes_since_last_save", server.total(Stat::Recorded).saturating_sub(saves.saved_recorded));
    text.row("rdb_bgsave_in_progress", u8::from(saves.running > 0 || is_requested));
    text.row("rdb_last_save_time", saved_s);
    text.row("rdb_last_bgsave_status", status(!saves.has_failed));
    text.row("rdb_saves", saves.snapshots);
    text.row("aof_enabled", u8::from(server.on_disk.is_some()));
    text.row("aof_rewrite_in_progress", 0);
    text.row("aof_last_bgrewrite_status", "ok");
    for name in ["aof_rewrite_scheduled", "rdb_last_cow_size", "aof_last_cow_size", "module_fork_in_progress"] {
        text.row(name, 0);
    }
    let Some(disk) = &server.on_disk else { return text.row("aof_last_write_status", "ok") };
    let failure = disk.logs.iter().find_map(|log| log.failure());
    text.row("aof_last_write_status", status(failure.is_none()));
    let segments = || server.histories.iter().filter_map(|history| Some(history.segments()?.list().1));
    text.row("log_segments", segments().map(|list| list.len()).sum::<usize>());
    text.bytes(
        "log_bytes",
        segments().flat_map(|list| list.iter().map(|one| one.file_bytes).collect::<Vec<_>>()).sum(),
    );
    text.row("log_written_offset", disk.logs.iter().map(|log| log.written().0).sum::<u64>());
    let unsynced = disk.logs.iter().map(|log| log.written().0.saturating_sub(log.synced().0));
    text.row("log_unsynced_bytes", unsynced.sum::<u64>());
    text.row("log_failure", failure.unwrap_or_default());
    text.row("log_replayed_records", disk.replayed);
    text.row("snapshots_running", saves.running);
    text.row("snapshots_failed_total", saves.failures);
    text.row("snapshot_bytes_total", saves.bytes);
    text.row("snapshot_failure", disk.board.failure().filter(|_| saves.has_failed).unwrap_or_default());
}

fn stats(context: &HistoryContext<'_>, text: &mut Text) {
    let server = context.server;
    for (name, stat) in [
        ("total_connections_received", Stat::Connections),
        ("total_commands_processed", Stat::Commands),
        ("total_net_input_bytes", Stat::ReceivedBytes),
        ("total_net_output_bytes", Stat::SentBytes),
        ("rejected_connections", Stat::Rejected),
        ("accept_errors_total", Stat::AcceptErrors),
        ("unauthenticated_too_many_total", Stat::StrangersTooMany),
        ("unauthenticated_too_slow_total", Stat::StrangersTooSlow),
        ("unauthenticated_too_much_total", Stat::StrangersTooMuch),
        ("expired_keys", Stat::Expired),
        ("expired_subkeys", Stat::ExpiredFields),
        ("evicted_keys", Stat::Evicted),
        ("evicted_clients", Stat::EvictedClients),
        ("keyspace_hits", Stat::Hits),
        ("keyspace_misses", Stat::Misses),
        ("commands_forwarded_total", Stat::Forwarded),
        ("blocked_looks_total", Stat::BlockedLooks),
        ("turns_total", Stat::Turns),
        ("turns_cut_total", Stat::CutTurns),
        ("long_commands_total", Stat::LongCommands),
        ("client_output_limit_disconnections", Stat::OutputClosed),
        ("tls_handshakes_total", Stat::TlsHandshakes),
        ("tls_failures_total", Stat::TlsFailures),
        ("parks_total", Stat::Parks),
    ] {
        text.row(name, server.since_reset(stat));
    }
    for (name, reason) in [
        ("acl_access_denied_auth", Reason::Auth),
        ("acl_access_denied_cmd", Reason::Command),
        ("acl_access_denied_key", Reason::Key),
        ("acl_access_denied_channel", Reason::Channel),
        ("acl_access_denied_tls_cert", Reason::TlsCertificate),
    ] {
        text.row(name, server.users.denials.count(reason));
    }
    for limit in server.users.limits.all() {
        text.row(&format!("{}_refused_total", limit.name().replace('-', "_")), limit.refused());
    }
    text.row("instantaneous_ops_per_sec", server.commands_per_second(context.now_ms));
    text.row("total_error_replies", server.command_totals().errors.values().sum::<u64>());
    text.row("longest_turn_us", server.longest_turn_us());
    if let Some(tls) = &server.tls {
        let now_s = (context.now_ms / 1000) as i64;
        text.row("tls_certificate_expires_in_seconds", tls.expires_s() - now_s);
    }
    // Every core knows all of them.
    for (name, stat) in [
        ("pubsub_channels", Stat::Channels),
        ("pubsub_patterns", Stat::ChannelPatterns),
        ("pubsubshard_channels", Stat::ShardChannels),
    ] {
        text.row(name, server.stat(ShardId(0), stat));
    }
    text.row("tracking_total_keys", server.total(Stat::TrackedKeys));
    text.row("tracking_total_items", server.total(Stat::TrackedItems));
    text.row("tracking_total_prefixes", server.tracking.prefixes().len());
    text.row("latest_fork_usec", 0);
    // What tools show of Redis and is not here: no process is forked, nothing replicated, and memory never defragmented by
    // moving values.
    for name in [
        "total_forks",
        "sync_full",
        "sync_partial_ok",
        "sync_partial_err",
        "total_net_repl_input_bytes",
        "total_net_repl_output_bytes",
        "migrate_cached_sockets",
        "slave_expires_tracked_keys",
        "active_defrag_hits",
        "active_defrag_misses",
        "active_defrag_key_hits",
        "active_defrag_key_misses",
    ] {
        text.row(name, 0);
    }
}

fn replication(context: &HistoryContext<'_>, text: &mut Text) {
    text.row("role", "master");
    text.row("connected_slaves", 0);
    text.row("master_failover_state", "no-failover");
    text.row("master_replid", &context.server.history_id);
    // As of a master that nobody has ever replicated.
    text.row("master_replid2", "0".repeat(40));
    text.row("master_repl_offset", 0);
    text.row("second_repl_offset", -1);
    for name in ["repl_backlog_active", "repl_backlog_size", "repl_backlog_first_byte_offset", "repl_backlog_histlen"] {
        text.row(name, 0);
    }
}

fn cpu(_context: &HistoryContext<'_>, text: &mut Text) {
    let usage = Usage::now();
    text.row("used_cpu_sys", format_args!("{:.6}", usage.system.as_secs_f64()));
    text.row("used_cpu_user", format_args!("{:.6}", usage.user.as_secs_f64()));
    // There are no children.
    text.row("used_cpu_sys_children", "0.000000");
    text.row("used_cpu_user_children", "0.000000");
}

fn cdc(context: &HistoryContext<'_>, text: &mut Text) {
    let server = context.server;
    text.row("cdc_enabled", u8::from(server.is_recording()));
    text.row("cdc_history_id", &server.history_id);
    text.row("cdc_ring_bytes_per_shard", server.config.ring_bytes);
    text.row("cdc_events_recorded_total", server.total(Stat::Recorded));
    text.row("cdc_first_position", context.history.first_available().0);
    text.row("cdc_next_position", context.history.frontier().0);
}

fn subscriptions(context: &HistoryContext<'_>, text: &mut Text) {
    let server = context.server;
    text.row("subscriptions", server.total(Stat::Subscriptions));
    text.row("subscriptions_live", server.total(Stat::LiveSubscriptions));
    text.row("subscriptions_demoted", server.total(Stat::DemotedSubscriptions));
    for (name, stat) in [
        ("subscription_events_total", Stat::PushedEvents),
        ("subscriptions_fell_behind_total", Stat::FellBehind),
        ("subscriptions_dropped_total", Stat::DroppedSubscriptions),
    ] {
        text.row(name, server.since_reset(stat));
    }
}

fn keyspace(context: &HistoryContext<'_>, text: &mut Text) {
    let mut databases = context.server.databases();
    let others = databases.values().fold((0, 0), |(keys, expiring), of| (keys + of.keys, expiring + of.expiring));
    let (keys, volatile) = (context.server.total(Stat::Keys), context.server.total(Stat::Volatile));
    // Cores publish their figures one after the other.
    let first = DatabaseKeys {
        keys: (keys as usize).saturating_sub(others.0),
        expiring: (volatile as usize).saturating_sub(others.1),
    };
    databases.insert(Database::FIRST, first);
    for (Database(number), DatabaseKeys { keys, expiring }) in databases.into_iter().filter(|(_, of)| of.keys > 0) {
        text.row(&format!("db{number}"), format_args!("keys={keys},expires={expiring},avg_ttl=0"));
    }
}

/// A number of bytes with two decimals, in a suitable unit.
fn human(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "B");
    for next in ["K", "M", "G", "T"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" { format!("{bytes}B") } else { format!("{value:.2}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        assert_eq!(human(0), "0B");
        assert_eq!(human(1023), "1023B");
        assert_eq!(human(1_558_520), "1.49M");
        assert_eq!(human(25_276_510_208), "23.54G");
    }
}
