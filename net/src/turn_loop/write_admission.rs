//! Admission of writes: a command that may use more memory is refused while memory is short, and a command that may change
//! keys is refused while the log has no space for its records. When a log has failed, all clients are disconnected.

use super::Core;
use super::resp::Client;
use crate::command::table::TABLE;
use crate::command::transaction::Step;
use crate::command::{Command, Flag, Run};
use crate::net_ring::NetOps;
use crate::resp::{Args, Reply, Transaction, error_text};
use crate::value::ValueWriter;
use keytide_engine::log::LogError;
use keytide_engine::shard::{Memory, Shard};
use keytide_engine::shards::Shards;

impl Core {
    /// Disconnects this core's clients once the log of any shard has failed: replies may be ready for commands whose records
    /// are not in the log. A client that connects again may read; its writes are refused with the reason.
    ///
    /// The core that meets the failure sets it before that turn sends anything, also to other cores. A core that receives a
    /// reply of that turn therefore sees the failure here, before anything of its own turn leaves.
    pub(super) fn meet_log_failure(&mut self, ops: &mut NetOps) {
        let has_failed = self.server.log_failure.as_ref().is_some_and(|failure| failure.is_set());
        if !has_failed || self.has_met_failure {
            return;
        }
        self.has_met_failure = true;
        let open: Vec<_> = self.connections.iter().filter(|connection| !connection.is_closed).map(|c| c.id).collect();
        for id in open {
            let Some(mut connection) = self.connections.take(id) else { continue };
            self.close(ops, &mut connection);
            self.connections.put(connection);
        }
    }
}

impl Core {
    /// Whether the keys of this core's shard have all of their memory and none may be evicted.
    pub(super) fn has_full_shard(&mut self) -> bool {
        let shard = self.shard.as_deref_mut().filter(|shard| shard.is_over(0));
        shard.is_some_and(|shard| shard.make_memory(0) == Memory::Full)
    }

    /// Refuses a command that may use more memory, while memory is short. As in Redis, that includes each command that would
    /// be queued by MULTI, and EXEC if such a command is queued. Returns whether the command was refused.
    #[cold]
    pub(super) fn refuse_growth(&self, client: &mut Client<'_>, command: &Command, args: Args<'_>) -> bool {
        let uses_more = |queued: &Transaction| queued.commands().any(|(index, _)| TABLE.get(index).is(Flag::Denyoom));
        let is_refused = match &client.resp.transaction {
            Some(queued) if matches!(command.run, Run::Transaction(Step::Exec)) => uses_more(queued),
            Some(_) if !command.is(Flag::Immediate) => true,
            _ => command.is(Flag::Denyoom),
        };
        if is_refused {
            self.server.memory.note_refused();
            self.reject(client, args, error_text::OUT_OF_MEMORY.as_bytes());
        }
        is_refused
    }
}

/// Refuses a command that may write while the shard's log has no space, and one that may use more memory while keys have
/// all of theirs and none may be evicted. Returns whether it was refused.
#[inline]
pub(super) fn is_refused(shard: &mut Shard, command: &Command, args: Args<'_>, reply: &mut impl ValueWriter) -> bool {
    // The log nearly always has space, and then the command's flags need not be fetched.
    !shard.turn().has_log_room() && is_refused_by_log(shard, command, reply)
        || shard.is_limited() && is_refused_for_memory(shard, command, args, reply)
}

#[inline(never)]
fn is_refused_for_memory(shard: &mut Shard, command: &Command, args: Args<'_>, reply: &mut impl ValueWriter) -> bool {
    if !command.is(Flag::Denyoom) {
        return false;
    }
    let more = coming_bytes(args);
    if !shard.is_over(more) {
        return false;
    }
    let is_full = shard.make_memory(more) == Memory::Full;
    if is_full {
        reply.error(error_text::OUT_OF_MEMORY);
    }
    // Its records are not chained to those of the keys that went for it.
    shard.begin_command();
    is_full
}

/// The bytes that a command may add, if they are many: room for them is made first.
fn coming_bytes(args: Args<'_>) -> u64 {
    /// Less is no more than what is claimed at a time.
    const MANY: usize = 4 << 10;
    match args.bytes_total() {
        0..MANY => 0,
        bytes => bytes as u64,
    }
}

/// Makes room for commands that may use more memory on these shards; returns whether there is none.
pub(super) fn is_memory_full(shards: &mut Shards<'_>) -> bool {
    let mut is_full = false;
    shards.each(|shard| {
        if shard.is_over(0) {
            is_full |= shard.make_memory(0) == Memory::Full;
            shard.begin_command();
        }
    });
    is_full
}

#[cold]
fn is_refused_by_log(shard: &mut Shard, command: &Command, reply: &mut impl ValueWriter) -> bool {
    // Commands that only read need no space in the log.
    command.may_write() && shard.check_log().is_err_and(|error| refuse(&error, reply))
}

/// Refuses commands that run together, if one of them may write and the log of one of the shards has no space, or one may use
/// more memory and there is none. Returns whether they were refused.
pub(super) fn are_refused<'c>(
    shards: &mut Shards<'_>,
    commands: impl Iterator<Item = &'c Command>,
    reply: &mut Reply<'_>,
) -> bool {
    let (mut is_over, mut has_room) = (false, true);
    shards.each(|shard| {
        is_over |= shard.is_over(0);
        has_room &= shard.turn().has_log_room();
    });
    if has_room && !is_over {
        return false;
    }
    let (mut use_more, mut may_write) = (false, false);
    commands.for_each(|command| {
        use_more |= command.is(Flag::Denyoom);
        may_write |= command.may_write();
    });
    if is_over && use_more && is_memory_full(shards) {
        reply.error(error_text::OUT_OF_MEMORY);
        return true;
    }
    may_write && is_refused_by_logs(shards, reply)
}

/// Refuses a command that may write if the log of one of the shards has no space. Returns whether it was refused.
pub(super) fn is_refused_by_log_of(shards: &mut Shards<'_>, command: &Command, reply: &mut Reply<'_>) -> bool {
    let mut has_room = true;
    shards.each(|shard| has_room &= shard.turn().has_log_room());
    !has_room && command.may_write() && is_refused_by_logs(shards, reply)
}

fn is_refused_by_logs(shards: &mut Shards<'_>, reply: &mut Reply<'_>) -> bool {
    let mut refusal = None;
    shards.each(|shard| refusal = refusal.take().or(shard.check_log().err()));
    refusal.is_some_and(|error| refuse(&error, reply))
}

#[cold]
fn refuse(error: &LogError, reply: &mut impl ValueWriter) -> bool {
    match error {
        LogError::Full { .. } => reply.error(format!("ERR {error}; writes go on once there is space")),
        LogError::CreationFailed { .. } => reply.error(format!("ERR {error}; it is tried again when writes come")),
        LogError::Late { .. } => reply.error(format!("ERR {error}; try again")),
        LogError::Failed { reason } => {
            reply.error(format!("ERR the log has failed, writes are refused until a restart: {reason}"));
        }
    }
    true
}
