//! BITOP.

use crate::command::options::is;
use crate::command::{Access, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::bits::{Operation, combine};

pub static BITOP: Command = Command {
    name: "bitop",
    arity: -4,
    flags: &[Flag::Write, Flag::Denyoom],
    keys: Keys::At { first: 2, last: -1, step: 1 },
    access: Access::keys(&[KeyUse::OVERWRITE, KeyUse::READ]),
    summary: "Combines strings bit by bit and stores the result.",
    group: "bitmap",
    run: Run::Keys { run: bitop, spread: Spread::Hold },
};

const OPERATIONS: [(&str, Operation); 8] = [
    ("AND", Operation::And),
    ("OR", Operation::Or),
    ("XOR", Operation::Xor),
    ("NOT", Operation::Not),
    ("DIFF", Operation::Diff),
    ("DIFF1", Operation::Diff1),
    ("ANDOR", Operation::AndOr),
    ("ONE", Operation::One),
];

fn bitop(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let named = OPERATIONS.iter().find(|(name, _)| is(args.get(1), name));
    let Some((name, operation)) = named else { return reply.error(error_text::SYNTAX) };
    let (target, keys) = (args.get(2), args.rest(3));
    match operation {
        Operation::Not if keys.len() != 1 => {
            return reply.error("ERR BITOP NOT must be called with a single source key.");
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr if keys.len() < 2 => {
            return reply.error(format!("ERR BITOP {name} must be called with at least two source keys."));
        }
        _ => {}
    }
    let combined = context.shards.strings(keys.iter()).map(|strings| {
        let sources: Vec<&[u8]> = strings.into_iter().map(Option::unwrap_or_default).collect();
        combine(*operation, &sources)
    });
    let shard = context.shards.of(target);
    let stored = combined.and_then(|bytes| match bytes.is_empty() {
        true => {
            shard.admit_delete(target)?;
            shard.delete(target);
            Ok(0)
        }
        false => shard.set(target, &bytes).map(|()| bytes.len()),
    });
    match stored {
        Ok(length) => reply.unsigned(length as u64),
        Err(refusal) => refuse(reply, refusal),
    }
}
