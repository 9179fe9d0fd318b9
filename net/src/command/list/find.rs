//! LRANGE, LLEN, LINDEX, LPOS.

use crate::command::options::{integer, is, range};
use crate::command::{Access, Answer, Command, Flag, Keys, KeysContext, Run, Spread, refuse};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::collection::{End, ListRef};
use keytide_engine::number::parse_i64;
use keytide_engine::shard::resolve_index;

pub static LRANGE: Command = Command {
    name: "lrange",
    arity: 4,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns part of a list.",
    group: "list",
    run: Run::Keys { run: lrange, spread: Spread::Hold },
};

fn lrange(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (first, last) = match (integer(args.get(2)), integer(args.get(3))) {
        (Ok(first), Ok(last)) => (first, last),
        (Err(refusal), _) | (_, Err(refusal)) => return refuse(reply, refusal),
    };
    let key = args.get(1);
    context.shards.of(key).elements(key).answer(reply, |reply, list| {
        let part = list.and_then(|list| Some((list, range(first, last, list.len())?)));
        reply.array(part.as_ref().map_or(0, |(_, range)| range.len()));
        part.into_iter().flat_map(|(list, range)| list.range(range)).for_each(|element| reply.bulk(element));
    });
}

pub static LLEN: Command = Command {
    name: "llen",
    arity: 2,
    flags: &[Flag::Readonly, Flag::Fast],
    keys: Keys::ONE,
    access: Access::LOOK,
    summary: "Returns the length of a list.",
    group: "list",
    run: Run::Keys { run: llen, spread: Spread::Hold },
};

fn llen(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    let list = context.shards.of(key).elements(key);
    list.answer(reply, |reply, list| reply.unsigned(list.map_or(0, |list| list.len()) as u64));
}

pub static LINDEX: Command = Command {
    name: "lindex",
    arity: 3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns the element at an index of a list.",
    group: "list",
    run: Run::Keys { run: lindex, spread: Spread::Hold },
};

fn lindex(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let key = args.get(1);
    context.shards.of(key).elements(key).answer(reply, |reply, list| {
        // Without a list the index is not checked.
        let Some(list) = list else { return reply.null() };
        let Some(index) = parse_i64(args.get(2)) else { return reply.error(error_text::NOT_INTEGER) };
        match resolve_index(index, list.len()).and_then(|place| list.at(place)) {
            Some(element) => reply.bulk(element),
            None => reply.null(),
        }
    });
}

pub static LPOS: Command = Command {
    name: "lpos",
    arity: -3,
    flags: &[Flag::Readonly],
    keys: Keys::ONE,
    access: Access::READ,
    summary: "Returns the indexes of equal elements of a list.",
    group: "list",
    run: Run::Keys { run: lpos, spread: Spread::Hold },
};

fn lpos(context: &mut KeysContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (key, element) = (args.get(1), args.get(2));
    let search = match Search::parse(args.rest(3)) {
        Ok(search) => search,
        Err(text) => return reply.error(text),
    };
    context.shards.of(key).elements(key).answer(reply, |reply, list| match search.count {
        None => match list.and_then(|list| search.run(list, element).next()) {
            Some(index) => reply.unsigned(index as u64),
            None => reply.null(),
        },
        Some(count) => {
            let wanted = if count == 0 { usize::MAX } else { count };
            let found: Vec<usize> = list.map_or(Vec::new(), |list| search.run(list, element).take(wanted).collect());
            reply.array(found.len());
            found.into_iter().for_each(|index| reply.unsigned(index as u64));
        }
    });
}

/// The options of LPOS.
struct Search {
    /// Whether it searches from the tail to the head.
    backward: bool,
    /// The number of matches to skip.
    skip: usize,
    /// The number of wanted matches, 0 = all; `None` if the reply is one index and not an array.
    count: Option<usize>,
    /// The number of elements to examine.
    look: usize,
}

impl Search {
    fn parse(words: Args<'_>) -> Result<Search, &'static str> {
        let mut search = Search { backward: false, skip: 0, count: None, look: usize::MAX };
        let mut at = 0;
        while let Some(word) = words.try_get(at) {
            let value = words.try_get(at + 1).ok_or(error_text::SYNTAX)?;
            let size = || parse_i64(value).and_then(|value| usize::try_from(value).ok());
            at += 2;
            if is(word, "rank") {
                let rank = parse_i64(value).ok_or(error_text::NOT_INTEGER)?;
                search.backward = rank < 0;
                // The one rank that cannot be negated counts as the first match, as in Redis.
                let rank = rank.checked_abs().unwrap_or(1);
                search.skip = usize::try_from(rank - 1).map_err(|_| error_text::RANK_ZERO)?;
            } else if is(word, "count") {
                search.count = Some(size().ok_or(error_text::COUNT_NEGATIVE)?);
            } else if is(word, "maxlen") {
                search.look = match size().ok_or(error_text::MAXLEN_NEGATIVE)? {
                    0 => usize::MAX,
                    look => look,
                };
            } else {
                return Err(error_text::SYNTAX);
            }
        }
        Ok(search)
    }

    /// The matching indexes, in the order of the search.
    fn run<'l>(&self, list: ListRef<'l>, element: &'l [u8]) -> impl Iterator<Item = usize> + 'l {
        let (backward, length) = (self.backward, list.len());
        list.iter_from(if backward { End::Tail } else { End::Head })
            .take(self.look)
            .enumerate()
            .filter(move |(_, each)| *each == element)
            .map(move |(step, _)| if backward { length - 1 - step } else { step })
            .skip(self.skip)
    }
}
