//! PUBLISH, SPUBLISH.

use crate::changes::is_of_changes;
use crate::channels::Kind;
use crate::command::{Access, ChannelArgs, Command, Flag, Keys, KeysContext, Run, RunKeys};
use crate::limits::PUBLISHED_BYTES_MAX;
use crate::resp::{Args, Reply};

const fn publish(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: 3,
        flags: &[Flag::Fast, Flag::PubSub],
        keys: Keys::None,
        access: Access::channels(ChannelArgs::First),
        summary,
        group: "pubsub",
        run: Run::Publish(run),
    }
}

pub static PUBLISH: Command = publish("publish", "Publishes a message on a channel.", |context, args, reply| {
    run(Kind::Channel, context, args, reply)
});

pub static SPUBLISH: Command =
    publish("spublish", "Publishes a message on a sharded channel.", |context, args, reply| {
        run(Kind::Shard, context, args, reply)
    });

fn run(kind: Kind, context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    if kind == Kind::Channel && is_of_changes(args.get(1)) {
        return reply.error("ERR channels whose names begin with 'cdc:' carry changes, and nobody can publish on them");
    }
    // A transaction or a script cannot wait until messages have left.
    if context.channels.published_bytes() as u64 > PUBLISHED_BYTES_MAX {
        return reply.error("ERR too many messages are published at once: publish fewer in one transaction or script");
    }
    reply.unsigned(context.channels.publish(kind, args.get(1), args.get(2)));
}
