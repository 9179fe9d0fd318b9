//! XDELEX, XACKDEL: entries are deleted with regard to the groups that have them pending.

use super::words::ids;
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use keytide_engine::shard::{EntryFate, References};

pub static XDELEX: Command = Command {
    name: "xdelex",
    arity: -5,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Deletes entries of a stream, with regard to the groups that have them pending.",
    group: "stream",
    run: Run::Keys { run: xdelex, spread: Spread::Hold },
};

pub static XACKDEL: Command = Command {
    name: "xackdel",
    arity: -6,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::keys(&[KeyUse::UPDATE_DELETE]),
    summary: "Acknowledges entries that a group has delivered, and deletes them.",
    group: "stream",
    run: Run::Keys { run: xackdel, spread: Spread::Hold },
};

/// What is said of references, and the words of the ids, of which the last block counts.
fn parse(words: Args<'_>) -> Result<(References, Args<'_>, usize), &'static str> {
    let (mut at, mut references, mut found) = (0, None, None);
    while let Some(word) = words.try_get(at) {
        let named = [("keepref", References::Keep), ("delref", References::Delete), ("acked", References::Await)];
        if let Some((_, named)) = named.iter().find(|(name, _)| is(word, name)) {
            if references.replace(*named).is_some() {
                return Err(error_text::SYNTAX);
            }
            at += 1;
        } else if let (true, Some(number)) = (is(word, "ids"), words.try_get(at + 1)) {
            let count = parse_i64(number).and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
            let count = count.ok_or("ERR Number of IDs must be a positive integer")?;
            if count > words.len() - at - 2 {
                return Err("ERR The `numids` parameter must match the number of arguments");
            }
            found = Some((words.rest(at + 2), count));
            at += 2 + count;
        } else {
            return Err(error_text::SYNTAX);
        }
    }
    let (ids, count) = found.ok_or(error_text::SYNTAX)?;
    Ok((references.unwrap_or(References::Keep), ids, count))
}

fn put_fates(reply: &mut Reply<'_>, fates: impl ExactSizeIterator<Item = EntryFate>) {
    reply.array(fates.len());
    for fate in fates {
        reply.integer(match fate {
            EntryFate::Absent => -1,
            EntryFate::Deleted => 1,
            EntryFate::Referenced => 2,
        });
    }
}

fn xdelex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    run(context, args, None, reply);
}

fn xackdel(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    run(context, args, Some(args.get(2)), reply);
}

fn run(context: &mut KeysContext<'_>, args: Args<'_>, group: Option<&[u8]>, reply: &mut Reply<'_>) {
    let (references, words, count) = match parse(args.rest(if group.is_some() { 3 } else { 2 })) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text),
    };
    let key = args.get(1);
    let shard = context.shards.of(key);
    // Ids are read only where there is something, as in Redis.
    match shard.redis_stream(key) {
        Err(refusal) => return refuse(reply, refusal),
        Ok(Some(stream)) if group.is_none_or(|group| stream.group(group).is_some()) => {}
        Ok(_) => return put_fates(reply, std::iter::repeat_n(EntryFate::Absent, count)),
    }
    let ids = match ids(words.iter().take(count)) {
        Ok(ids) => ids,
        Err(text) => return reply.error(text),
    };
    let fates = match group {
        None => shard.delete_entries_and(key, &ids, references),
        Some(group) => shard.acknowledge_and_delete(key, group, &ids, references),
    };
    fates.answer(reply, |reply, fates| put_fates(reply, fates.into_iter()));
}
