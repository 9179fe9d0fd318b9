//! XREAD, XREADGROUP: they wait for an entry where there is none.

use super::reply::{put_counted, put_entries, put_id};
use super::words::{integer, most, strict_id};
use crate::command::options::is;
use crate::command::waiting::refuse_text;
use crate::command::{Access, Command, Flag, Keys, Progress, Run, RunWaiting, WaitContext, WaitFor, refusal_text};
use crate::resp::{Args, Protocol, Reply, error_text};
use keytide_engine::collection::{EntryId, RedisStream};
use keytide_engine::error::Refusal;
use keytide_engine::number::parse_i64;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::Awaited;
use std::borrow::Cow;

const fn read(
    (name, arity, keys): (&'static str, i32, Keys),
    flags: &'static [Flag],
    summary: &'static str,
    run: RunWaiting,
) -> Command {
    Command {
        name,
        arity,
        flags,
        keys,
        access: Access::READ,
        summary,
        group: "stream",
        run: Run::Waiting { run, waits_for: keys, awaited: Awaited::RedisStream },
    }
}

pub static XREAD: Command = read(
    ("xread", -4, Keys::Streams { from: 1 }),
    &[Flag::Readonly, Flag::Blocking, Flag::MovableKeys],
    "Returns the entries behind an id of one or more streams, or waits for some.",
    |context, args, reply| match Read::parse(args, false) {
        Ok(read) => xread(context, &read, reply),
        Err(text) => refuse_text(reply, text),
    },
);

pub static XREADGROUP: Command = read(
    ("xreadgroup", -7, Keys::Streams { from: 4 }),
    &[Flag::Write, Flag::Blocking, Flag::MovableKeys],
    "Delivers entries to a consumer of a group that were not delivered yet, or waits for some; or returns those that it has.",
    |context, args, reply| match Read::parse(args, true) {
        Ok(read) => xreadgroup(context, &read, reply),
        Err(text) => refuse_text(reply, text),
    },
);

const UNBALANCED: &str = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.";
const GROUP_OF_XREAD: &str = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
const NO_ACK_OF_XREAD: &str = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
const NO_GROUP_OPTION: &str = "ERR Missing GROUP option for XREADGROUP";
const LAST_OF_GROUP: &str = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
     consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.";
const NEW_OF_XREAD: &str =
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
/// The key of a waiting command was deleted.
const STREAM_GONE: &str = "UNBLOCKED the stream key no longer exists";
/// The group of a waiting command was destroyed.
const GROUP_GONE: &str = "NOGROUP the consumer group this client was blocked on no longer exists";

/// The arguments.
struct Read<'a> {
    /// The most entries of each stream.
    most: usize,
    /// How long it waits, 0 for ever; `None` not at all.
    block_ms: Option<u64>,
    /// The group and the consumer.
    group: (&'a [u8], &'a [u8]),
    /// Whether delivered entries do not become pending.
    is_acknowledged: bool,
    keys: Args<'a>,
    /// As many words for ids.
    ids: Args<'a>,
}

impl<'a> Read<'a> {
    fn parse(args: Args<'a>, is_group: bool) -> Result<Read<'a>, &'static str> {
        let (mut at, mut count, mut block_ms, mut group, mut is_acknowledged) = (1, 0, None, None, false);
        let streams = loop {
            let word = args.try_get(at).ok_or(error_text::SYNTAX)?;
            let (first, second) = (args.try_get(at + 1), args.try_get(at + 2));
            at += match (first, second) {
                (Some(text), _) if is(word, "block") => {
                    block_ms = Some(block(text)?);
                    2
                }
                (Some(text), _) if is(word, "count") => {
                    count = integer(text)?;
                    2
                }
                (Some(_), _) if is(word, "streams") => break args.rest(at + 1),
                (Some(name), Some(consumer)) if is(word, "group") => {
                    if !is_group {
                        return Err(GROUP_OF_XREAD);
                    }
                    group = Some((name, consumer));
                    3
                }
                _ if is(word, "noack") => {
                    if !is_group {
                        return Err(NO_ACK_OF_XREAD);
                    }
                    is_acknowledged = true;
                    1
                }
                _ => return Err(error_text::SYNTAX),
            };
        };
        if !streams.len().is_multiple_of(2) {
            return Err(UNBALANCED);
        }
        if is_group && group.is_none() {
            return Err(NO_GROUP_OPTION);
        }
        let (keys, ids) = (streams.first(streams.len() / 2), streams.rest(streams.len() / 2));
        Ok(Read { most: most(count), block_ms, group: group.unwrap_or_default(), is_acknowledged, keys, ids })
    }

