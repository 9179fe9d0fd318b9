//! XADD.

use super::reply::put_id;
use super::trim::TrimOptions;
use super::words::strict_id;
use crate::command::options::{is, pairs};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::EntryId;
use keytide_engine::shard::{AddRule, NewEntryId};
use std::borrow::Cow;

pub static XADD: Command = Command {
    name: "xadd",
    arity: -5,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Appends an entry to a stream, and trims it.",
    group: "stream",
    run: Run::Keys { run: xadd, spread: Spread::Hold },
};

/// The id, the rule, and the fields with their values.
type Entry<'a> = (NewEntryId, AddRule, Args<'a>);

fn parse(mut words: Args<'_>) -> Result<Entry<'_>, Cow<'static, str>> {
    let (mut options, mut creates, mut id) = (TrimOptions::default(), true, None);
    while let Some(word) = words.try_get(0) {
        if word == b"*" {
            id = Some(NewEntryId::Any);
            break;
        }
        let mut read = options.read(words)?;
        if read == 0 && is(word, "nomkstream") {
            (creates, read) = (false, 1);
        }
        if read == 0 {
            id = Some(match EntryId::parse_any_seq(word) {
                Some(ms) => NewEntryId::AnySeq(ms),
                None => NewEntryId::Is(strict_id(word)?),
            });
            break;
        }
        words = words.rest(read);
    }
    let trim = options.trim(false)?;
    let fields = words.rest(1);
    let Some(id) = id.filter(|_| !fields.is_empty() && fields.len().is_multiple_of(2)) else {
        return Err(error_text::wrong_arguments("xadd").into());
    };
    if id == NewEntryId::Is(EntryId::MIN) {
        return Err("ERR The ID specified in XADD must be greater than 0-0".into());
    }
    Ok((id, AddRule { creates, trim }, fields))
}

fn xadd(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let (id, rule, fields) = match parse(args.rest(2)) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text.as_bytes()),
    };
    context.shards.of(key).add_entry(key, id, pairs(fields), rule).answer(reply, |reply, id| match id {
        Some(id) => put_id(reply, id),
        None => reply.null(),
    });
}
