//! SETBIT, GETBIT.

use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::limits::STRING_BYTES_MAX;
use keytide_engine::number::parse_i64;

/// The number of a bit, within the longest string; or the text of the error.
pub fn bit_offset(word: &[u8]) -> Result<usize, &'static str> {
    let offset = parse_i64(word).and_then(|offset| usize::try_from(offset).ok());
    offset.filter(|offset| offset / 8 < STRING_BYTES_MAX).ok_or(error_text::BIT_OFFSET)
}

pub static SETBIT: Command = Command {
    name: "setbit",
    arity: 4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::READ_UPDATE,
    summary: "Sets or clears a bit of the string at a key.",
    group: "bitmap",
    run: Run::Keys { run: setbit, spread: Spread::Hold },
};

fn setbit(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let at = match bit_offset(args.get(2)) {
        Ok(at) => at,
        Err(text) => return reply.error(text),
    };
    let bit = match args.get(3) {
        b"0" => false,
        b"1" => true,
        _ => return reply.error(error_text::BIT),
    };
    context.event = Some("setbit");
    let key = args.get(1);
    context.shards.of(key).set_bit(key, at, bit).answer(reply, |reply, old| reply.integer(i64::from(old)));
}

pub static GETBIT: Command = Command {
    name: "getbit",
    arity: 3,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns a bit of the string at a key.",
    group: "bitmap",
    run: Run::Keys { run: getbit, spread: Spread::Hold },
};

fn getbit(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let at = match bit_offset(args.get(2)) {
        Ok(at) => at,
        Err(text) => return reply.error(text),
    };
    let key = args.get(1);
    context.shards.of(key).get(key).answer(reply, |reply, bytes| {
        let byte = bytes.and_then(|bytes| bytes.get(at / 8)).copied().unwrap_or(0);
        reply.integer(i64::from(byte >> (7 - at % 8) & 1));
    });
}
