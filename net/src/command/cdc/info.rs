//! CDC.INFO: the extent of the history, over all shards and in each shard's ring.

use super::refusal::answer;
use crate::command::{Access, Command, Flag, HistoryContext, Keys, Progress, Run};
use crate::resp::{Args, Reply};

pub static INFO: Command = Command {
    name: "cdc.info",
    arity: 1,
    flags: &[Flag::Readonly, Flag::NoMulti],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns the extent of the recorded history.",
    group: "cdc",
    run: Run::History(run),
};

fn run(context: &mut HistoryContext<'_>, _: Args<'_>, reply: &mut Reply<'_>) -> Progress {
    answer(context.server, reply, |reply| {
        info(context, reply);
        Ok(Progress::Done)
    })
}

fn info(context: &HistoryContext<'_>, reply: &mut Reply<'_>) {
    let history = &context.history;
    reply.map(5);
    reply.text("history");
    reply.text(&context.server.history_id);
    for (name, position) in
        [("head_seq", history.head()), ("frontier_seq", history.frontier()), ("first_seq", history.first_available())]
    {
        reply.text(name);
        reply.unsigned(position.0);
    }
    reply.text("shards");
    reply.array(history.shards().len());
    for (shard, history) in history.shards().iter().enumerate() {
        let ring = history.ring();
        let (bounds, tail) = (ring.bounds(), ring.tail());
        reply.map(6);
        for (name, value) in [
            ("shard", shard as u64),
            ("ring_bytes", ring.capacity()),
            ("used_bytes", tail.0.saturating_sub(bounds.head.0).min(ring.capacity())),
            ("head_offset", bounds.head.0),
            ("tail_offset", tail.0),
        ] {
            reply.text(name);
            reply.unsigned(value);
        }
        reply.text("lost_seq");
        match history.evicted_through() {
            Some(position) => reply.unsigned(position.0),
            None => reply.null(),
        }
    }
}