    /// Replies that there is nothing, or waits for something.
    fn wait(&self, context: &mut WaitContext<'_>, reply: &mut Reply<'_>) -> Progress {
        if self.block_ms.is_some() && context.state.as_mut().is_some_and(|state| !state.is_over(self.block_ms)) {
            return Progress::Wait(WaitFor::Keys);
        }
        reply.null_array();
        Progress::Done
    }
}

/// Whether the words of such a command have the option to wait, as far as they are right.
pub fn asks_to_wait(args: Args<'_>) -> bool {
    let mut at = 1;
    while let Some(word) = args.try_get(at) {
        at += match () {
            () if is(word, "block") => return at + 1 < args.len(),
            () if is(word, "count") => 2,
            () if is(word, "group") => 3,
            () if is(word, "noack") => 1,
            () => return false,
        };
    }
    false
}

/// A time to wait, in milliseconds.
fn block(text: &[u8]) -> Result<u64, &'static str> {
    let millis = parse_i64(text).ok_or("ERR timeout is not an integer or out of range")?;
    // What is added to it is the time since 1970: no sum that fits comes close to the limit.
    match u64::try_from(millis) {
        Err(_) => Err(error_text::TIMEOUT_NEGATIVE),
        Ok(_) if millis >= i64::MAX - i64::from(u32::MAX) * 1_000 => Err(error_text::TIMEOUT_OUT_OF_RANGE),
        Ok(millis) => Ok(millis),
    }
}

/// Begins the part of a reply for one stream.
fn begin_stream(reply: &mut Reply<'_>, key: &[u8]) {
    if reply.protocol() == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(Database::key_of(key));
}

/// The head of a reply with so many streams.
fn begin(reply: &mut Reply<'_>, streams: usize) {
    match reply.protocol() {
        Protocol::Resp2 => reply.array(streams),
        Protocol::Resp3 => reply.map(streams),
    }
}

/// The id behind which a stream is read. `known` is the one of an earlier run.
fn behind(word: &[u8], stream: Option<&RedisStream>, known: Option<EntryId>) -> Result<EntryId, &'static str> {
    match word {
        b"$" => Ok(known.or(stream.map(RedisStream::last_id)).unwrap_or(EntryId::MIN)),
        // The last entry, as long as there is one.
        b"+" => Ok(stream.and_then(RedisStream::last).and_then(EntryId::previous).unwrap_or(EntryId::MIN)),
        b">" => Err(NEW_OF_XREAD),
        _ => strict_id(word),
    }
}

/// Whether the command has waited: it has found nothing in an earlier run.
fn has_waited(context: &WaitContext<'_>) -> bool {
    context.state.as_ref().is_some_and(|state| state.deadline_ms.is_some())
}

fn xread(context: &mut WaitContext<'_>, read: &Read<'_>, reply: &mut Reply<'_>) -> Progress {
    let has_waited = has_waited(context);
    let known = context.state.as_mut().map(|state| std::mem::take(&mut state.read_behind)).unwrap_or_default();
    let mut ids: Vec<EntryId> = Vec::with_capacity(read.keys.len());
    let mut found = Vec::new();
    for (n, (key, word)) in read.keys.iter().zip(read.ids.iter()).enumerate() {
        let stream = match context.shards.of(key).redis_stream(key) {
            // A key that is no stream any more may become one again.
            Err(_) if has_waited => None,
            Err(refusal) => return refuse_text(reply, &refusal_text(refusal)),
            Ok(stream) => stream,
        };
        match behind(word, stream, known.get(n).copied()) {
            Ok(id) => ids.push(id),
            Err(text) => return refuse_text(reply, text),
        }
        if stream.is_some_and(|stream| stream.has_beyond(ids[n])) {
            found.push(n);
        }
    }
    if found.is_empty() {
        if let Some(state) = &mut context.state {
            state.read_behind = ids;
        }
        return read.wait(context, reply);
    }
    begin(reply, found.len());
    for n in found {
        let key = read.keys.get(n);
        begin_stream(reply, key);
        match context.shards.of(key).redis_stream(key) {
            Ok(Some(stream)) => {
                // There is an entry behind it.
                let from = ids[n].next().unwrap_or(EntryId::MAX);
                put_entries(reply, read.most, stream.range(from, EntryId::MAX));
            }
            _ => reply.array(0),
        }
    }
    Progress::Done
}

