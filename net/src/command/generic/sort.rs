//! SORT, SORT_RO.

use crate::access::Category;
use crate::command::options::{integer, is};
use crate::command::{Access, Command, Flag, KeyUse, Keys, KeysContext, Run, Spread, StreamsRead, refusal_text};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::keyspace::Bytes;
use keytide_engine::shards::Sort;
use std::borrow::Cow;

/// What patterns name may be any key.
const ACCESS: Access = Access::keys(&[KeyUse::READ, KeyUse::OVERWRITE])
    .and_streams(|args| match (Keys::Sorted { stores: true }).are_hidden(args) {
        true => StreamsRead::All,
        false => StreamsRead::Nothing,
    })
    .in_categories(&[Category::Set, Category::SortedSet, Category::Dangerous]);

pub static SORT: Command = Command {
    name: "sort",
    arity: -2,
    flags: &[Flag::Write, Flag::Denyoom, Flag::MovableKeys],
    keys: Keys::Sorted { stores: true },
    access: ACCESS,
    summary: "Sorts the elements of a list, set or sorted set; STORE stores them as a list.",
    group: "list",
    run: Run::Keys { run: |context, args, reply| sort(context, args, true, reply), spread: Spread::Hold },
};

pub static SORT_RO: Command = Command {
    name: "sort_ro",
    arity: -2,
    flags: &[Flag::Readonly, Flag::MovableKeys],
    keys: Keys::Sorted { stores: false },
    access: ACCESS,
    summary: "Sorts the elements of a list, set or sorted set.",
    group: "list",
    run: Run::Keys { run: |context, args, reply| sort(context, args, false, reply), spread: Spread::Hold },
};

fn sort(context: &mut KeysContext<'_>, args: Args<'_>, may_store: bool, reply: &mut Reply<'_>) {
    let (sort, target) = match parse(args.rest(2), may_store) {
        Ok(parsed) => parsed,
        Err(text) => return reply.error(&*text),
    };
    // Patterns name keys of the selected database.
    let named = |pattern| context.database.name_of(pattern);
    let (by, get): (Option<_>, Vec<_>) = (
        sort.by.map(named),
        sort.get.iter().map(|pattern| if *pattern == b"#" { Cow::from(*pattern) } else { named(pattern) }).collect(),
    );
    let sort = Sort { by: by.as_deref(), get: get.iter().map(|pattern| &**pattern).collect(), ..sort };
    let sorted = context.shards.sort(args.get(1), &sort);
    let done = sorted.and_then(|sorted| {
        if let Some(target) = target {
            context.event = Some("sortstore");
            // What is nowhere is stored as an empty string.
            let elements: Vec<Bytes> = sorted.into_iter().map(Option::unwrap_or_default).collect();
            context.shards.store_elements(target, &elements)?;
            reply.unsigned(elements.len() as u64);
            return Ok(());
        }
        reply.array(sorted.len());
        for element in sorted {
            match element {
                Some(bytes) => reply.bulk(&bytes),
                None => reply.null(),
            }
        }
        Ok(())
    });
    if let Err(refusal) = done {
        reply.error(&*refusal_text(refusal));
    }
}

/// The options, and the key at which the result is stored.
fn parse<'a>(words: Args<'a>, may_store: bool) -> Result<(Sort<'a>, Option<&'a [u8]>), Cow<'static, str>> {
    let mut sort = Sort {
        by: None,
        start: 0,
        count: -1,
        get: Vec::new(),
        is_reversed: false,
        is_by_bytes: false,
        is_fixed: false,
    };
    let (mut at, mut target) = (0, None);
    while let Some(word) = words.try_get(at) {
        let value = words.try_get(at + 1);
        match (word, value, words.try_get(at + 2)) {
            _ if is(word, "asc") => sort.is_reversed = false,
            _ if is(word, "desc") => sort.is_reversed = true,
            _ if is(word, "alpha") => sort.is_by_bytes = true,
            (_, Some(start), Some(count)) if is(word, "limit") => {
                sort.start = integer(start).map_err(refusal_text)?;
                sort.count = integer(count).map_err(refusal_text)?;
                at += 2;
            }
            (_, Some(key), _) if may_store && is(word, "store") => {
                target = Some(key);
                at += 1;
            }
            (_, Some(pattern), _) if is(word, "by") => {
                sort.by = Some(pattern);
                at += 1;
            }
            (_, Some(pattern), _) if is(word, "get") => {
                sort.get.push(pattern);
                at += 1;
            }
            _ => return Err(error_text::SYNTAX.into()),
        }
        at += 1;
    }
    sort.is_fixed = target.is_some();
    Ok((sort, target))
}
