//! XLEN, XRANGE, XREVRANGE.

use super::reply::put_entries;
use super::words::{end, integer, start};
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, RunKeys, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::EntryId;

pub static XLEN: Command = Command {
    name: "xlen",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::LOOK,
    summary: "Returns the number of entries of a stream.",
    group: "stream",
    run: Run::Keys { run: xlen, spread: Spread::Hold },
};

fn xlen(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let stream = context.shards.of(key).redis_stream(key);
    stream.answer(reply, |reply, stream| reply.unsigned(stream.map_or(0, |stream| stream.len())));
}

const fn range(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -4,
        flags: &[Flag::Readonly],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "stream",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static XRANGE: Command = range("xrange", "Returns the entries in a range of ids.", |context, args, reply| {
    put_range(context, args, false, reply);
});

pub static XREVRANGE: Command =
    range("xrevrange", "Returns the entries in a range of ids, the last one first.", |context, args, reply| {
        put_range(context, args, true, reply);
    });

/// The ids, and the most entries if the client says so.
type Asked = ((EntryId, EntryId), Option<i64>);

fn parse(words: Args<'_>, is_reversed: bool) -> Result<Asked, &'static str> {
    let (first, second) = (words.get(0), words.get(1));
    let (from, to) = if is_reversed { (second, first) } else { (first, second) };
    let ids = (start(from)?, end(to)?);
    let (mut at, mut count) = (2, None);
    while let Some(word) = words.try_get(at) {
        match words.try_get(at + 1) {
            Some(number) if is(word, "count") => count = Some(integer(number)?),
            _ => return Err(error_text::SYNTAX),
        }
        at += 2;
    }
    Ok((ids, count))
}

fn put_range(context: &mut KeysContext<'_>, args: Args<'_>, is_reversed: bool, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let ((from, to), count) = match parse(args.rest(2), is_reversed) {
        Ok(asked) => asked,
        Err(text) => return reply.error(text),
    };
    context.shards.of(key).redis_stream(key).answer(reply, |reply, stream| match (stream, count) {
        (None, _) => reply.array(0),
        (Some(_), Some(..=0)) => reply.null_array(),
        (Some(stream), count) => {
            let most = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
            match is_reversed {
                false => put_entries(reply, most, stream.range(from, to)),
                true => put_entries(reply, most, stream.range_back(from, to)),
            }
        }
    });
}
