//! CDC.GROUP READ and CDC.CLAIM: they deliver events to a consumer.

use super::REPLY_BYTES_MAX;
use super::group::{find, group_command};
use super::refusal::{CdcError, answer};
use super::row::{Columns, Rows};
use super::words::{Words, count, is, number, positions};
use crate::command::{Command, Flag, GroupContext, Progress, WaitFor};
use crate::resp::{Args, Reply};

pub static READ: Command = group_command(
    "cdc.group|read",
    -6,
    &[Flag::Write, Flag::Blocking, Flag::NoMulti],
    (2, 3),
    "Delivers events to a consumer: due ones again, then new ones; may wait for some.",
    |context, args, reply| answer(context.server, reply, |reply| read(context, args, reply)),
);

fn block_ms(args: Args<'_>) -> Result<Option<u64>, CdcError> {
    let mut words = Words::new(args, 6);
    match words.next() {
        None => Ok(None),
        Some(word) if is(word, "BLOCK") => match (words.number()?, words.next()) {
            (block_ms, None) => Ok(Some(block_ms)),
            (_, Some(_)) => Err(CdcError::syntax()),
        },
        Some(_) => Err(CdcError::syntax()),
    }
}

fn read(context: &mut GroupContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Progress, CdcError> {
    let (group, consumer) = (args.get(3), args.get(4));
    let (count, block_ms) = (count(args.get(5))?, block_ms(args)?);
    let GroupContext { groups, history, state, now_ms, steady_ms, .. } = context;
    let number = groups.table.number(args.get(2), group);
    let found = find(groups, args.get(2), group)?;
    let mut rows = Rows::new(reply.protocol(), Columns::Five, *now_ms);
    // After the wait has ended nothing is delivered: the client may be gone, and its events would be pending for
    // nothing.
    if !state.has_given_up() && count > 0 {
        let sink = |row: keytide_engine::group::Row<'_>| rows.group_row(row);
        let outcome = found.read(consumer, count, REPLY_BYTES_MAX, *steady_ms, history, sink);
        let outcome = outcome.map_err(|error| CdcError::of_group(group, error))?;
        if rows.is_empty() && outcome.more {
            return Ok(Progress::More);
        }
        if rows.is_empty()
            && !state.is_over(block_ms)
            && let Some(number) = number
        {
            let (reads_from, due_ms) = (found.reads_from(), found.next_due_ms());
            return Ok(Progress::Wait(WaitFor::Group { number, reads_from, due_ms }));
        }
    }
    rows.reply(reply);
    Ok(Progress::Done)
}

pub static CLAIM: Command = group_command(
    "cdc.claim",
    -6,
    &[Flag::Write, Flag::NoMulti],
    (1, 2),
    "Transfers pending entries of others to a consumer.",
    |context, args, reply| answer(context.server, reply, |reply| claim(context, args, reply)),
);

fn claim(context: &mut GroupContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Progress, CdcError> {
    let (group, consumer) = (args.get(2), args.get(3));
    let (min_idle_ms, positions) = (number(args.get(4))?, positions(args.rest(5))?);
    let GroupContext { groups, history, now_ms, steady_ms, .. } = context;
    let mut rows = Rows::new(reply.protocol(), Columns::Five, *now_ms);
    let found = find(groups, args.get(1), group)?;
    let sink = |row: keytide_engine::group::Row<'_>| rows.group_row(row);
    found
        .claim(consumer, min_idle_ms, positions, REPLY_BYTES_MAX, *steady_ms, history, sink)
        .map_err(|error| CdcError::of_group(group, error))?;
    rows.reply(reply);
    Ok(Progress::Done)
}
