//! Commands on strings as rows of bits.

mod bit;
mod count;
mod field;
mod operate;

use super::Command;

/// The commands of this family.
pub const COMMANDS: &[&Command] = &[
    &bit::SETBIT,
    &bit::GETBIT,
    &count::BITCOUNT,
    &count::BITPOS,
    &operate::BITOP,
    &field::BITFIELD,
    &field::BITFIELD_RO,
];
