//! HSCAN.

use crate::command::options::{ScanOptions, cursor};
use crate::command::{Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::shard::walk;

pub static HSCAN: Command = Command {
    name: "hscan",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    summary: "Walks over the fields and values of a hash, a few at each call.",
    group: "hash",
    run: Run::Keys { run: hscan, spread: Spread::Hold },
};

fn hscan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let Some(from) = cursor(args.get(2)) else { return reply.error(error_text::INVALID_CURSOR) };
    let map = match context.shards.of(key).fields(key) {
        Ok(Some(map)) => map,
        // The options of a walk over nothing are not looked at.
        Ok(None) => {
            reply.array(2);
            reply.bulk(b"0");
            return reply.array(0);
        }
        Err(refusal) => return refuse(reply, refusal),
    };
    let options = match ScanOptions::parse(args.rest(3)) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let step = walk(from, options.count, map.len());
    let found: Vec<_> =
        step.places.filter_map(|place| map.get_index(place)).filter(|(field, _)| options.wants(field)).collect();
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(step.next).as_bytes());
    reply.array(found.len() * 2);
    for (field, value) in found {
        reply.bulk(field);
        reply.bulk(value);
    }
}
