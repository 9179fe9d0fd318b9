//! Commands on Redis streams, a type of value: not on the streams of events, which are those of `CDC.…`.

mod add;
mod claim;
mod get;
mod group;
mod info;
mod pending;
mod read;
mod references;
mod remove;
mod reply;
mod set_id;
mod trim;
mod words;

pub use read::asks_to_wait;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &add::XADD,
    &get::XLEN,
    &get::XRANGE,
    &get::XREVRANGE,
    &remove::XDEL,
    &references::XDELEX,
    &trim::XTRIM,
    &set_id::XSETID,
    &read::XREAD,
    &read::XREADGROUP,
    &group::XGROUP,
    &pending::XACK,
    &references::XACKDEL,
    &pending::XPENDING,
    &claim::XCLAIM,
    &claim::XAUTOCLAIM,
    &info::XINFO,
];
