//! COMMAND: the table of commands for clients.

use super::docs;
use super::subcommand;
use crate::access::Category;
use crate::command::connection::is_of_browsers;
use crate::command::help::help;
use crate::command::options::is;
use crate::command::table::TABLE;
use crate::command::{Access, Command, KeyUse, Keys, Run, SessionContext};
use crate::resp::{Args, OwnedArgs, Reply, error_text};
use keytide_engine::filter::Glob;

static HELP: Command =
    Command { access: Access::NONE.in_categories(&[Category::Connection]), ..help("command|help", "server") };

pub static COMMAND: Command = Command {
    name: "command",
    arity: -1,
    flags: &[],
    keys: Keys::None,
    access: Access::NONE.in_categories(&[Category::Connection]),
    summary: "Describes the commands.",
    group: "server",
    run: Run::Container(&[&ALONE, &COUNT, &DOCS, &INFO, &LIST, &GETKEYS, &GETKEYSANDFLAGS, &HELP]),
};

const fn command(
    name: &'static str,
    arity: i32,
    summary: &'static str,
    run: fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>),
) -> Command {
    let access = Access::NONE.in_categories(&[Category::Connection]);
    Command { access, ..subcommand(name, arity, &[], summary, run) }
}

/// COMMAND without a subcommand.
static ALONE: Command = command("command|", 1, "Describes every command.", |_, _, reply| {
    reply.array(listed().count());
    listed().for_each(|command| encode(command, reply));
});

static COUNT: Command = command("command|count", 2, "Returns the number of commands.", |_, _, reply| {
    reply.unsigned(listed().count() as u64);
});

static DOCS: Command = command("command|docs", -2, "Describes the purpose of commands.", |_, args, reply| {
    let named = named(args.rest(2)).into_iter().flatten();
    docs::encode(&named.collect::<Vec<_>>(), reply);
});

static INFO: Command = command("command|info", -2, "Describes commands by name.", |_, args, reply| {
    let named = named(args.rest(2));
    reply.array(named.len());
    for command in named {
        match command {
            Some(command) => encode(command, reply),
            None => reply.null_array(),
        }
    }
});

/// The commands, without subcommands, and without the lines of a browser, of which clients need not know.
fn listed() -> impl Iterator<Item = &'static Command> {
    TABLE.commands().iter().copied().filter(|command| !is_of_browsers(command))
}