/// The text of a refusal where a key or its group is not there.
fn no_group(key: &[u8], group: &[u8]) -> Vec<u8> {
    let words: [&[u8]; 5] = [
        b"NOGROUP No such key '",
        Database::key_of(key),
        b"' or consumer group '",
        group,
        b"' in XREADGROUP with GROUP option",
    ];
    words.concat()
}

fn xreadgroup(context: &mut WaitContext<'_>, read: &Read<'_>, reply: &mut Reply<'_>) -> Progress {
    // `None` stands for the entries that are new.
    let mut ids: Vec<Option<EntryId>> = Vec::with_capacity(read.keys.len());
    let has_waited = has_waited(context);
    for (key, word) in read.keys.iter().zip(read.ids.iter()) {
        match context.shards.of(key).redis_stream(key) {
            Err(refusal) => return refuse_text(reply, &refusal_text(refusal)),
            Ok(Some(stream)) if stream.group(read.group.0).is_some() => {}
            Ok(Some(_)) if has_waited => return refuse_text(reply, GROUP_GONE),
            Ok(None) if has_waited => return refuse_text(reply, STREAM_GONE),
            Ok(_) => {
                reply.error(no_group(key, read.group.0));
                return Progress::Done;
            }
        }
        ids.push(match word {
            b"$" => return refuse_text(reply, LAST_OF_GROUP),
            b">" => None,
            _ => match strict_id(word) {
                Ok(EntryId::MAX) => None,
                Ok(id) => Some(id),
                Err(text) => return refuse_text(reply, text),
            },
        });
    }
    let (mut bodies, mut served) = (Vec::new(), 0);
    for (key, id) in read.keys.iter().zip(ids) {
        let mut body = reply.for_part(&mut bodies);
        match deliver(context, read, key, id, &mut body) {
            Ok(is_served) => served += usize::from(is_served),
            Err(text) => return refuse_text(reply, &text),
        }
    }
    if served == 0 {
        return read.wait(context, reply);
    }
    begin(reply, served);
    reply.raw(&bodies);
    Progress::Done
}

/// Delivers entries of one stream, with what the reply has of it; returns whether it has anything.
fn deliver(
    context: &mut WaitContext<'_>,
    read: &Read<'_>,
    key: &[u8],
    id: Option<EntryId>,
    reply: &mut Reply<'_>,
) -> Result<bool, Cow<'static, str>> {
    let shard = context.shards.of(key);
    match id {
        None => {
            let delivered = shard.read_stream_group(key, read.group, read.most, read.is_acknowledged);
            let Some(delivery) = delivered.map_err(refusal_text)? else { return Ok(false) };
            begin_stream(reply, key);
            if let Ok(Some(stream)) = shard.redis_stream(key) {
                put_counted(reply, delivery.count, stream.range(delivery.first, delivery.last));
            }
        }
        Some(id) => {
            let again = shard.reread_stream_group(key, read.group, id, read.most).map_err(refusal_text)?;
            begin_stream(reply, key);
            reply.array(again.len());
            let stream = shard.redis_stream(key).ok().flatten();
            for id in again {
                match stream.and_then(|stream| stream.get(id)) {
                    Some(entry) => super::reply::put_entry(reply, entry),
                    None => {
                        reply.array(2);
                        put_id(reply, id);
                        reply.null_array();
                    }
                }
            }
        }
    }
    Ok(true)
}

/// Whether a refusal says that there is no such group.
pub(super) fn is_no_group(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::NoSuchGroup | Refusal::NoSuchKey)
}
