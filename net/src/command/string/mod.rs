//! Commands on strings.

mod common;
mod counter;
mod get;
mod many;
mod part;
mod set;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &get::GET,
    &get::GETDEL,
    &get::GETEX,
    &get::STRLEN,
    &set::SET,
    &set::SETNX,
    &set::SETEX,
    &set::PSETEX,
    &set::GETSET,
    &many::MGET,
    &many::MSET,
    &many::MSETNX,
    &counter::INCR,
    &counter::DECR,
    &counter::INCRBY,
    &counter::DECRBY,
    &counter::INCRBYFLOAT,
    &part::APPEND,
    &part::GETRANGE,
    &part::SUBSTR,
    &part::SETRANGE,
    &common::LCS,
];
