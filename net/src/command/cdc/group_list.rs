//! The commands that only report on groups: CDC.GROUP INFO, LIST and PARKED, CDC.PENDING.

use super::group::{find, group_command};
use super::refusal::answer;
use crate::command::{Access, Command, CoreContext, Flag, Keys, Progress, Run};
use crate::gather::Merge;
use crate::resp::{Args, Reply};
use crate::value::{PartWriter, ValueWriter};
use keytide_engine::group::{Group, PendingRow};
use keytide_engine::history::History;

const READONLY: &[Flag] = &[Flag::Readonly, Flag::NoMulti];

pub static INFO: Command = group_command(
    "cdc.group|info",
    4,
    READONLY,
    (2, 3),
    "Returns the state of a consumer group.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let (key, name) = (args.get(2), args.get(3));
            info(find(context.groups, key, name)?, (key, name), context.history, context.steady_ms, reply);
            Ok(Progress::Done)
        })
    },
);

fn info(group: &Group, (key, name): (&[u8], &[u8]), history: &History, now_ms: u64, reply: &mut Reply<'_>) {
    let info = group.info();
    let numbers = [
        ("next_seq", info.cursor.0),
        ("floor_seq", info.floor.0),
        ("head_seq", history.head().0),
        ("pending", info.pending as u64),
        ("parked", info.parked as u64),
        ("idle_ms", info.options.idle_ms),
        ("max_deliver", u64::from(info.options.max_deliveries)),
        ("max_pending", info.options.max_pending as u64),
        ("delivered", info.counts.delivered),
        ("redelivered", info.counts.redelivered),
        ("acknowledged", info.counts.acknowledged),
        ("lost", info.counts.lost),
        ("parked_total", info.counts.parked),
        ("retention_warning", u64::from(group.retention_warning(history))),
    ];
    reply.map(numbers.len() + 3);
    reply.text("key");
    reply.bulk(key);
    reply.text("group");
    reply.bulk(name);
    for (name, value) in numbers {
        reply.text(name);
        reply.unsigned(value);
    }
    let consumers = group.consumers(now_ms);
    reply.text("consumers");
    reply.array(consumers.len());
    for consumer in consumers {
        reply.array(3);
        reply.bulk(consumer.name);
        reply.unsigned(consumer.pending as u64);
        reply.unsigned(consumer.idle_ms);
    }
}

pub static LIST: Command = Command {
    name: "cdc.group|list",
    arity: 2,
    flags: READONLY,
    keys: Keys::None,
    access: Access::ALL_STREAMS,
    summary: "Lists the consumer groups.",
    group: "cdc",
    run: Run::EachCore { run: list, own: None, merge: Merge::Concat },
};

fn list(context: &mut CoreContext<'_>, _: Args<'_>, reply: &mut PartWriter<'_>) {
    answer(context.server, reply, |reply| {
        reply.array(context.groups.table.len());
        for (key, name, group) in context.groups.table.iter() {
            let info = group.info();
            reply.array(6);
            reply.bulk(key);
            reply.bulk(name);
            reply.unsigned(info.cursor.0);
            reply.unsigned(info.pending as u64);
            reply.unsigned(info.parked as u64);
            reply.unsigned(u64::from(group.retention_warning(context.history)));
        }
        Ok(Progress::Done)
    });
}

pub static PENDING: Command = group_command(
    "cdc.pending",
    3,
    READONLY,
    (1, 2),
    "Lists the pending entries of a group.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let group = find(context.groups, args.get(1), args.get(2))?;
            entries(group.info().pending, group.pending(context.steady_ms), reply);
            Ok(Progress::Done)
        })
    },
);

pub static PARKED: Command = group_command(
    "cdc.group|parked",
    4,
    READONLY,
    (2, 3),
    "Lists the parked entries of a group.",
    |context, args, reply| {
        answer(context.server, reply, |reply| {
            let group = find(context.groups, args.get(2), args.get(3))?;
            entries(group.info().parked, group.parked(context.steady_ms), reply);
            Ok(Progress::Done)
        })
    },
);

fn entries<'a>(count: usize, rows: impl Iterator<Item = PendingRow<'a>>, reply: &mut Reply<'_>) {
    reply.array(count);
    for row in rows {
        reply.array(4);
        reply.unsigned(row.position.0);
        reply.bulk(row.consumer);
        reply.unsigned(u64::from(row.deliveries));
        reply.unsigned(row.idle_ms);
    }
}
