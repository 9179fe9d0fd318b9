//! The sparse form: runs of registers with the same rank, in the order of the registers.
//!
//! | byte | run |
//! |---|---|
//! | `00llllll` | l + 1 registers of rank 0 |
//! | `01llllll llllllll` | l + 1 registers of rank 0 |
//! | `1rrrrrll` | l + 1 registers of rank r + 1 |

use super::{HEADER_BYTES, Observation, REGISTERS};
use crate::error::Refusal;
use smallvec::SmallVec;

/// The most registers of a run of zeros in one byte.
const ZEROS_MAX: usize = 64;
/// The most registers of a run of another rank, and its greatest rank.
const RUN_MAX: usize = 4;
const RANK_MAX: u8 = 32;
/// After a change, so many runs are examined, and neighbours of the same rank are joined.
const JOINED_RUNS: usize = 5;

/// A run of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many registers.
    pub length: usize,
    /// Their rank.
    pub rank: u8,
    /// The bytes that it takes.
    bytes: usize,
}

impl Run {
    /// The first run of these bytes, of which there is one at least; `None` where it is cut off.
    fn of(bytes: &[u8]) -> Option<Run> {
        Some(match bytes[0] {
            byte @ 0x80.. => Run { length: usize::from(byte & 3) + 1, rank: (byte >> 2 & 31) + 1, bytes: 1 },
            byte @ 0x40.. => {
                let length = usize::from(byte & 0x3f) << 8 | usize::from(*bytes.get(1)?);
                Run { length: length + 1, rank: 0, bytes: 2 }
            }
            byte => Run { length: usize::from(byte) + 1, rank: 0, bytes: 1 },
        })
    }
}

/// The runs of a sparse sketch behind its header. The last one is `None` where it is cut off.
pub fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Option<Run>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let run = Run::of(bytes);
        bytes = run.map_or(&[], |run| &bytes[run.bytes..]);
        Some(run)
    })
}

fn of_rank(rank: u8, length: usize) -> u8 {
    0x80 | (rank - 1) << 2 | (length - 1) as u8
}

/// Appends a run of registers of rank 0.
pub fn push_zeros(to: &mut impl Extend<u8>, length: usize) {
    let stored = length - 1;
    match length {
        ..=ZEROS_MAX => to.extend([stored as u8]),
        _ => to.extend([0x40 | (stored >> 8) as u8, stored as u8]),
    }
}

/// A run that is not behind the one which the last search found, nor its predecessor: its place in the string, and its first register.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    at: usize,
    register: usize,
}

impl Default for Near {
    fn default() -> Near {
        Near { at: HEADER_BYTES, register: 0 }
    }
}

/// What came of it.
pub enum Raised {
    /// Whether the register was changed.
    Is(bool),
    /// The sketch would be too large, or the rank too great, for this form; nothing was changed.
    TooLarge,
}

/// Raises a register to a rank, unless it has that. `near` is where the search begins, and is moved on.
pub fn raise(bytes: &mut Vec<u8>, seen: Observation, most: usize, near: &mut Near) -> Result<Raised, Refusal> {
    if seen.rank > RANK_MAX {
        return Ok(Raised::TooLarge);
    }
    let Near { mut at, register: mut first } = *near;
    let (mut before, mut begun) = (None, *near);
    let run = loop {
        let run = Run::of(bytes.get(at..).filter(|rest| !rest.is_empty()).ok_or(Refusal::DamagedSketch)?);
        let run = run.ok_or(Refusal::DamagedSketch)?;
        if seen.index < first + run.length {
            break run;
        }
        begun = before.unwrap_or(begun);
        before = Some(Near { at, register: first });
        at += run.bytes;
        first += run.length;
        if first > REGISTERS {
            return Err(Refusal::DamagedSketch);
        }
    };
    *near = begun;
    if run.rank >= seen.rank {
        return Ok(Raised::Is(false));
    }
    let mut new: SmallVec<[u8; 8]> = SmallVec::new();
    let (ahead, behind) = (seen.index - first, first + run.length - 1 - seen.index);
    let push = |new: &mut SmallVec<[u8; 8]>, length| match (run.rank, length) {
        (_, 0) => {}
        (0, length) => push_zeros(new, length),
        (rank, length) => new.push(of_rank(rank, length)),
    };
    push(&mut new, ahead);
    new.push(of_rank(seen.rank, 1));
    push(&mut new, behind);
    if new.len() > run.bytes && bytes.len() + new.len() - run.bytes > most {
        return Ok(Raised::TooLarge);
    }
    bytes.splice(at..at + run.bytes, new);
    join(bytes, before.map_or(HEADER_BYTES, |before| before.at));
    Ok(Raised::Is(true))
}

/// Joins neighbours of one rank among the next runs from one on.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_RUNS {
        let Some(run) = bytes.get(at..).filter(|rest| !rest.is_empty()).and_then(Run::of) else { return };
        let next = bytes.get(at + 1..).filter(|rest| run.rank > 0 && !rest.is_empty()).and_then(Run::of);
        match next {
            Some(next) if next.rank == run.rank && run.length + next.length <= RUN_MAX => {
                bytes[at] = of_rank(run.rank, run.length + next.length);
                bytes.remove(at + 1);
            }
            _ => at += run.bytes,
        }
    }
}
