//! SINTER, SINTERCARD, SUNION, SDIFF, and SINTERSTORE, SUNIONSTORE, SDIFFSTORE.

use crate::command::options::is;
use crate::command::{Access, Answer, Command, Flag, KeyUse, Keys, KeysContext, Run, RunKeys, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{Member, SetRef};
use keytide_engine::keyspace::Bytes;
use keytide_engine::number::parse_i64;
use keytide_engine::shards::{difference, intersection, union};

const fn over_sets(name: &'static str, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -2,
        flags: &[Flag::Readonly],
        keys: Keys::ALL,
        access: Access::READ,
        summary,
        group: "set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static SINTER: Command = over_sets("sinter", "Returns the intersection of sets.", |context, args, reply| {
    context.shards.sets(args.rest(1).iter()).answer(reply, |reply, sets| put(reply, &intersection(&sets, usize::MAX)));
});

pub static SUNION: Command = over_sets("sunion", "Returns the union of sets.", |context, args, reply| {
    context.shards.sets(args.rest(1).iter()).answer(reply, |reply, sets| put(reply, &union(&sets)));
});

pub static SDIFF: Command =
    over_sets("sdiff", "Returns the members of the first set that are in no other.", |context, args, reply| {
        context.shards.sets(args.rest(1).iter()).answer(reply, |reply, sets| put(reply, &difference(&sets)));
    });

const fn storing(name: &'static str, access: Access, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -3,
        flags: &[Flag::Write, Flag::Denyoom],
        keys: Keys::ALL,
        access,
        summary,
        group: "set",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

/// What Redis says that SINTERSTORE does with its target, unlike its kin.
const UPDATE_AND_READ: Access = Access::keys(&[KeyUse::UPDATE, KeyUse::READ]);
const OVERWRITE_AND_READ: Access = Access::keys(&[KeyUse::OVERWRITE, KeyUse::READ]);

pub static SINTERSTORE: Command =
    storing("sinterstore", UPDATE_AND_READ, "Stores the intersection of sets.", |context, args, reply| {
        context.event = Some("sinterstore");
        store(context, args, |sets| intersection(sets, usize::MAX), reply);
    });

pub static SUNIONSTORE: Command =
    storing("sunionstore", OVERWRITE_AND_READ, "Stores the union of sets.", |context, args, reply| {
        context.event = Some("sunionstore");
        store(context, args, union, reply);
    });

pub static SDIFFSTORE: Command = storing(
    "sdiffstore",
    OVERWRITE_AND_READ,
    "Stores the members of the first set that are in no other.",
    |context, args, reply| {
        context.event = Some("sdiffstore");
        store(context, args, difference, reply);
    },
);

fn store(
    context: &mut KeysContext<'_>,
    args: Args<'_>,
    compute: impl for<'s> FnOnce(&[Option<SetRef<'s>>]) -> Vec<Member<'s>>,
    reply: &mut Reply<'_>,
) {
    // The target may be one of the sources.
    let members = context
        .shards
        .sets(args.rest(2).iter())
        .map(|sets| -> Vec<Bytes> { compute(&sets).into_iter().map(Member::to_bytes).collect() });
    match members.and_then(|members| context.shards.store_members(args.get(1), &members).map(|()| members.len())) {
        Ok(count) => reply.unsigned(count as u64),
        Err(refusal) => refuse(reply, refusal),
    }
}

fn put(reply: &mut Reply<'_>, members: &[Member<'_>]) {
    reply.set(members.len());
    members.iter().for_each(|member| reply.bulk(member));
}

pub static SINTERCARD: Command = Command {
    name: "sintercard",
    arity: -3,
    flags: &[Flag::Readonly, Flag::MovableKeys],
    keys: Keys::Counted { at: 1 },
    access: Access::READ,
    summary: "Counts the intersection of sets.",
    group: "set",
    run: Run::Keys { run: sintercard, spread: Spread::Hold },
};

fn sintercard(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (keys, limit) = match parse(args) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text),
    };
    let keys = args.rest(2).iter().take(keys);
    context.shards.sets(keys).answer(reply, |reply, sets| reply.unsigned(intersection(&sets, limit).len() as u64));
}

/// The number of keys, and the most members to count.
fn parse(args: Args<'_>) -> Result<(usize, usize), &'static str> {
    let keys = parse_i64(args.get(1)).and_then(|keys| usize::try_from(keys).ok()).filter(|&keys| keys > 0);
    let keys = keys.ok_or(error_text::NUMKEYS)?;
    if keys > args.len() - 2 {
        return Err(error_text::NUMKEYS_ARGUMENTS);
    }
    let words = args.rest(2 + keys);
    let (mut at, mut limit) = (0, usize::MAX);
    while let Some(word) = words.try_get(at) {
        let value = words.try_get(at + 1).filter(|_| is(word, "limit")).ok_or(error_text::SYNTAX)?;
        let number = parse_i64(value).and_then(|number| usize::try_from(number).ok());
        limit = match number.ok_or(error_text::LIMIT_NEGATIVE)? {
            0 => usize::MAX,
            limit => limit,
        };
        at += 2;
    }
    Ok((keys, limit))
}
