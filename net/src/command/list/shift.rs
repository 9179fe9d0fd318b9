//! LMOVE, RPOPLPUSH.

use crate::command::options::{is, string_or_nil};
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::keyspace::entry::End;

pub static LMOVE: Command = Command {
    name: "lmove",
    arity: 5,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::READ_DELETE, KeyUse::INSERT]),
    summary: "Moves an element from an end of one list to an end of another.",
    group: "list",
    run: Run::Keys { run: lmove, spread: Spread::Hold },
};

fn lmove(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match (end_of_word(args.get(3)), end_of_word(args.get(4))) {
        (Some(from), Some(to)) => shift(context, args, from, to, reply),
        _ => reply.error(error_text::SYNTAX),
    }
}

/// The end of a list that LEFT or RIGHT names.
pub(super) fn end_of_word(word: &[u8]) -> Option<End> {
    if is(word, "left") {
        Some(End::Head)
    } else if is(word, "right") {
        Some(End::Tail)
    } else {
        None
    }
}

pub static RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    arity: 3,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::TWO,
    access: Access::keys(&[KeyUse::READ_DELETE, KeyUse::INSERT]),
    summary: "Moves the element at the tail of one list to the head of another.",
    group: "list",
    run: Run::Keys { run: rpoplpush, spread: Spread::Hold },
};

fn rpoplpush(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    shift(context, args, End::Tail, End::Head, reply);
}

fn shift(context: &mut KeysContext<'_>, args: Args<'_>, from: End, to: End, reply: &mut Reply<'_>) {
    let moved = context.shards.move_element(args.get(1), from, args.get(2), to);
    moved.answer(reply, |reply, element| string_or_nil(reply, element.as_deref()));
}
