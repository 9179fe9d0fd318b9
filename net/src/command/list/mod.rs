//! Commands on lists.

mod edit;
mod find;
mod pop;
mod push;
mod shift;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &push::LPUSH,
    &push::RPUSH,
    &push::LPUSHX,
    &push::RPUSHX,
    &pop::LPOP,
    &pop::RPOP,
    &find::LRANGE,
    &find::LLEN,
    &find::LINDEX,
    &find::LPOS,
    &edit::LSET,
    &edit::LREM,
    &edit::LTRIM,
    &edit::LINSERT,
    &shift::LMOVE,
    &shift::RPOPLPUSH,
];
