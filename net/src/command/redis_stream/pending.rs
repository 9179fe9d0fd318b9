//! XACK, XPENDING.

use super::reply::put_id;
use super::words::{end, ids, integer, start};
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{EntryId, PendingEntry, StreamGroup};
use keytide_engine::stream_name::Database;

pub static XACK: Command = Command {
    name: "xack",
    arity: -4,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Acknowledges entries that a group has delivered.",
    group: "stream",
    run: Run::Keys { run: xack, spread: Spread::Hold },
};

fn xack(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, group) = (args.get(1), args.get(2));
    let shard = context.shards.of(key);
    // Ids are read only where there is a group, as in Redis.
    match shard.redis_stream(key) {
        Err(refusal) => return refuse(reply, refusal),
        Ok(Some(stream)) if stream.group(group).is_some() => {}
        Ok(_) => return reply.integer(0),
    }
    match ids(args.rest(3).iter()) {
        Ok(ids) => {
            let acknowledged = shard.acknowledge_entries(key, group, &ids);
            acknowledged.answer(reply, |reply, acknowledged| reply.unsigned(acknowledged as u64));
        }
        Err(text) => reply.error(text),
    }
}

pub static XPENDING: Command = Command {
    name: "xpending",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns which entries a group has delivered that are not acknowledged.",
    group: "stream",
    run: Run::Keys { run: xpending, spread: Spread::Hold },
};

/// Which entries are wanted.
struct Wanted<'a> {
    from: EntryId,
    to: EntryId,
    most: usize,
    /// Those that were delivered so many milliseconds ago; 0 for all.
    min_idle_ms: u64,
    consumer: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    /// Parses `[IDLE ms] start end count [consumer]`; `None` if there is nothing.
    fn parse(words: Args<'a>) -> Result<Option<Wanted<'a>>, &'static str> {
        match words.len() {
            0 => return Ok(None),
            3..=6 => {}
            _ => return Err(error_text::SYNTAX),
        }
        let (mut words, mut min_idle_ms) = (words, 0);
        if is(words.get(0), "idle") {
            min_idle_ms = u64::try_from(integer(words.get(1))?).unwrap_or(0);
            if words.len() < 5 {
                return Err(error_text::SYNTAX);
            }
            words = words.rest(2);
        }
        let most = usize::try_from(integer(words.get(2))?).unwrap_or(0);
        let (from, to) = (start(words.get(0))?, end(words.get(1))?);
        Ok(Some(Wanted { from, to, most, min_idle_ms, consumer: words.try_get(3) }))
    }
}

fn xpending(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, name) = (args.get(1), args.get(2));
    let wanted = match Wanted::parse(args.rest(3)) {
        Ok(wanted) => wanted,
        Err(text) => return reply.error(text),
    };
    let now_ms = context.now_ms;
    match context.shards.of(key).redis_stream(key) {
        Err(refusal) => refuse(reply, refusal),
        Ok(stream) => match (stream.and_then(|stream| stream.group(name)), wanted) {
            (None, _) => reply.error(no_key_or_group(key, name)),
            (Some(group), None) => put_summary(reply, group),
            (Some(group), Some(wanted)) => put_wanted(reply, group, &wanted, now_ms),
        },
    }
}

/// The error where there is no such key, or no such group.
pub(super) fn no_key_or_group(key: &[u8], group: &[u8]) -> Vec<u8> {
    let words: [&[u8]; 5] = [b"NOGROUP No such key '", Database::key_of(key), b"' or consumer group '", group, b"'"];
    words.concat()
}

fn put_summary(reply: &mut Reply<'_>, group: &StreamGroup) {
    reply.array(4);
    reply.unsigned(group.pending_count() as u64);
    let Some((first, last)) = group.pending_ends() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    put_id(reply, first);
    put_id(reply, last);
    let busy = || group.consumers().filter(|consumer| consumer.pending_count() > 0);
    reply.array(busy().count());
    for consumer in busy() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.integer_bulk(consumer.pending_count() as i64);
    }
}

fn put_wanted(reply: &mut Reply<'_>, group: &StreamGroup, wanted: &Wanted<'_>, now_ms: u64) {
    let &Wanted { from, to, most, min_idle_ms, consumer } = wanted;
    let is_idle = |entry: &PendingEntry| min_idle_ms == 0 || now_ms.saturating_sub(entry.delivered_ms) >= min_idle_ms;
    let rows: Vec<(EntryId, PendingEntry)> = match consumer {
        None => group.pending(from, to).filter(|(_, entry)| is_idle(entry)).take(most).collect(),
        Some(name) => {
            let Some(consumer) = group.consumer(name) else { return reply.array(0) };
            let entries = consumer.pending(from, to).filter_map(|id| Some((id, group.pending_entry(id)?)));
            entries.filter(|(_, entry)| is_idle(entry)).take(most).collect()
        }
    };
    reply.array(rows.len());
    for (id, entry) in rows {
        reply.array(4);
        put_id(reply, id);
        reply.bulk(group.by_number(entry.consumer).name());
        reply.unsigned(now_ms.saturating_sub(entry.delivered_ms));
        reply.unsigned(entry.times);
    }
}
