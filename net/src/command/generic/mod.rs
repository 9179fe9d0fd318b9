//! Commands on keys of any type.

mod copy;
mod delete;
mod dump;
mod expire;
mod inspect;
mod object;
mod rename;
mod scan;
mod sort;
mod transfer;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &delete::DEL,
    &delete::UNLINK,
    &inspect::EXISTS,
    &inspect::TOUCH,
    &inspect::TYPE,
    &object::OBJECT,
    &expire::EXPIRE,
    &expire::PEXPIRE,
    &expire::EXPIREAT,
    &expire::PEXPIREAT,
    &expire::TTL,
    &expire::PTTL,
    &expire::EXPIRETIME,
    &expire::PEXPIRETIME,
    &expire::PERSIST,
    &scan::KEYS,
    &scan::SCAN,
    &scan::RANDOMKEY,
    &scan::DBSIZE,
    &rename::RENAME,
    &rename::RENAMENX,
    &transfer::MOVE,
    &copy::COPY,
    &dump::DUMP,
    &dump::RESTORE,
    &sort::SORT,
    &sort::SORT_RO,
];
