//! LCS.

use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::number::parse_i64;
use keytide_engine::subsequence::{Subsequence, longest_common, longest_common_length};

pub static LCS: Command = Command {
    name: "lcs",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::TWO,
    access: Access::READ,
    summary: "Finds the longest common subsequence of two strings.",
    group: "string",
    run: Run::Keys { run: lcs, spread: Spread::Hold },
};

#[derive(Default)]
struct Options {
    is_length: bool,
    is_matches: bool,
    match_min: usize,
    with_lengths: bool,
}

fn lcs(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let strings = match context.shards.strings(args.rest(1).first(2).iter()) {
        Ok(strings) => strings,
        Err(_) => return reply.error("ERR The specified keys must contain string values"),
    };
    let options = match parse(args.rest(3)) {
        Ok(options) => options,
        Err(text) => return reply.error(text),
    };
    let of = |at: usize| strings.get(at).copied().flatten().unwrap_or_default();
    let (a, b) = (of(0), of(1));
    if options.is_length {
        return match longest_common_length(a, b) {
            Ok(length) => reply.unsigned(length as u64),
            Err(refusal) => refuse(reply, refusal),
        };
    }
    match longest_common(a, b) {
        Ok(found) if options.is_matches => put_matches(reply, &found, &options),
        Ok(found) => reply.bulk(&found.bytes),
        Err(refusal) => refuse(reply, refusal),
    }
}

fn put_matches(reply: &mut Reply<'_>, found: &Subsequence, options: &Options) {
    let wanted = || found.matches.iter().filter(|(in_a, _)| in_a.len() >= options.match_min);
    reply.map(2);
    reply.text("matches");
    reply.array(wanted().count());
    for (in_a, in_b) in wanted() {
        reply.array(if options.with_lengths { 3 } else { 2 });
        for range in [in_a, in_b] {
            reply.array(2);
            reply.unsigned(range.start as u64);
            reply.unsigned(range.end as u64 - 1);
        }
        if options.with_lengths {
            reply.unsigned(in_a.len() as u64);
        }
    }
    reply.text("len");
    reply.unsigned(found.bytes.len() as u64);
}

fn parse(words: Args<'_>) -> Result<Options, &'static str> {
    let (mut at, mut options) = (0, Options::default());
    while let Some(word) = words.try_get(at) {
        match (word, words.try_get(at + 1)) {
            _ if is(word, "idx") => options.is_matches = true,
            _ if is(word, "len") => options.is_length = true,
            _ if is(word, "withmatchlen") => options.with_lengths = true,
            (_, Some(least)) if is(word, "minmatchlen") => {
                options.match_min = usize::try_from(parse_i64(least).ok_or(error_text::NOT_INTEGER)?).unwrap_or(0);
                at += 1;
            }
            _ => return Err(error_text::SYNTAX),
        }
        at += 1;
    }
    if options.is_length && options.is_matches {
        return Err("ERR If you want both the length and indexes, please just use IDX.");
    }
    Ok(options)
}
