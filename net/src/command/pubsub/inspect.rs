//! PUBSUB: what is subscribed to, on all cores.

use crate::channels::Kind;
use crate::command::help::help;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply};
use keytide_engine::filter::Glob;

const fn subcommand(name: &'static str, arity: i32, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::PubSub],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "pubsub",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static PUBSUB: Command = Command {
    name: "pubsub",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Shows channels and their subscribers.",
    group: "pubsub",
    run: Run::Container(&[
        &subcommand(
            "pubsub|channels",
            -2,
            "The channels with subscribers, or those that match a pattern.",
            |c, a, r| channels(Kind::Channel, c, a, r),
        ),
        &subcommand("pubsub|numpat", 2, "The number of patterns with subscribers.", |context, _, reply| {
            let [_, _, patterns, _] = context.channels.sizes();
            reply.unsigned(patterns as u64);
        }),
        &subcommand("pubsub|numsub", -2, "The number of subscribers of each of these channels.", |c, a, r| {
            subscribers(Kind::Channel, c, a, r)
        }),
        &subcommand(
            "pubsub|shardchannels",
            -2,
            "The sharded channels with subscribers, or those that match a pattern.",
            |c, a, r| channels(Kind::Shard, c, a, r),
        ),
        &subcommand(
            "pubsub|shardnumsub",
            -2,
            "The number of subscribers of each of these sharded channels.",
            |c, a, r| subscribers(Kind::Shard, c, a, r),
        ),
        &help("pubsub|help", "pubsub"),
    ]),
};

fn channels(kind: Kind, context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let glob = match args.len() {
        2 => Ok(None),
        3 => Glob::new(args.get(2)).map(Some),
        _ => return reply.error(crate::resp::error_text::unknown_subcommand("pubsub", args.get(1))),
    };
    let glob = match glob {
        Ok(glob) => glob,
        Err(error) => return reply.error(format!("ERR {error}")),
    };
    let wanted = |name: &&[u8]| glob.as_ref().is_none_or(|glob| glob.matches(name));
    let names: Vec<&[u8]> = context.channels.active(kind).filter(wanted).collect();
    reply.array(names.len());
    names.into_iter().for_each(|name| reply.bulk(name));
}

fn subscribers(kind: Kind, context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let names = args.rest(2);
    reply.array(2 * names.len());
    for name in names.iter() {
        reply.bulk(name);
        reply.unsigned(context.channels.subscribers(kind, name));
    }
}
