//! GEORADIUS, GEORADIUSBYMEMBER and their forms that only read: the older commands for what GEOSEARCH does.

use super::search::{Options, Text, answer, point_of, radius};
use super::words::point;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, KeyUse, Keys, KeysContext, Run, RunKeys, Spread, refusal_text};
use crate::resp::{Args, Reply, error_text};
use keytide_engine::geo::Area;

/// How one of these commands is called.
#[derive(Clone, Copy)]
struct Form {
    /// Whether the middle is a member.
    is_member: bool,
    /// Whether it may store.
    stores: bool,
}

const fn storing(name: &'static str, first_option: usize, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -(first_option as i32),
        flags: &[Flag::Write, Flag::Denyoom, Flag::MovableKeys],
        keys: Keys::Around { from: first_option },
        access: Access::keys(&[KeyUse::READ, KeyUse::OVERWRITE]),
        summary,
        group: "geo",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

const fn reading(name: &'static str, first_option: usize, summary: &'static str, run: RunKeys) -> Command {
    Command {
        name,
        arity: -(first_option as i32),
        flags: &[Flag::Readonly],
        keys: Keys::ONE,
        access: Access::READ,
        summary,
        group: "geo",
        run: Run::Keys { run, spread: Spread::Hold },
    }
}

pub static GEORADIUS: Command =
    storing("georadius", 6, "Returns or stores the members around a place.", |context, args, reply| {
        georadius(context, args, Form { is_member: false, stores: true }, reply);
    });

pub static GEORADIUS_RO: Command =
    reading("georadius_ro", 6, "Returns the members around a place.", |context, args, reply| {
        georadius(context, args, Form { is_member: false, stores: false }, reply);
    });

pub static GEORADIUSBYMEMBER: Command =
    storing("georadiusbymember", 5, "Returns or stores the members around a member.", |context, args, reply| {
        georadius(context, args, Form { is_member: true, stores: true }, reply);
    });

pub static GEORADIUSBYMEMBER_RO: Command =
    reading("georadiusbymember_ro", 5, "Returns the members around a member.", |context, args, reply| {
        georadius(context, args, Form { is_member: true, stores: false }, reply);
    });

fn georadius(context: &mut KeysContext<'_>, args: Args<'_>, form: Form, reply: &mut Reply<'_>) {
    if let Err(text) = try_radius(context, args, form, reply) {
        reply.error(&*text);
    }
}

fn try_radius(context: &mut KeysContext<'_>, args: Args<'_>, form: Form, reply: &mut Reply<'_>) -> Result<(), Text> {
    let key = args.get(1);
    let has_set = context.shards.of(key).sorted(key).map_err(refusal_text)?.is_some();
    // What the command is about is not looked at without a set that could have the member, as in Redis.
    let (middle, size) = match form.is_member {
        true => (point_of(context, key, args.get(2))?, 3),
        false => (Some(point(args.get(2), args.get(3))?), 4),
    };
    let area = match middle {
        None => None,
        Some(middle) => {
            let (shape, unit) = radius(args.get(size), args.get(size + 1))?;
            Some(Area { middle, shape, unit }).filter(|_| has_set)
        }
    };
    let mut options = Options::new(None, "georadiusstore");
    let mut words = args.rest(size + 2);
    while !words.is_empty() {
        let mut taken = options.take(words)?;
        if taken == 0 {
            let stores_distance = is(words.get(0), "storedist");
            if !form.stores || words.len() < 2 || !(stores_distance || is(words.get(0), "store")) {
                return Err(error_text::SYNTAX.into());
            }
            options.target = Some(words.get(1));
            options.stores_distance = stores_distance;
            taken = 2;
        }
        words = words.rest(taken);
    }
    options.check_stored("STORE option in GEORADIUS")?;
    options.check_any()?;
    answer(context, (key, area), &options, reply)
}
