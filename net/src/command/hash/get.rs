//! HGET, HMGET, HEXISTS, HLEN, HSTRLEN, HGETALL, HKEYS, HVALS.

use crate::command::options::string_or_nil;
use crate::command::{Access, Answer, Command, Flag, Keys, Run, RunKeys, Spread};
use keytide_engine::collection::HashRef;

const FAST: &[Flag] = &[Flag::Readonly, Flag::Fast];
const WHOLE: &[Flag] = &[Flag::Readonly];

const fn read(
    name: &'static str,
    arity: i32,
    (flags, access): (&'static [Flag], Access),
    summary: &'static str,
    run: RunKeys,
) -> Command {
    Command {
        name,
        arity,
        flags,
        keys: Keys::ONE,
        access,
        summary,
        group: "hash",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static HGET: Command =
    read("hget", 3, (FAST, Access::READ), "Returns the value of a field.", |context, args, reply| {
        let (key, field) = (args.get(1), args.get(2));
        context.shards.of(key).fields(key).answer(reply, |reply, map| {
            string_or_nil(reply, map.and_then(|map| map.get(field)));
        });
    });

pub static HMGET: Command =
    read("hmget", -3, (FAST, Access::READ), "Returns the values of several fields.", |context, args, reply| {
        let (key, fields) = (args.get(1), args.rest(2));
        context.shards.of(key).fields(key).answer(reply, |reply, map| {
            reply.array(fields.len());
            for field in fields.iter() {
                string_or_nil(reply, map.and_then(|map| map.get(field)));
            }
        });
    });

pub static HEXISTS: Command =
    read("hexists", 3, (FAST, Access::LOOK), "Returns whether a field exists.", |context, args, reply| {
        let (key, field) = (args.get(1), args.get(2));
        context.shards.of(key).fields(key).answer(reply, |reply, map| {
            reply.integer(i64::from(map.is_some_and(|map| map.contains(field))));
        });
    });

pub static HLEN: Command =
    read("hlen", 2, (FAST, Access::LOOK), "Returns the number of fields.", |context, args, reply| {
        let key = args.get(1);
        context
            .shards
            .of(key)
            .fields(key)
            .answer(reply, |reply, map| reply.unsigned(map.map_or(0, |map| map.len()) as u64));
    });

pub static HSTRLEN: Command =
    read("hstrlen", 3, (FAST, Access::LOOK), "Returns the length of the value of a field.", |context, args, reply| {
        let (key, field) = (args.get(1), args.get(2));
        context.shards.of(key).fields(key).answer(reply, |reply, map| {
            reply.unsigned(map.and_then(|map| map.get(field)).map_or(0, |value| value.len()) as u64);
        });
    });

pub static HGETALL: Command =
    read("hgetall", 2, (WHOLE, Access::READ), "Returns all fields and values.", |context, args, reply| {
        let key = args.get(1);
        context.shards.of(key).fields(key).answer(reply, |reply, map| {
            reply.map(map.map_or(0, |map| map.len()));
            for (field, value) in map.into_iter().flat_map(HashRef::iter) {
                reply.bulk(field);
                reply.bulk(value);
            }
        });
    });

pub static HKEYS: Command = read("hkeys", 2, (WHOLE, Access::READ), "Returns all fields.", |context, args, reply| {
    let key = args.get(1);
    context.shards.of(key).fields(key).answer(reply, |reply, map| {
        reply.array(map.map_or(0, |map| map.len()));
        map.into_iter().flat_map(HashRef::iter).for_each(|(field, _)| reply.bulk(field));
    });
});

pub static HVALS: Command = read("hvals", 2, (WHOLE, Access::READ), "Returns all values.", |context, args, reply| {
    let key = args.get(1);
    context.shards.of(key).fields(key).answer(reply, |reply, map| {
        reply.array(map.map_or(0, |map| map.len()));
        map.into_iter().flat_map(HashRef::iter).for_each(|(_, value)| reply.bulk(value));
    });
});
