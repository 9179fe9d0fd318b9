//! The dense form: 6 bits for each register, from the lowest bit of the first byte up.

use super::{HEADER_BYTES, Observation, REGISTERS};
use smallvec::SmallVec;

/// What a dense sketch takes, in bytes.
pub const BYTES: usize = HEADER_BYTES + REGISTERS * WIDTH / 8;

const WIDTH: usize = 6;
const MASK: u16 = (1 << WIDTH) - 1;

/// An offset in the string, and the bytes that belong there.
pub type Patch = (usize, SmallVec<[u8; 2]>);

/// The first byte of a register in the string, and its first bit there.
fn place(index: usize) -> (usize, usize) {
    (HEADER_BYTES + index * WIDTH / 8, index * WIDTH % 8)
}

/// The two bytes that a register is in; the last one has one only.
fn window(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes.get(at + 1).copied().unwrap_or(0)])
}

/// A register.
pub fn get(bytes: &[u8], index: usize) -> u8 {
    let (at, shift) = place(index);
    (window(bytes, at) >> shift & MASK) as u8
}

/// What has to be overwritten so that a register has at least this rank; none where it has.
pub fn patch(bytes: &[u8], seen: Observation) -> Option<Patch> {
    if get(bytes, seen.index) >= seen.rank {
        return None;
    }
    let (at, shift) = place(seen.index);
    let new = window(bytes, at) & !(MASK << shift) | u16::from(seen.rank) << shift;
    let span = if shift + WIDTH > 8 { 2 } else { 1 };
    Some((at, SmallVec::from_slice(&new.to_le_bytes()[..span])))
}
