//! Commands on lists.

mod edit;
mod find;
mod pop;
mod push;
mod shift;
mod wait;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &push::LPUSH,
    &push::RPUSH,
    &push::LPUSHX,
    &push::RPUSHX,
    &pop::LPOP,
    &pop::RPOP,
    &pop::LMPOP,
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
    &wait::BLPOP,
    &wait::BRPOP,
    &wait::BLMOVE,
    &wait::BRPOPLPUSH,
    &wait::BLMPOP,
];
