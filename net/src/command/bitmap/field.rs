//! BITFIELD, BITFIELD_RO.

use super::bit::bit_offset;
use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::bits::{Field, FieldChange, Overflow};
use keytide_engine::limits::STRING_BYTES_MAX;
use keytide_engine::number::parse_i64;

pub static BITFIELD: Command = Command {
    name: "bitfield",
    arity: -2,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::ONE,
    access: Access::keys_by(&[KeyUse::READ_UPDATE], use_of_bitfield),
    summary: "Reads and changes integers within the string at a key.",
    group: "bitmap",
    run: Run::Keys { run: |context, args, reply| bitfield(context, args, false, reply), spread: Spread::Hold },
};

/// BITFIELD that only reads needs no more.
fn use_of_bitfield(args: Args<'_>) -> KeyUse {
    let only_reads = parse(args.rest(2)).is_ok_and(|changes| is_read(&changes));
    if only_reads { KeyUse::READ } else { KeyUse::READ_UPDATE }
}

pub static BITFIELD_RO: Command = Command {
    name: "bitfield_ro",
    arity: -2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Reads integers within the string at a key.",
    group: "bitmap",
    run: Run::Keys { run: |context, args, reply| bitfield(context, args, true, reply), spread: Spread::Hold },
};

type Change = (Field, FieldChange);

fn is_read(changes: &[Change]) -> bool {
    changes.iter().all(|(_, change)| *change == FieldChange::Get)
}

fn bitfield(context: &mut KeysContext<'_>, args: Args<'_>, reads_only: bool, reply: &mut Reply<'_>) {
    let changes = match parse(args.rest(2)) {
        Ok(changes) => changes,
        Err(text) => return reply.error(text),
    };
    if reads_only && !is_read(&changes) {
        return reply.error("ERR BITFIELD_RO only supports the GET subcommand");
    }
    if !is_read(&changes) {
        context.event = Some("setbit");
    }
    let key = args.get(1);
    context.shards.of(key).change_fields(key, &changes).answer(reply, |reply, results| {
        reply.array(results.len());
        for result in results {
            match result {
                Some(value) => reply.integer(value),
                None => reply.null(),
            }
        }
    });
}

/// The changes, in order; or the text of the error.
fn parse(words: Args<'_>) -> Result<Vec<Change>, &'static str> {
    let (mut at, mut overflow) = (0, Overflow::Wrap);
    let mut changes = Vec::new();
    while let Some(word) = words.try_get(at) {
        let behind = words.len() - at - 1;
        if is(word, "overflow") && behind >= 1 {
            let all = [("wrap", Overflow::Wrap), ("sat", Overflow::Saturate), ("fail", Overflow::Fail)];
            let named = all.into_iter().find(|(name, _)| is(words.get(at + 1), name));
            overflow = named.ok_or("ERR Invalid OVERFLOW type specified")?.1;
            at += 2;
            continue;
        }
        let takes = match word {
            _ if is(word, "get") => 2,
            _ if is(word, "set") || is(word, "incrby") => 3,
            _ => return Err(error_text::SYNTAX),
        };
        if behind < takes {
            return Err(error_text::SYNTAX);
        }
        let field = field(words.get(at + 1), words.get(at + 2))?;
        let value = || parse_i64(words.get(at + 3)).ok_or(error_text::NOT_INTEGER);
        let change = match word {
            _ if takes == 2 => FieldChange::Get,
            _ if is(word, "set") => FieldChange::Set(value()?, overflow),
            _ => FieldChange::Add(value()?, overflow),
        };
        changes.push((field, change));
        at += 1 + takes;
    }
    Ok(changes)
}

/// A field by its type, such as `u8`, and its offset, in bits or with `#` in fields of this type.
fn field(kind: &[u8], offset: &[u8]) -> Result<Field, &'static str> {
    const TYPE: &str =
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
    let (is_signed, digits) = match kind {
        [b'i', digits @ ..] => (true, digits),
        [b'u', digits @ ..] => (false, digits),
        _ => return Err(TYPE),
    };
    let most = if is_signed { 64 } else { 63 };
    let width = parse_i64(digits).filter(|width| (1..=most).contains(width)).ok_or(TYPE)?;
    let offset = match offset {
        [b'#', number @ ..] => {
            let bits = parse_i64(number).and_then(|number| usize::try_from(number.checked_mul(width)?).ok());
            bits.filter(|bits| bits / 8 < STRING_BYTES_MAX).ok_or(error_text::BIT_OFFSET)?
        }
        offset => bit_offset(offset)?,
    };
    Ok(Field { offset, width: width as u32, is_signed })
}