/// The commands with these names, or all commands if there are none.
fn named(names: Args<'_>) -> Vec<Option<&'static Command>> {
    if names.is_empty() {
        return listed().map(Some).collect();
    }
    let named = |name| TABLE.by_full_name(name).filter(|command| !is_of_browsers(command));
    names.iter().map(named).collect()
}

static LIST: Command =
    command("command|list", -2, "Returns the commands' names, FILTERBY a pattern or category.", list);

fn list(_context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let all = listed().flat_map(|command| std::iter::once(command).chain(command.subcommands()));
    let found: Vec<&Command> = match args.len() {
        2 => all.collect(),
        5 if is(args.get(2), "filterby") => {
            let value = args.get(4);
            if is(args.get(3), "pattern") {
                let glob = match Glob::new(&value.to_ascii_lowercase()) {
                    Ok(glob) => glob,
                    Err(error) => return reply.error(error_text::err(&error)),
                };
                all.filter(|command| glob.matches(command.name.as_bytes())).collect()
            } else if is(args.get(3), "aclcat") {
                all.filter(|command| command.categories().names().any(|name| is(value, name))).collect()
            } else if is(args.get(3), "module") {
                Vec::new()
            } else {
                return reply.error(error_text::SYNTAX);
            }
        }
        _ => return reply.error(error_text::SYNTAX),
    };
    reply.array(found.len());
    found.iter().for_each(|command| reply.text(command.name));
}

static GETKEYS: Command = command("command|getkeys", -4, "Returns the keys of a whole command.", |_, args, reply| {
    getkeys(args, reply, |reply, key, _| reply.bulk(key))
});

static GETKEYSANDFLAGS: Command = command(
    "command|getkeysandflags",
    -4,
    "Returns the keys of a whole command, and what it does with each.",
    |_, args, reply| {
        getkeys(args, reply, |reply, key, of| {
            reply.array(2);
            reply.bulk(key);
            reply.set(of.words.len());
            of.words.iter().for_each(|word| reply.simple(word));
        })
    },
);

fn getkeys(args: Args<'_>, reply: &mut Reply<'_>, mut write: impl FnMut(&mut Reply<'_>, &[u8], KeyUse)) {
    let asked: OwnedArgs = args.rest(2).iter().collect();
    let asked = asked.as_args();
    let Some(command) = TABLE.by_name(asked.get(0)) else { return reply.error("ERR Invalid command specified") };
    let command = match TABLE.resolve(asked) {
        Ok(index) => TABLE.get(index),
        Err(_) if command.accepts(asked.len()) => return reply.error("ERR Invalid command specified"),
        Err(_) if command.keys == Keys::None => return reply.error("ERR The command has no key arguments"),
        Err(_) => return reply.error("ERR Invalid number of arguments specified for command"),
    };
    if command.keys == Keys::None {
        return reply.error("ERR The command has no key arguments");
    }
    let keys: Vec<&[u8]> = command.keys.of(asked).collect();
    if keys.is_empty() {
        return reply.error("ERR Invalid arguments specified for command");
    }
    reply.array(keys.len());
    for (n, key) in keys.iter().enumerate() {
        write(reply, key, command.access.use_at(n, asked).unwrap_or(KeyUse::LOOK));
    }
}

/// A command in the format of COMMAND.
fn encode(command: &Command, reply: &mut Reply<'_>) {
    let (first, last, step) = match command.keys {
        Keys::At { first, last, step } => (first as i64, last as i64, step as i64),
        Keys::Copied => (1, 2, 1),
        Keys::TargetAndCounted | Keys::Sorted { .. } | Keys::Around { .. } => (1, 1, 1),
        Keys::None | Keys::Counted { .. } | Keys::Streams { .. } => (0, 0, 0),
    };
    reply.array(10);
    reply.text(command.name);
    reply.integer(i64::from(command.arity));
    reply.set(command.flags.len());
    command.flags.iter().for_each(|flag| reply.simple(flag.name()));
    reply.integer(first);
    reply.integer(last);
    reply.integer(step);
    let categories = command.categories();
    reply.set(categories.names().count());
    categories.names().for_each(|name| reply.simple(&format!("@{name}")));
    // Tips: none.
    reply.set(0);
    encode_keys(command, reply);
    let subcommands = command.subcommands();
    reply.array(subcommands.clone().count());
    subcommands.for_each(|subcommand| encode(subcommand, reply));
}

/// The positions of the keys, and what is done with them: for each use one row of positions.
fn encode_keys(command: &Command, reply: &mut Reply<'_>) {
    let uses = command.access.uses;
    match command.keys {
        Keys::Sorted { stores } => {
            let rows = [(uses[0], true), (uses[0], false), (KeyUse::OVERWRITE, false)];
            let rows = &rows[..if stores { 3 } else { 2 }];
            reply.set(rows.len());
            for (of, is_first) in rows {
                encode_use(*of, reply);
                if *is_first { encode_places(Keys::ONE, 0, true, reply) } else { encode_unknown(reply) }
            }
            return;
        }
        Keys::Around { from } => {
            reply.set(3);
            encode_use(uses[0], reply);
            encode_places(Keys::ONE, 0, true, reply);
            for word in ["STORE", "STOREDIST"] {
                encode_use(KeyUse::OVERWRITE, reply);
                encode_behind(word, from, reply);
            }
            return;
        }
        Keys::None
        | Keys::At { .. }
        | Keys::Copied
        | Keys::Counted { .. }
        | Keys::TargetAndCounted
        | Keys::Streams { .. } => {}
    }
    let rows = if command.keys == Keys::None { 0 } else { uses.len() };
    reply.set(rows);
    for (n, of) in uses.iter().take(rows).enumerate() {
        encode_use(*of, reply);
        encode_places(command.keys, n, n + 1 == rows, reply);
    }
}

/// The head of a row: what is done with the keys.
fn encode_use(of: KeyUse, reply: &mut Reply<'_>) {
    reply.map(3);
    reply.text("flags");
    reply.set(of.words.len());
    of.words.iter().for_each(|word| reply.simple(word));
}

/// Places that depend on what the keys hold.
fn encode_unknown(reply: &mut Reply<'_>) {
    for name in ["begin_search", "find_keys"] {
        reply.text(name);
        reply.map(2);
        reply.text("type");
        reply.text("unknown");
        reply.text("spec");
        reply.map(0);
    }
}

/// The place behind a word.
fn encode_behind(word: &str, from: usize, reply: &mut Reply<'_>) {
    reply.text("begin_search");
    reply.map(2);
    reply.text("type");
    reply.text("keyword");
    reply.text("spec");
    reply.map(2);
    reply.text("keyword");
    reply.text(word);
    reply.text("startfrom");
    reply.integer(from as i64);
    encode_find("range", [("lastkey", 0), ("keystep", 1), ("limit", 0)], reply);
}

/// How the others follow the first one.
fn encode_find(find: &str, spec: [(&str, i64); 3], reply: &mut Reply<'_>) {
    reply.text("find_keys");
    reply.map(2);
    reply.text("type");
    reply.text(find);
    reply.text("spec");
    reply.map(spec.len());
    for (name, value) in spec {
        reply.text(name);
        reply.integer(value);
    }
}

/// The positions of the `n`-th key as two steps: where they begin, and how the others follow that are used alike.
fn encode_places(keys: Keys, n: usize, is_last: bool, reply: &mut Reply<'_>) {
    let (begin, find, spec): (usize, &str, [(&str, i64); 3]) = match keys {
        // Those of the last two are encoded one by one.
        Keys::None | Keys::Sorted { .. } | Keys::Around { .. } => return,
        Keys::Copied => return encode_places(Keys::TWO, n, is_last, reply),
        Keys::At { first, last, step } => {
            let begin = first + n * step;
            let last = match last {
                _ if !is_last => 0,
                last if last < 0 => last as i64,
                last => last as i64 - begin as i64,
            };
            (begin, "range", [("lastkey", last), ("keystep", step as i64), ("limit", 0)])
        }
        Keys::TargetAndCounted if n == 0 => (1, "range", [("lastkey", 0), ("keystep", 1), ("limit", 0)]),
        Keys::TargetAndCounted => (2, "keynum", [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]),
        Keys::Counted { at } => (at, "keynum", [("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]),
        // Half of what follows the word.
        Keys::Streams { from } => (from, "range", [("lastkey", -1), ("keystep", 1), ("limit", 2)]),
    };
    reply.text("begin_search");
    reply.map(2);
    reply.text("type");
    if matches!(keys, Keys::Streams { .. }) {
        reply.text("keyword");
        reply.text("spec");
        reply.map(2);
        reply.text("keyword");
        reply.text("STREAMS");
        reply.text("startfrom");
    } else {
        reply.text("index");
        reply.text("spec");
        reply.map(1);
        reply.text("index");
    }
    reply.integer(begin as i64);
    encode_find(find, spec, reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::Protocol;

    /// The bytes of an encoded value, with those within it.
    fn value_bytes(bytes: &[u8]) -> usize {
        let line = bytes.windows(2).position(|end| end == b"\r\n").expect("a value begins with a line") + 2;
        let number = || str::from_utf8(&bytes[1..line - 2]).unwrap().parse::<usize>().unwrap();
        let with = |count| (0..count).fold(line, |at, _| at + value_bytes(&bytes[at..]));
        match bytes[0] {
            b'*' | b'~' => with(number()),
            b'%' => with(2 * number()),
            b'$' => line + number() + 2,
            _ => line,
        }
    }

    #[test]
    fn every_command_is_encoded_as_ten_whole_elements() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            for command in TABLE.commands() {
                let mut out = Vec::new();
                encode(command, &mut Reply::new(&mut out, protocol));
                assert!(out.starts_with(b"*10\r\n"));
                assert_eq!(value_bytes(&out), out.len(), "{}", command.name);
            }
        }
    }

    #[test]
    fn subcommands_are_found_by_their_full_names() {
        assert_eq!(TABLE.by_full_name(b"Client|List").map(|command| command.name), Some("client|list"));
        assert!(TABLE.by_full_name(b"client|").is_none());
        assert!(TABLE.by_full_name(b"command|").is_none());
    }
}
