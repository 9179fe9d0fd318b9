//! CDC.ACK and CDC.NACK: a consumer's acknowledgement of its events.

use super::group::{find, group_command};
use super::refusal::{CdcError, answer};
use super::words::{is, positions};
use crate::command::{Command, Flag, Progress};
use keytide_engine::group::Nack;

const WRITE: &[Flag] = &[Flag::Write, Flag::NoMulti];

pub static ACK: Command =
    group_command("cdc.ack", -4, WRITE, (1, 2), "Acknowledges events of a group.", |context, args, reply| {
        answer(context.server, reply, |reply| {
            let positions = positions(args.rest(3))?;
            let removed = find(context.groups, args.get(1), args.get(2))?.ack(positions);
            context.groups.note_change(args.get(1), args.get(2));
            reply.integer(removed as i64);
            Ok(Progress::Done)
        })
    });

pub static NACK: Command = group_command(
    "cdc.nack",
    -5,
    WRITE,
    (1, 2),
    "Rejects events of a group: to be retried, parked, or skipped.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let nack = outcome(args.get(3))?;
            let positions = positions(args.rest(4))?;
            let done = find(context.groups, args.get(1), args.get(2))?.nack(nack, positions);
            context.groups.note_change(args.get(1), args.get(2));
            reply.integer(done as i64);
            Ok(Progress::Done)
        })
    },
);

fn outcome(word: &[u8]) -> Result<Nack, CdcError> {
    match word {
        word if is(word, "RETRY") => Ok(Nack::Retry),
        word if is(word, "PARK") => Ok(Nack::Park),
        word if is(word, "SKIP") => Ok(Nack::Skip),
        _ => Err(CdcError::syntax()),
    }
}
