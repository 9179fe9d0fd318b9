//! XCLAIM, XAUTOCLAIM.

use super::pending::no_key_or_group;
use super::read::is_no_group;
use super::reply::{put_entry, put_id};
use super::words::{start, strict_id};
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{EntryId, EntryIds, Times};
use keytide_engine::error::Refusal;
use keytide_engine::number::parse_i64;
use keytide_engine::shard::ClaimRule;
use std::borrow::Cow;

pub static XCLAIM: Command = Command {
    name: "xclaim",
    arity: -6,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::UPDATE,
    summary: "Gives pending entries to another consumer.",
    group: "stream",
    run: Run::Keys { run: xclaim, spread: Spread::Hold },
};

/// The ids, the rule, and whether the reply has ids alone.
type Claim = (EntryIds, ClaimRule, bool);

/// Reads `min-idle-time id… options`.
fn parse(words: Args<'_>, now_ms: u64) -> Result<Claim, Cow<'static, [u8]>> {
    let number =
        |at: usize, text: &'static str| words.try_get(at).and_then(parse_i64).ok_or(Cow::from(text.as_bytes()));
    let min_idle_ms = u64::try_from(number(0, "ERR Invalid min-idle-time argument for XCLAIM")?).unwrap_or(0);
    let ids: EntryIds = (1..words.len()).map_while(|at| strict_id(words.get(at)).ok()).collect();
    let mut at = 1 + ids.len();
    let now = now_ms as i64;
    let (mut delivered_ms, mut times, mut just_id, mut is_forced, mut last_id) = (None, None, false, false, None);
    while let Some(word) = words.try_get(at) {
        let has_more = at + 1 < words.len();
        at += 1;
        match word {
            _ if is(word, "force") => is_forced = true,
            _ if is(word, "justid") => just_id = true,
            _ if has_more && is(word, "idle") => {
                let idle = number(at, "ERR Invalid IDLE option argument for XCLAIM")?;
                delivered_ms = Some(now.wrapping_sub(idle));
                at += 1;
            }
            _ if has_more && is(word, "time") => {
                delivered_ms = Some(number(at, "ERR Invalid TIME option argument for XCLAIM")?);
                at += 1;
            }
            _ if has_more && is(word, "retrycount") => {
                let count = number(at, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                times = u64::try_from(count).ok().map(Times::Are);
                at += 1;
            }
            _ if has_more && is(word, "lastid") => {
                last_id = Some(strict_id(words.get(at)).map_err(|text| Cow::from(text.as_bytes()))?);
                at += 1;
            }
            _ => return Err([b"ERR Unrecognized XCLAIM option '", word, b"'"].concat().into()),
        }
    }
    // A time that cannot be, or was not given, is now.
    let delivered_ms = delivered_ms.filter(|ms| (0..=now).contains(ms)).map_or(now_ms, |ms| ms as u64);
    let times = times.unwrap_or(if just_id { Times::Same } else { Times::More });
    Ok((ids, ClaimRule { min_idle_ms, delivered_ms, times, is_forced, last_id }, just_id))
}

/// The error of a refusal.
fn refuse_claim(reply: &mut Reply<'_>, args: Args<'_>, refusal: Refusal) {
    match is_no_group(refusal) {
        true => reply.error(no_key_or_group(args.get(1), args.get(2))),
        false => refuse(reply, refusal),
    }
}

fn xclaim(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, group, consumer) = (args.get(1), args.get(2), args.get(3));
    let shard = context.shards.of(key);
    // The group is looked for before anything else, as in Redis.
    match shard.redis_stream(key) {
        Err(refusal) => return refuse(reply, refusal),
        Ok(Some(stream)) if stream.group(group).is_some() => {}
        Ok(_) => return reply.error(no_key_or_group(key, group)),
    }
    let (ids, rule, just_id) = match parse(args.rest(4), context.now_ms) {
        Ok(claim) => claim,
        Err(text) => return reply.error(text),
    };
    match shard.claim_entries(key, (group, consumer), &ids, rule) {
        Ok(claimed) => put_claimed(context, key, &claimed, just_id, reply),
        Err(refusal) => refuse_claim(reply, args, refusal),
    }
}

/// Writes an array of the entries that were claimed, which the stream has, or of their ids.
fn put_claimed(context: &mut KeysContext<'_>, key: &[u8], ids: &[EntryId], just_id: bool, reply: &mut Reply<'_>) {
    reply.array(ids.len());
    if just_id {
        return ids.iter().for_each(|id| put_id(reply, *id));
    }
    let stream = context.shards.of(key).redis_stream(key).ok().flatten();
    for &id in ids {
        match stream.and_then(|stream| stream.get(id)) {
            Some(entry) => put_entry(reply, entry),
            None => reply.null(),
        }
    }
}

pub static XAUTOCLAIM: Command = Command {
    name: "xautoclaim",
    arity: -6,
    flags: &[Flag::Write, Flag::Fast],
    keys: Keys::ONE,
    access: Access::DELETE,
    summary: "Gives pending entries to another consumer that were delivered long ago.",
    group: "stream",
    run: Run::Keys { run: xautoclaim, spread: Spread::Hold },
};

/// What `XAUTOCLAIM` takes if it is not told.
const AUTO_COUNT: usize = 100;

/// The most that it takes.
const AUTO_COUNT_MAX: i64 = i64::MAX / 16;

/// The time, where it begins, the most entries, and whether the reply has ids alone.
type AutoClaim = (u64, EntryId, usize, bool);

fn parse_auto(words: Args<'_>) -> Result<AutoClaim, &'static str> {
    let min_idle_ms = parse_i64(words.get(0)).ok_or("ERR Invalid min-idle-time argument for XAUTOCLAIM")?;
    let from = start(words.get(1))?;
    let (mut most, mut just_id, mut at) = (AUTO_COUNT, false, 2);
    while let Some(word) = words.try_get(at) {
        match words.try_get(at + 1) {
            Some(number) if is(word, "count") => {
                let count = parse_i64(number).filter(|count| (1..=AUTO_COUNT_MAX).contains(count));
                most = count.ok_or("ERR COUNT must be > 0")? as usize;
                at += 2;
            }
            _ if is(word, "justid") => {
                just_id = true;
                at += 1;
            }
            _ => return Err(error_text::SYNTAX),
        }
    }
    Ok((u64::try_from(min_idle_ms).unwrap_or(0), from, most, just_id))
}

fn xautoclaim(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, of) = (args.get(1), (args.get(2), args.get(3)));
    let (min_idle_ms, from, most, just_id) = match parse_auto(args.rest(4)) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(text),
    };
    let times = if just_id { Times::Same } else { Times::More };
    match context.shards.of(key).auto_claim_entries(key, of, (from, most), (min_idle_ms, times)) {
        Ok(found) => {
            reply.array(3);
            put_id(reply, found.next.unwrap_or(EntryId::MIN));
            put_claimed(context, key, &found.claimed, just_id, reply);
            reply.array(found.gone.len());
            found.gone.iter().for_each(|id| put_id(reply, *id));
        }
        Err(refusal) => refuse_claim(reply, args, refusal),
    }
}
