//! Whether commands that may change keys may run: the log has space for what they would record, and has not failed.

use crate::command::Command;
use crate::resp::Reply;
use keytide_engine::log::LogError;
use keytide_engine::shard::Shard;
use keytide_engine::shards::Shards;

/// Answers why a command must not run. False where it may.
#[inline]
pub(super) fn is_refused(shard: &mut Shard, command: &Command, reply: &mut Reply<'_>) -> bool {
    match shard.check_log() {
        Ok(()) => false,
        Err(error) => command.may_write() && refuse(&error, reply),
    }
}

/// Answers why commands that run together must not, where one of them may change a key. False where they may.
pub(super) fn are_refused<'c>(
    shards: &mut Shards<'_>,
    mut commands: impl Iterator<Item = &'c Command>,
    reply: &mut Reply<'_>,
) -> bool {
    let mut refusal = None;
    shards.each(|shard| refusal = refusal.take().or(shard.check_log().err()));
    refusal.is_some_and(|error| commands.any(Command::may_write) && refuse(&error, reply))
}

#[cold]
fn refuse(error: &LogError, reply: &mut Reply<'_>) -> bool {
    match error {
        LogError::Full { .. } => reply.error(format!("ERR {error}; writes go on once there is space")),
        LogError::Failed { reason } => {
            reply.error(format!("ERR the log has failed, writes are refused until a restart: {reason}"));
        }
    }
    true
}
