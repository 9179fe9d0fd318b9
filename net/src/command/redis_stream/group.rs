//! XGROUP.

use super::read::is_no_group;
use super::words::{id, integer, strict_id};
use crate::command::help::help;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, KeyUse, Keys, KeysContext, Run, RunKeys, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::error::Refusal;
use keytide_engine::shard::GroupStart;
use keytide_engine::stream_name::Database;

static HELP: Command = help("xgroup|help", "stream");

pub static XGROUP: Command = Command {
    name: "xgroup",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Commands on the consumer groups of a stream.",
    group: "stream",
    run: Run::Container(&[&CREATE, &SETID, &DESTROY, &CREATECONSUMER, &DELCONSUMER, &HELP]),
};

/// The key of a subcommand.
const KEY: Keys = Keys::At { first: 2, last: 2, step: 1 };

const fn subcommand(
    name: &'static str,
    arity: i32,
    flags: &'static [Flag],
    uses: &'static [KeyUse],
    summary: &'static str,
    run: RunKeys,
) -> Command {
    Command {
        name,
        arity,
        flags,
        keys: KEY,
        access: Access::keys(uses),
        summary,
        group: "stream",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

const WRITES: &[Flag] = &[Flag::Write];
const GROWS: &[Flag] = &[Flag::Write, Flag::Denyoom];

static CREATE: Command =
    subcommand("xgroup|create", -5, GROWS, &[KeyUse::INSERT], "Creates a consumer group.", |context, args, reply| {
        context.event = Some("xgroup-create");
        set(context, args, true, reply);
    });

static SETID: Command = subcommand(
    "xgroup|setid",
    -5,
    WRITES,
    &[KeyUse::UPDATE],
    "Sets how far a consumer group has delivered.",
    |context, args, reply| {
        context.event = Some("xgroup-setid");
        set(context, args, false, reply);
    },
);

const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the \
     MKSTREAM option to create an empty stream automatically.";

/// The error of a subcommand whose group is not there.
pub(super) fn no_group(reply: &mut Reply<'_>, key: &[u8], group: &[u8]) {
    let words: [&[u8]; 5] =
        [b"NOGROUP No such consumer group '", group, b"' for key name '", Database::key_of(key), b"'"];
    reply.error(words.concat());
}

/// The error of a refusal.
fn refuse_group(reply: &mut Reply<'_>, args: Args<'_>, refusal: Refusal) {
    match refusal {
        Refusal::NoSuchKey => reply.error(NO_KEY),
        refusal if is_no_group(refusal) => no_group(reply, args.get(2), args.get(3)),
        Refusal::GroupExists => reply.error("BUSYGROUP Consumer Group name already exists"),
        refusal => refuse(reply, refusal),
    }
}

/// The options of CREATE and SETID: whether the stream is created, and how many entries the group has read.
fn options(words: Args<'_>, creates: bool) -> Result<(bool, Option<u64>), Option<&'static str>> {
    let (mut makes, mut read, mut at) = (false, None, 0);
    while let Some(word) = words.try_get(at) {
        match words.try_get(at + 1) {
            _ if creates && is(word, "mkstream") => {
                makes = true;
                at += 1;
            }
            Some(number) if is(word, "entriesread") => {
                read = match integer(number)? {
                    -1 => None,
                    number => {
                        let text = "ERR value for ENTRIESREAD must be positive or -1";
                        Some(u64::try_from(number).map_err(|_| Some(text))?)
                    }
                };
                at += 2;
            }
            _ => return Err(None),
        }
    }
    Ok((makes, read))
}

fn set(context: &mut KeysContext<'_>, args: Args<'_>, creates: bool, reply: &mut Reply<'_>) {
    let (key, group, word) = (args.get(2), args.get(3), args.get(4));
    let wrong = || error_text::wrong_subcommand("xgroup", args.get(1));
    let (makes, read) = match options(args.rest(5), creates) {
        Ok(options) => options,
        Err(Some(text)) => return reply.error(text),
        Err(None) => return reply.error(wrong()),
    };
    // The key and the group are looked at before the id, as in Redis.
    let there = match context.shards.of(key).redis_stream(key) {
        Err(refusal) => return refuse(reply, refusal),
        Ok(stream) => stream.map(|stream| stream.group(group).is_some()),
    };
    match there {
        None if !makes => return reply.error(NO_KEY),
        Some(false) if !creates => return no_group(reply, key, group),
        _ => {}
    }
    if creates && args.len() > 8 || !creates && !matches!(args.len(), 5 | 7) {
        return reply.error(wrong());
    }
    let start = match word {
        b"$" => Ok(GroupStart::Last),
        _ if creates => strict_id(word).map(GroupStart::Behind),
        _ => id(word, 0).map(GroupStart::Behind),
    };
    let start: GroupStart = match start {
        Ok(start) => start,
        Err(text) => return reply.error(text),
    };
    let shard = context.shards.of(key);
    let done = match creates {
        true => shard.create_stream_group(key, group, (start, read), makes),
        false => shard.set_stream_group(key, group, (start, read)),
    };
    match done {
        Ok(()) => reply.ok(),
        Err(refusal) => refuse_group(reply, args, refusal),
    }
}

static DESTROY: Command =
    subcommand("xgroup|destroy", 4, WRITES, &[KeyUse::DELETE], "Destroys a consumer group.", |context, args, reply| {
        let key = args.get(2);
        match context.shards.of(key).remove_stream_group(key, args.get(3)) {
            Ok(existed) => reply.integer(existed.into()),
            Err(refusal) => refuse_group(reply, args, refusal),
        }
    });

static CREATECONSUMER: Command = subcommand(
    "xgroup|createconsumer",
    5,
    GROWS,
    &[KeyUse::INSERT],
    "Creates a consumer of a group.",
    |context, args, reply| {
        let key = args.get(2);
        match context.shards.of(key).add_stream_consumer(key, args.get(3), args.get(4)) {
            Ok(is_new) => reply.integer(is_new.into()),
            Err(refusal) => refuse_group(reply, args, refusal),
        }
    },
);

static DELCONSUMER: Command = subcommand(
    "xgroup|delconsumer",
    5,
    WRITES,
    &[KeyUse::DELETE],
    "Deletes a consumer of a group, and what is pending for it.",
    |context, args, reply| {
        let key = args.get(2);
        match context.shards.of(key).remove_stream_consumer(key, args.get(3), args.get(4)) {
            Ok(pending) => reply.unsigned(pending as u64),
            Err(refusal) => refuse_group(reply, args, refusal),
        }
    },
);
