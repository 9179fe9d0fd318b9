//! Commands about the server.

mod catalogue;
mod cluster;
mod config;
mod debug;
mod docs;
mod flush;
mod info;
mod keyspace_events;
mod latency;
mod lolwut;
mod maxmemory;
mod memory;
mod module;
mod monitor;
mod numbers;
mod output_limit;
mod replication;
mod save;
mod shutdown;
mod slowlog;
mod threshold;
mod time;

use super::secrets::Secrets;
use super::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Reply};

/// A subcommand that runs with the client's session.
const fn subcommand(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    let (keys, access) = (Keys::None, Access::NONE);
    Command { name, arity, flags, keys, access, summary, group: "server", run: Run::Session(run) }
}

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &catalogue::COMMAND,
    &cluster::CLUSTER,
    &cluster::READONLY,
    &cluster::READWRITE,
    &cluster::ASKING,
    &config::CONFIG,
    &debug::DEBUG,
    &flush::FLUSHDB,
    &flush::FLUSHALL,
    &flush::SWAPDB,
    &info::INFO,
    &latency::LATENCY,
    &lolwut::LOLWUT,
    &memory::MEMORY,
    &module::MODULE,
    &monitor::MONITOR,
    &replication::ROLE,
    &replication::REPLICAOF,
    &replication::SLAVEOF,
    &replication::WAIT,
    &save::BGSAVE,
    &save::LASTSAVE,
    &save::SAVE,
    &shutdown::SHUTDOWN,
    &slowlog::SLOWLOG,
    &time::TIME,
];

/// Those with secret arguments.
pub const SECRETS: Secrets = &[(&config::SET, config::is_secret)];
