//! Commands on sets.

mod add;
mod algebra;
mod get;
mod random;
mod scan;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &add::SADD,
    &add::SREM,
    &add::SMOVE,
    &get::SMEMBERS,
    &get::SISMEMBER,
    &get::SMISMEMBER,
    &get::SCARD,
    &random::SPOP,
    &random::SRANDMEMBER,
    &scan::SSCAN,
    &algebra::SINTER,
    &algebra::SINTERCARD,
    &algebra::SUNION,
    &algebra::SDIFF,
    &algebra::SINTERSTORE,
    &algebra::SUNIONSTORE,
    &algebra::SDIFFSTORE,
];
