//! XSETID.

use super::words::{integer, strict_id};
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::EntryId;

pub static XSETID: Command = Command {
    name: "xsetid",
    arity: -3,
    flags: &[Flag::Write, Flag::Denyoom, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Sets the last id of a stream, and what it knows of entries that it does not have.",
    group: "stream",
    run: Run::Keys { run: xsetid, spread: Spread::Hold },
};

/// The last id, the number of entries ever added, the greatest id that was deleted.
type State = (EntryId, Option<u64>, Option<EntryId>);

fn parse(words: Args<'_>) -> Result<State, &'static str> {
    let last_id = strict_id(words.get(0))?;
    let (mut added, mut max_deleted, mut at) = (None, None, 1);
    while let Some(word) = words.try_get(at) {
        match words.try_get(at + 1) {
            Some(number) if is(word, "entriesadded") => {
                let number = integer(number)?;
                added = Some(u64::try_from(number).map_err(|_| "ERR entries_added must be positive")?);
            }
            Some(id) if is(word, "maxdeletedid") => {
                let id = strict_id(id)?;
                if last_id < id {
                    return Err("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
                }
                max_deleted = Some(id);
            }
            _ => return Err(error_text::SYNTAX),
        }
        at += 2;
    }
    // The least id is as none.
    Ok((last_id, added, max_deleted.filter(|id| *id != EntryId::MIN)))
}

fn xsetid(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    match parse(args.rest(2)) {
        Ok((last_id, added, max_deleted)) => {
            let set = context.shards.of(key).set_stream_state(key, last_id, added, max_deleted);
            set.answer(reply, |reply, ()| reply.ok());
        }
        Err(text) => reply.error(text),
    }
}
