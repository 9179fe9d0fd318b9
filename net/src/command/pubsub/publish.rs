//! PUBLISH, SPUBLISH.

use crate::channels::Kind;
use crate::command::{Access, ChannelArgs, Command, Flag, Keys, Run, RunKeys};

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
    reply.unsigned(context.channels.publish(Kind::Channel, args.get(1), args.get(2)));
});

pub static SPUBLISH: Command =
    publish("spublish", "Publishes a message on a sharded channel.", |context, args, reply| {
        reply.unsigned(context.channels.publish(Kind::Shard, args.get(1), args.get(2)));
    });
