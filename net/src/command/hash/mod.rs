//! Commands on hashes.

mod counter;
mod get;
mod random;
mod scan;
mod set;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &set::HSET,
    &set::HMSET,
    &set::HSETNX,
    &set::HDEL,
    &get::HGET,
    &get::HMGET,
    &get::HEXISTS,
    &get::HLEN,
    &get::HSTRLEN,
    &get::HGETALL,
    &get::HKEYS,
    &get::HVALS,
    &random::HRANDFIELD,
    &counter::HINCRBY,
    &counter::HINCRBYFLOAT,
    &scan::HSCAN,
];
