//! KEYS, SCAN, RANDOMKEY, DBSIZE.

use crate::command::options::{cursor, is};
use crate::command::{Command, Flag, Keys, KeysContext, Run};
use crate::gather::{Merge, array, bulk, integer};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::filter::Glob;
use keytide_engine::number::parse_i64;

pub static KEYS: Command = Command {
    name: "keys",
    arity: 2,
    flags: &[Flag::Readonly],
    keys: Keys::None,
    summary: "Returns all keys that match a pattern.",
    group: "generic",
    run: Run::EachShard { run: keys, merge: Merge::Concat },
};

fn keys(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let glob = Glob::new(args.get(1));
    let mut found: Vec<Vec<u8>> = Vec::new();
    context.shards.each(|shard| found.extend(shard.keys(&glob).map(<[u8]>::to_vec)));
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(key));
}

pub static SCAN: Command = Command {
    name: "scan",
    arity: -2,
    flags: &[Flag::Readonly],
    keys: Keys::None,
    summary: "Walks over the keys, a few at each call.",
    group: "generic",
    run: Run::Shard {
        run: scan,
        shard: |args, shards| (cursor(args.get(1)).unwrap_or(0) >> SHARD_SHIFT) as u16 % shards,
    },
};

/// A cursor names the shard above the 48 bits of the place in it.
const SHARD_SHIFT: u32 = 48;

/// How many keys a call looks at where COUNT does not say.
const COUNT_DEFAULT: usize = 10;

fn scan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let Some(from) = cursor(args.get(1)) else { return reply.error(error_text::INVALID_CURSOR) };
    let (mut glob, mut count, mut kind) = (None, COUNT_DEFAULT, None);
    let words = args.rest(2);
    let mut at = 0;
    while let Some(word) = words.try_get(at) {
        let Some(value) = words.try_get(at + 1) else { return reply.error(error_text::SYNTAX) };
        at += 2;
        if is(word, "match") {
            glob = Some(Glob::new(value));
        } else if is(word, "count") {
            match parse_i64(value) {
                None => return reply.error(error_text::NOT_INTEGER),
                Some(number) if number < 1 => return reply.error(error_text::SYNTAX),
                Some(number) => count = number as usize,
            }
        } else if is(word, "type") {
            kind = Some(value);
        } else {
            return reply.error(error_text::SYNTAX);
        }
    }
    let shards = u64::from(context.server.shards());
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut next = 0;
    context.shards.each(|shard| {
        let place = from & ((1 << SHARD_SHIFT) - 1);
        let rest = shard.scan(place, count, |entry| {
            let is_wanted = glob.as_ref().is_none_or(|glob| glob.matches(entry.key()))
                && kind.is_none_or(|kind| entry.value().is_some_and(|value| is(kind, value.kind().name())));
            if is_wanted {
                found.push(entry.key().to_vec());
            }
        });
        let number = u64::from(shard.id().0);
        next = match rest {
            Some(rest) => number << SHARD_SHIFT | rest,
            None if number + 1 < shards => (number + 1) << SHARD_SHIFT,
            None => 0,
        };
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(key));
}

pub static RANDOMKEY: Command = Command {
    name: "randomkey",
    arity: 1,
    flags: &[Flag::Readonly],
    keys: Keys::None,
    summary: "Returns a key chosen at random.",
    group: "generic",
    run: Run::EachShard { run: randomkey, merge: Merge::Custom(choose) },
};

/// A shard alone answers its key; where there are several, each tells how many keys it stands for.
fn randomkey(context: &mut KeysContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    let is_alone = context.server.shards() == 1;
    context.shards.each(|shard| {
        let count = shard.key_count() as u64;
        if !is_alone {
            reply.array(2);
            reply.unsigned(count);
        }
        match shard.random_key() {
            Some(key) => reply.bulk(key),
            None => reply.null(),
        }
    });
}

fn choose(parts: &[Vec<u8>], reply: &mut Reply<'_>) {
    let offers: Vec<(u64, &[u8])> = parts
        .iter()
        .filter_map(|part| {
            let mut fields = array(part);
            let (count, key) = (integer(fields.next()?), fields.next()?);
            // A shard without a live key offers nil.
            key.starts_with(b"$").then_some((count.max(1) as u64, key)).filter(|(_, key)| !key.starts_with(b"$-1"))
        })
        .collect();
    let total: u64 = offers.iter().map(|offer| offer.0).sum();
    if total == 0 {
        return reply.null();
    }
    let mut drawn = fastrand::u64(..total);
    for (count, key) in offers {
        if drawn < count {
            return reply.bulk(bulk(key));
        }
        drawn -= count;
    }
}

pub static DBSIZE: Command = Command {
    name: "dbsize",
    arity: 1,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::None,
    summary: "Returns the number of keys.",
    group: "server",
    run: Run::EachShard { run: dbsize, merge: Merge::Sum },
};

fn dbsize(context: &mut KeysContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    let mut count = 0;
    context.shards.each(|shard| count += shard.key_count() as u64);
    reply.unsigned(count);
}
