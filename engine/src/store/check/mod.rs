//! Checks a directory that no server uses: every byte of every log and snapshot. Changes nothing unless a repair is
//! requested; a repair renames the files that it takes out of use.
//!
//! | file | content |
//! |---|---|
//! | `shard` | checks one shard: segments, records, indexes, snapshots, durable mark |
//! | `repair` | makes the intact part of a damaged shard usable |
//! | `report` | what a check found, and why it could not be made |
//!
//! What a start rebuilds or cuts off by itself is not damage: a missing index, the torn end after a power loss.

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
use shard::CheckedShard;

/// Checks all shards of an open directory. With `repair`, makes the intact part of damaged shards usable. `on_shard` is called
/// with the report of each shard as soon as it is checked.
///
/// # Errors
/// Where the directory cannot be read, or not be repaired.
pub fn check(
    directory: &Directory,
    repair: bool,
    mut on_shard: impl FnMut(&ShardReport),
) -> Result<CheckReport, CheckError> {
    let mut report = CheckReport::default();
    let mut shards: Vec<CheckedShard> = Vec::new();
    let current = directory.current_generation().number;
    for generation in directory.generations() {
        for shard in (0..generation.shards).map(ShardId) {
            let identity = LogIdentity {
                directory: directory.shard_directory(generation.number, shard),
                generation: generation.number,
                shard,
                shards: generation.shards,
            };
            // Before the first run begins, an interrupted start may have left a shard without a directory.
            let is_begun = directory.limit() > Position(0);
            let checked = CheckedShard::check(identity, is_begun, generation.number == current, directory.trust())?;
            on_shard(&checked.report);
            report.shards.push(checked.report.clone());
            shards.push(checked);
        }
    }
    if repair && !report.is_sound() {
        report.repaired = repair::repair(directory, &shards)?;
    }
    Ok(report)
}
