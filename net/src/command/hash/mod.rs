//! Commands on hashes.

mod counter;
mod expire;
mod field_ttl;
mod get;
mod random;
mod scan;
mod set;
mod with_ttl;

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
    &expire::HEXPIRE,
    &expire::HPEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPEXPIREAT,
    &expire::HTTL,
    &expire::HPTTL,
    &expire::HEXPIRETIME,
    &expire::HPEXPIRETIME,
    &expire::HPERSIST,
    &with_ttl::HGETEX,
    &with_ttl::HSETEX,
    &with_ttl::HGETDEL,
];
