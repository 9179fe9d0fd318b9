//! SSCAN.

use crate::command::options::{ScanOptions, cursor};
use crate::command::{Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::shard::walk;

pub static SSCAN: Command = Command {
    name: "sscan",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    summary: "Walks over the members of a set, a few at each call.",
    group: "set",
    run: Run::Keys { run: sscan, spread: Spread::Hold },
};

fn sscan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let Some(from) = cursor(args.get(2)) else { return reply.error(error_text::INVALID_CURSOR) };
    let set = match context.shards.of(key).members(key) {
        Ok(Some(set)) => set,
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
    let step = walk(from, options.count, set.len());
    let members = step.places.filter_map(|place| set.get_index(place));
    let found: Vec<_> = members.filter(|member| options.wants(member)).collect();
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(step.next).as_bytes());
    reply.array(found.len());
    found.into_iter().for_each(|member| reply.bulk(member));
}
