//! A directory looked at without a server: every byte of every log and snapshot. Nothing is changed, unless it is to be
//! repaired; and then what is taken out of use stays there under another name.
//!
//! | file | what is in it |
//! |---|---|
//! | `shard` | one shard: segments, records, indexes, snapshots, mark |
//! | `repair` | what is left of a damaged shard made usable |
//!
//! What a start rebuilds or cuts off by itself is no damage: an index that is missing, the torn end behind a power loss.

#[cfg(all(test, not(loom)))]
mod killed_tests;
mod repair;
mod report;
mod shard;
#[cfg(all(test, not(loom)))]
mod tests;

pub use report::{CheckError, CheckReport, Problem, ShardReport};

use crate::log::LogIdentity;
use crate::position::{Position, ShardId};
use crate::store::directory::Directory;
use shard::Seen;

/// Looks at all of a directory that is opened already; with `repair`, makes usable what is left of damaged shards. `tell`
/// hears of each shard when it was looked at.
///
/// # Errors
/// Where that is not possible.
pub fn check(
    directory: &Directory,
    repair: bool,
    mut tell: impl FnMut(&ShardReport),
) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    let mut seen: Vec<Seen> = Vec::new();
    let current = directory.current_generation().number;
    for generation in directory.generations() {
        for shard in (0..generation.shards).map(ShardId) {
            let identity = LogIdentity {
                directory: directory.shard_directory(generation.number, shard),
                generation: generation.number,
                shard,
                shards: generation.shards,
            };
            // A start that was interrupted has begun nothing.
            let is_begun = directory.limit() > Position(0);
            let looked = Seen::look(identity, is_begun, generation.number == current, directory.trust())?;
            tell(&looked.report);
            report.shards.push(looked.report.clone());
            seen.push(looked);
        }
    }
    if repair && !report.is_sound() {
        report.repaired = repair::repair(directory, &seen)?;
    }
    Ok(report)
}
