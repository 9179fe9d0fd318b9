//! KEYS, SCAN, RANDOMKEY, DBSIZE.

use crate::access::Category;
use crate::command::options::{cursor, is};
use crate::command::walk::{ScanOptions, Scanned};
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run};
use crate::gather::Merge;
use crate::resp::{Args, Reply, error_text};
use crate::server::{Server, Stat};
use crate::value::{Value, ValueWriter, Values};
use keytide_engine::filter::Glob;
use keytide_engine::position::ShardId;
use keytide_engine::stream_name::Database;
use std::ops::Range;

pub static KEYS: Command = Command {
    name: "keys",
    arity: 2,
    flags: &[Flag::Readonly],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Dangerous]),
    summary: "Returns all keys that match a pattern.",
    group: "generic",
    run: Run::EachShard {
        run: |context, args, reply| keys(context, args, reply),
        part: |context, args, part| keys(context, args, part),
        merge: Merge::Concat,
    },
};

fn keys(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut impl ValueWriter) {
    let glob = match Glob::new(args.get(1)) {
        Ok(glob) => glob,
        Err(error) => return reply.error(error_text::err(&error)),
    };
    let mut found: Vec<Vec<u8>> = Vec::new();
    let database = context.database;
    context.shards.each(|shard| found.extend(shard.keys(database, &glob).map(<[u8]>::to_vec)));
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(key));
}

pub static SCAN: Command = Command {
    name: "scan",
    arity: -2,
    flags: &[Flag::Readonly],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Iterates over the keys, a few per call.",
    group: "generic",
    run: Run::Shards {
        run: |context, args, reply| scan(context, args, reply),
        part: |context, args, part| scan(context, args, part),
        shards: shards_to_scan,
        merge: Merge::Custom(join),
    },
};

/// A cursor contains the shard above the 48 bits of the rank in it, in the order of the keys' hashes.
const SHARD_SHIFT: u32 = 48;

/// The shard in a cursor, and the rank in it.
fn place(cursor: u64, shards: u16) -> (u16, u64) {
    ((cursor >> SHARD_SHIFT) as u16 % shards, cursor & ((1 << SHARD_SHIFT) - 1))
}

/// The shards of a call: as many as it takes, by their last known numbers of keys, to examine COUNT keys. So a small
/// keyspace is scanned in one call. If the numbers are wrong the call finds fewer keys, and the cursor continues after
/// them.
fn shards_to_scan(args: Args<'_>, server: &Server) -> Range<u16> {
    let total = server.shards();
    let (first, from) = place(cursor(args.get(1)).unwrap_or(0), total);
    let count = ScanOptions::parse(args.rest(2), Scanned::Keys).map_or(0, |options| options.count as u64);
    let keys = |shard| server.stat(ShardId(shard), Stat::Keys);
    // Hashes are evenly distributed.
    let part = (1 << SHARD_SHIFT) - from;
    let mut known = ((u128::from(keys(first)) * u128::from(part)) >> SHARD_SHIFT) as u64;
    let mut end = first + 1;
    while end < total && known < count {
        known += keys(end);
        end += 1;
    }
    first..end
}

fn scan(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut impl ValueWriter) {
    let Some(from) = cursor(args.get(1)) else { return reply.error(error_text::INVALID_CURSOR) };
    let options = match ScanOptions::parse(args.rest(2), Scanned::Keys) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let (shards, database) = (context.server.shards(), context.database);
    let (first, from) = place(from, shards);
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut next = 0;
    context.shards.each(|shard| {
        let number = shard.id().0;
        let from = if number == first { from } else { 0 };
        let rest = shard.scan(from, options.budget(), |entry| {
            let (of, key) = Database::of(entry.key());
            let is_wanted = of == database
                && options.wants(key)
                && options.kind.is_none_or(|kind| entry.value().is_some_and(|value| is(kind, value.kind().name())));
            if is_wanted {
                found.push(key.to_vec());
            }
        });
        next = match rest {
            Some(rest) => u64::from(number) << SHARD_SHIFT | rest,
            None if number + 1 < shards => u64::from(number + 1) << SHARD_SHIFT,
            None => 0,
        };
    });
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    reply.array(found.len());
    found.iter().for_each(|key| reply.bulk(key));
}

/// Joins the shards' keys, up to the first shard that has more: the cursor continues there, and the keys found on later
/// shards will be found again.
fn join(parts: &[Vec<u8>], reply: &mut Reply<'_>) {
    let mut next: &[u8] = b"0";
    let mut found: Vec<Value<'_>> = Vec::new();
    for part in parts {
        let mut values = Values::of(part);
        let (Some(Value::Array(2)), Some(Value::Bytes(cursor_behind))) = (values.next(), values.next()) else {
            continue;
        };
        next = cursor_behind;
        found.extend(values.skip(1));
        let is_through = cursor(next).is_none_or(|next| next & ((1 << SHARD_SHIFT) - 1) == 0);
        if !is_through {
            break;
        }
    }
    reply.array(2);
    reply.bulk(next);
    reply.array(found.len());
    found.into_iter().for_each(|key| reply.value(key));
}

pub static RANDOMKEY: Command = Command {
    name: "randomkey",
    arity: 1,
    flags: &[Flag::Readonly],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Returns a random key.",
    group: "generic",
    run: Run::EachShard {
        run: |context, args, reply| randomkey(context, args, reply),
        part: |context, args, part| randomkey(context, args, part),
        merge: Merge::Custom(choose),
    },
};

/// A single shard replies with its key; of several shards, each adds its number of keys.
fn randomkey(context: &mut KeysContext<'_>, _args: Args<'_>, reply: &mut impl ValueWriter) {
    let (is_alone, database) = (context.server.shards() == 1, context.database);
    context.shards.each(|shard| {
        let count = shard.keys_of(database).keys as u64;
        if !is_alone {
            reply.array(2);
            reply.unsigned(count);
        }
        match shard.random_key(database) {
            Some(key) => reply.bulk(key),
            None => reply.null(),
        }
    });
}

fn choose(parts: &[Vec<u8>], reply: &mut Reply<'_>) {
    let offers: Vec<(u64, &[u8])> = parts
        .iter()
        .filter_map(|part| match Values::of(part).collect::<Vec<_>>()[..] {
            [Value::Array(2), Value::Integer(count), Value::Bytes(key)] => Some((count.max(1) as u64, key)),
            // A shard without a live key replies nil.
            _ => None,
        })
        .collect();
    let total: u64 = offers.iter().map(|offer| offer.0).sum();
    if total == 0 {
        return reply.null();
    }
    let mut drawn = fastrand::u64(..total);
    for (count, key) in offers {
        if drawn < count {
            return reply.bulk(key);
        }
        drawn -= count;
    }
}

pub static DBSIZE: Command = Command {
    name: "dbsize",
    arity: 1,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Keyspace]),
    summary: "Returns the number of keys.",
    group: "server",
    run: Run::EachShard {
        run: |context, args, reply| dbsize(context, args, reply),
        part: |context, args, part| dbsize(context, args, part),
        merge: Merge::Sum,
    },
};

fn dbsize(context: &mut KeysContext<'_>, _args: Args<'_>, reply: &mut impl ValueWriter) {
    let (mut count, database) = (0, context.database);
    context.shards.each(|shard| count += shard.keys_of(database).keys as u64);
    reply.unsigned(count);
}
