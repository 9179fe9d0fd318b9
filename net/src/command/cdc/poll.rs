//! CDCPOLL: the events from a cursor on, as a flat array of rows.

use super::REPLY_BYTES_MAX;
use super::refusal::{CdcError, answer};
use super::row::{Columns, Rows};
use super::words::{count, cursor};
use crate::command::{Access, Command, Flag, HistoryContext, Keys, Progress, Run};
use crate::resp::{Args, Reply};
use keytide_engine::filter::Filter;
use keytide_engine::history::Request;

pub static CDCPOLL: Command = Command {
    name: "cdcpoll",
    arity: 3,
    flags: &[Flag::Readonly, Flag::NoMulti],
    keys: Keys::None,
    access: Access::ALL_STREAMS,
    summary: "Returns the recorded events from a position on.",
    group: "cdc",
    run: Run::History(run),
};

fn run(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| poll(context, args, reply))
}

fn poll(context: &mut HistoryContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) -> Result<Progress, CdcError> {
    let cursor = cursor(args.get(1))?.cursor(context.history)?;
    let count = count(args.get(2))?;
    let mut rows = Rows::new(reply.protocol(), Columns::Five, context.now_ms);
    if count > 0 {
        let filter = Filter::default();
        let request = Request { cursor, count, bytes: REPLY_BYTES_MAX, filter: &filter };
        let page = context.history.read_after_gap(&request, |gap, _, record| {
            if let Some(gap) = gap.filter(|_| rows.is_empty()) {
                rows.gap(gap.last, gap.lost);
            }
            rows.event(record)
        })?;
        if let Some(gap) = page.gap.filter(|_| rows.is_empty()) {
            rows.gap(gap.last, gap.lost);
        }
    }
    rows.reply(reply);
    Ok(Progress::Done)
}
