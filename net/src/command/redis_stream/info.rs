//! XINFO.

use super::reply::{put_entries, put_entry, put_id};
use super::words::{integer, most};
use crate::command::help::help;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{EntryId, RedisStream, StreamGroup};
use keytide_engine::error::Refusal;

static HELP: Command = help("xinfo|help", "stream");

pub static XINFO: Command = Command {
    name: "xinfo",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Commands that describe a stream.",
    group: "stream",
    run: Run::Container(&[&STREAM, &GROUPS, &CONSUMERS, &HELP]),
};

const fn subcommand(name: &'static str, arity: i32, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity,
        flags: &[Flag::Readonly],
        keys: Keys::At { first: 2, last: 2, step: 1 },
        access: Access::READ,
        summary,
        group: "stream",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

/// Describes the stream at a key.
fn describe(
    context: &mut KeysContext<'_>,
    key: &[u8],
    reply: &mut Reply<'_>,
    put: impl FnOnce(&mut Reply<'_>, &RedisStream),
) {
    match context.shards.of(key).redis_stream(key) {
        Ok(Some(stream)) => put(reply, stream),
        Ok(None) => refuse(reply, Refusal::NoSuchKey),
        Err(refusal) => refuse(reply, refusal),
    }
}

static STREAM: Command = subcommand("xinfo|stream", -3, "Describes a stream.", |context, args, reply| {
    describe(context, args.get(2), reply, |reply, stream| match full(args.rest(3)) {
        Ok(None) => put_stream(reply, stream),
        Ok(Some(most)) => put_full(reply, stream, most),
        Err(Some(text)) => reply.error(text),
        Err(None) => reply.error(error_text::wrong_subcommand("xinfo", args.get(1))),
    });
});

/// The entries and what else there may be of many that FULL shows.
const SHOWN: i64 = 10;

/// Reads `[FULL [COUNT n]]`: how many of each are shown.
fn full(words: Args<'_>) -> Result<Option<usize>, Option<&'static str>> {
    match words.len() {
        0 => return Ok(None),
        1 | 3 if is(words.get(0), "full") => {}
        _ => return Err(None),
    }
    let count = match words.try_get(1) {
        None => SHOWN,
        Some(word) if is(word, "count") => integer(words.get(2))?,
        Some(_) => return Err(None),
    };
    Ok(Some(most(if count < 0 { SHOWN } else { count })))
}

fn put_head(reply: &mut Reply<'_>, stream: &RedisStream) {
    reply.text("length");
    reply.unsigned(stream.len());
    // There is no tree here: each key is a block, and there is one node more.
    reply.text("radix-tree-keys");
    reply.unsigned(stream.blocks() as u64);
    reply.text("radix-tree-nodes");
    reply.unsigned(stream.blocks() as u64 + 1);
    reply.text("last-generated-id");
    put_id(reply, stream.last_id());
    reply.text("max-deleted-entry-id");
    put_id(reply, stream.max_deleted());
    reply.text("entries-added");
    reply.unsigned(stream.added());
    reply.text("recorded-first-entry-id");
    put_id(reply, stream.first().unwrap_or(EntryId::MIN));
}

fn put_stream(reply: &mut Reply<'_>, stream: &RedisStream) {
    reply.map(10);
    put_head(reply, stream);
    reply.text("groups");
    reply.unsigned(stream.groups().len() as u64);
    for (name, id) in [("first-entry", stream.first()), ("last-entry", stream.last())] {
        reply.text(name);
        match id.and_then(|id| stream.get(id)) {
            Some(entry) => put_entry(reply, entry),
            None => reply.null(),
        }
    }
}

fn put_known(reply: &mut Reply<'_>, number: Option<i64>) {
    match number {
        Some(number) => reply.integer(number),
        None => reply.null(),
    }
}

/// How far a group has come.
fn put_progress(reply: &mut Reply<'_>, stream: &RedisStream, group: &StreamGroup) {
    reply.text("last-delivered-id");
    put_id(reply, group.last_delivered());
    reply.text("entries-read");
    put_known(reply, group.entries_read().map(|read| read as i64));
    reply.text("lag");
    put_known(reply, stream.lag(group));
}

fn put_full(reply: &mut Reply<'_>, stream: &RedisStream, most: usize) {
    reply.map(9);
    put_head(reply, stream);
    reply.text("entries");
    put_entries(reply, most, stream.range(EntryId::MIN, EntryId::MAX));
    reply.text("groups");
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(7);
        reply.text("name");
        reply.bulk(name);
        put_progress(reply, stream, group);
        reply.text("pel-count");
        reply.unsigned(group.pending_count() as u64);
        reply.text("pending");
        reply.array(most.min(group.pending_count()));
        for (id, entry) in group.pending(EntryId::MIN, EntryId::MAX).take(most) {
            reply.array(4);
            put_id(reply, id);
            reply.bulk(group.by_number(entry.consumer).name());
            reply.unsigned(entry.delivered_ms);
            reply.unsigned(entry.times);
        }
        reply.text("consumers");
        reply.array(group.consumers().len());
        for consumer in group.consumers() {
            reply.map(4);
            reply.text("name");
            reply.bulk(consumer.name());
            reply.text("seen-time");
            reply.unsigned(consumer.seen_ms());
            reply.text("pel-count");
            reply.unsigned(consumer.pending_count() as u64);
            reply.text("pending");
            reply.array(most.min(consumer.pending_count()));
            for id in consumer.pending(EntryId::MIN, EntryId::MAX).take(most) {
                let entry = group.pending_entry(id);
                reply.array(3);
                put_id(reply, id);
                reply.unsigned(entry.map_or(0, |entry| entry.delivered_ms));
                reply.unsigned(entry.map_or(0, |entry| entry.times));
            }
        }
    }
}

static GROUPS: Command = subcommand("xinfo|groups", 3, "Describes the groups of a stream.", |context, args, reply| {
    describe(context, args.get(2), reply, |reply, stream| {
        reply.array(stream.groups().len());
        for (name, group) in stream.groups() {
            reply.map(6);
            reply.text("name");
            reply.bulk(name);
            reply.text("consumers");
            reply.unsigned(group.consumers().len() as u64);
            reply.text("pending");
            reply.unsigned(group.pending_count() as u64);
            put_progress(reply, stream, group);
        }
    });
});

static CONSUMERS: Command =
    subcommand("xinfo|consumers", 4, "Describes the consumers of a group.", |context, args, reply| {
        let (key, name, now_ms) = (args.get(2), args.get(3), context.now_ms);
        describe(context, key, reply, |reply, stream| {
            let Some(group) = stream.group(name) else { return super::group::no_group(reply, key, name) };
            reply.array(group.consumers().len());
            for consumer in group.consumers() {
                reply.map(3);
                reply.text("name");
                reply.bulk(consumer.name());
                reply.text("pending");
                reply.unsigned(consumer.pending_count() as u64);
                reply.text("idle");
                reply.unsigned(now_ms.saturating_sub(consumer.seen_ms()));
            }
        });
    });
