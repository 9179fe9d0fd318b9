//! SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE, and the commands that end these.

use crate::channels::{Kind, Step};
use crate::command::{Access, ChannelArgs, Command, Flag, Keys, Run};

const fn subscribe(name: &'static str, kind: Kind, channels: ChannelArgs, summary: &'static str) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[Flag::PubSub, Flag::NoMulti, Flag::WhileSubscribed],
        keys: Keys::None,
        access: Access::channels(channels),
        summary,
        group: "pubsub",
        run: Run::Channels(Step { kind, subscribes: true }),
    }
}

const fn unsubscribe(name: &'static str, kind: Kind, summary: &'static str) -> Command {
    Command {
        name,
        arity: -1,
        flags: &[Flag::PubSub, Flag::NoMulti, Flag::WhileSubscribed],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "pubsub",
        run: Run::Channels(Step { kind, subscribes: false }),
    }
}

pub static SUBSCRIBE: Command =
    subscribe("subscribe", Kind::Channel, ChannelArgs::All, "Subscribes the connection to channels.");

pub static PSUBSCRIBE: Command = subscribe(
    "psubscribe",
    Kind::Pattern,
    ChannelArgs::Patterns,
    "Subscribes the connection to the channels that match patterns.",
);

pub static SSUBSCRIBE: Command =
    subscribe("ssubscribe", Kind::Shard, ChannelArgs::All, "Subscribes the connection to sharded channels.");

pub static UNSUBSCRIBE: Command =
    unsubscribe("unsubscribe", Kind::Channel, "Ends subscriptions to channels, or all of them.");

pub static PUNSUBSCRIBE: Command =
    unsubscribe("punsubscribe", Kind::Pattern, "Ends subscriptions to patterns, or all of them.");

pub static SUNSUBSCRIBE: Command =
    unsubscribe("sunsubscribe", Kind::Shard, "Ends subscriptions to sharded channels, or all of them.");
