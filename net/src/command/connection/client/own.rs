//! CLIENT ID, GETNAME, SETNAME, SETINFO, NO-EVICT, NO-TOUCH, REPLY.

use super::client;
use crate::command::connection::auth::is_name;
use crate::command::options::is;
use crate::command::{Command, Run, SessionContext};
use crate::connection::Silence;
use crate::resp::{Args, Reply, error_text};

pub static ID: Command = client(
    "client|id",
    2,
    &[],
    "Returns the connection's number.",
    Run::Session(|context, _, reply| {
        reply.unsigned(context.session.client);
    }),
);

pub static GETNAME: Command = client("client|getname", 2, &[], "Returns the connection's name.", Run::Session(getname));

fn getname(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    match context.session.name.is_empty() {
        true => reply.null(),
        false => reply.bulk(&context.session.name),
    }
}

pub static SETNAME: Command =
    client("client|setname", 3, &[], "Names the connection; an empty name removes the name.", Run::Session(setname));

fn setname(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    if !is_name(args.get(2)) {
        return reply.error(error_text::CLIENT_NAME);
    }
    context.session.name = args.get(2).to_vec();
    reply.ok();
}

pub static SETINFO: Command = client(
    "client|setinfo",
    4,
    &[],
    "Sets the client library's name (LIB-NAME) or version (LIB-VER).",
    Run::Session(setinfo),
);

fn setinfo(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (option, value) = (args.get(2), args.get(3));
    let library = &mut context.session.library;
    let (field, name) = if is(option, "lib-name") {
        (&mut library.0, "lib-name")
    } else if is(option, "lib-ver") {
        (&mut library.1, "lib-ver")
    } else {
        return reply.error([b"ERR Unrecognized option '", option, b"'"].concat());
    };
    if !is_name(value) {
        return reply.error(format!("ERR {name} cannot contain spaces, newlines or special characters."));
    }
    *field = value.to_vec();
    reply.ok();
}

pub static NO_EVICT: Command = client(
    "client|no-evict",
    3,
    &[crate::command::Flag::Admin],
    "ON exempts the connection from being closed for the memory that its buffers take.",
    Run::Session(|context, args, reply| {
        switch(context, args, reply);
        if is(args.get(2), "on") || is(args.get(2), "off") {
            context.session.is_kept = is(args.get(2), "on");
        }
    }),
);

pub static NO_TOUCH: Command = client(
    "client|no-touch",
    3,
    &[],
    "ON reads without telling eviction that the keys are used.",
    Run::Session(|context, args, reply| {
        switch(context, args, reply);
        if is(args.get(2), "on") || is(args.get(2), "off") {
            context.resp.leaves_use = is(args.get(2), "on");
        }
    }),
);

/// Accepts ON and OFF.
fn switch(_context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    match is(args.get(2), "on") || is(args.get(2), "off") {
        true => reply.ok(),
        false => reply.error(error_text::SYNTAX),
    }
}

pub static REPLY: Command = client(
    "client|reply",
    3,
    &[],
    "ON sends replies, OFF sends none, SKIP leaves out that of the next command.",
    Run::Session(replies),
);

fn replies(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (word, silence) = (args.get(2), &mut context.resp.silence);
    if is(word, "on") {
        *silence = Silence::No;
        reply.ok();
    } else if is(word, "off") {
        *silence = Silence::All;
    } else if is(word, "skip") {
        if *silence != Silence::All {
            *silence = Silence::Next;
        }
    } else {
        reply.error(error_text::SYNTAX);
    }
}
