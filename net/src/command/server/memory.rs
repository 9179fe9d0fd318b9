//! MEMORY: what keys take, and a walk that compares this with what is counted.

use crate::access::Category;
use crate::command::help::help;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, SessionContext, Spread};
use crate::gather::Merge;
use crate::resp::{Args, Reply, error_text};
use crate::server::Stat;
use crate::value::ValueWriter;
use keytide_engine::limits::SLOT_BYTES;
use keytide_engine::number::parse_i64;

static HELP: Command = help("memory|help", "server");

pub static MEMORY: Command = Command {
    name: "memory",
    arity: -2,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE,
    summary: "What keys take of the memory.",
    group: "server",
    run: Run::Container(&[&CHECK, &DOCTOR, &HELP, &PURGE, &STATS, &USAGE]),
};

static USAGE: Command = Command {
    name: "memory|usage",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::At { first: 2, last: 2, step: 1 },
    access: Access::LOOK,
    summary: "Returns the bytes that a key and its value take. It is exact: SAMPLES has no effect.",
    group: "server",
    run: Run::Keys { run: usage, spread: Spread::Hold },
};

fn usage(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let mut options = args.rest(3).iter();
    while let Some(option) = options.next() {
        let (true, Some(samples)) = (is(option, "samples"), options.next()) else {
            return reply.error(error_text::SYNTAX);
        };
        match parse_i64(samples) {
            None => return reply.error(error_text::NOT_INTEGER),
            Some(..0) => return reply.error(error_text::SYNTAX),
            Some(_) => {}
        }
    }
    let key = args.get(2);
    match context.shards.of(key).taken(key) {
        Some(taken) => reply.unsigned((taken.bytes + SLOT_BYTES) as u64),
        None => reply.null(),
    }
}

static CHECK: Command = Command {
    name: "memory|check",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Admin],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Dangerous]),
    summary: "Walks over everything, and returns of each shard the bytes counted and the bytes found. Others wait meanwhile.",
    group: "server",
    run: Run::EachShard {
        run: |context, args, reply| check(context, args, reply),
        part: |context, args, part| check(context, args, part),
        merge: Merge::Concat,
    },
};

fn check(context: &mut KeysContext<'_>, _args: Args<'_>, reply: &mut impl ValueWriter) {
    let mut found = Vec::new();
    context.shards.each(|shard| {
        let (counted, walked) = (shard.footprint(), shard.walked_footprint());
        let verdict = if *counted == walked { "right" } else { "WRONG" };
        let all = counted.used_bytes() + counted.absent_bytes();
        let walked = walked.used_bytes() + walked.absent_bytes();
        found.push(format!("shard {}: {verdict}, {all} bytes counted, {walked} bytes found", shard.id().0));
    });
    reply.array(found.len());
    found.iter().for_each(|line| reply.bulk(line.as_bytes()));
}

const fn session(
    name: &'static str,
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    Command {
        name,
        arity: 2,
        flags: &[],
        keys: Keys::None,
        access: Access::NONE,
        summary,
        group: "server",
        run: Run::Session(run),
    }
}

static STATS: Command = session("memory|stats", "Returns what the memory is used for, in bytes.", stats);

fn stats(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    let memory = context.server.memory_use();
    let keys = context.server.total(Stat::Keys);
    let rows = [
        ("peak.allocated", context.server.note_memory_peak(memory.used())),
        ("total.allocated", memory.used()),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", memory.buffers),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", context.server.accounts.scripts.used()),
        ("overhead.total", memory.overhead()),
        ("keys.count", keys),
        ("keys.bytes-per-key", memory.keys / keys.max(1)),
        ("dataset.bytes", memory.used() - memory.overhead()),
        ("rings", memory.rings),
        ("absent.streams", memory.absent),
    ];
    reply.map(rows.len());
    for (name, bytes) in rows {
        reply.bulk(name.as_bytes());
        reply.unsigned(bytes);
    }
}

static PURGE: Command = session("memory|purge", "Gives free memory back to the system.", purge);

fn purge(_context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    crate::heap::give_back();
    reply.ok();
}

static DOCTOR: Command = session("memory|doctor", "Says where to look.", doctor);

fn doctor(_context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    reply.verbatim("txt", "See the section on memory of INFO, MEMORY STATS and docs/operations.md.");
}
