//! AUTH and HELLO.

use crate::command::options::is;
use crate::command::{Command, Flag, Keys, Run, SessionContext};
use crate::resp::{Args, Protocol, Reply, error_text};
use keytide_engine::number::parse_i64;

pub static AUTH: Command = Command {
    name: "auth",
    arity: -2,
    flags: &[Flag::Fast, Flag::NoAuth],
    keys: Keys::None,
    summary: "Authenticates the client.",
    group: "connection",
    run: Run::Session(auth),
};

fn auth(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let (user, password) = match args.len() {
        2 if context.server.config.requirepass.is_none() => return reply.error(error_text::AUTH_NO_PASSWORD),
        2 => (&b"default"[..], args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return reply.error(error_text::SYNTAX),
    };
    match log_in(context, user, password) {
        true => reply.ok(),
        false => reply.error(error_text::WRONG_PASS),
    }
}

/// Without a password every client is the default user, whatever it sends, as in Redis.
fn log_in(context: &mut SessionContext<'_>, user: &[u8], password: &[u8]) -> bool {
    let is_right = user == b"default"
        && context.server.config.requirepass.as_deref().is_none_or(|right| is_equal(right.as_bytes(), password));
    context.session.authenticated |= is_right;
    is_right
}

/// Compares in constant time, so that the time does not reveal a common prefix.
fn is_equal(right: &[u8], given: &[u8]) -> bool {
    let differing = right.iter().zip(given).fold(0u8, |found, (a, b)| found | (a ^ b));
    right.len() == given.len() && std::hint::black_box(differing) == 0
}

pub static HELLO: Command = Command {
    name: "hello",
    arity: -1,
    flags: &[Flag::Fast, Flag::NoAuth],
    keys: Keys::None,
    summary: "Selects the protocol version and describes the server.",
    group: "connection",
    run: Run::Session(hello),
};

fn hello(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let mut protocol = context.resp.version;
    if let Some(version) = args.try_get(1) {
        protocol = match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return reply.error(error_text::NO_PROTO),
            None => return reply.error(error_text::PROTOCOL_VERSION),
        };
    }
    let mut name = None;
    let mut at = 2;
    while let Some(option) = args.try_get(at) {
        match (args.try_get(at + 1), args.try_get(at + 2)) {
            (Some(user), Some(password)) if is(option, "auth") => {
                if !log_in(context, user, password) {
                    return reply.error(error_text::WRONG_PASS);
                }
                at += 3;
            }
            (Some(value), _) if is(option, "setname") => {
                if !is_name(value) {
                    return reply.error(error_text::CLIENT_NAME);
                }
                name = Some(value);
                at += 2;
            }
            _ => return reply.error(error_text::hello_option(option)),
        }
    }
    if !context.session.authenticated {
        return reply.error(error_text::NO_AUTH_HELLO);
    }
    if let Some(name) = name {
        context.session.name = name.to_vec();
    }
    context.resp.version = protocol;
    let client = context.session.client;
    let mut reply = reply.for_protocol(protocol);
    reply.map(7);
    reply.text("server");
    reply.text("keytide");
    reply.text("version");
    reply.text(env!("CARGO_PKG_VERSION"));
    reply.text("proto");
    reply.integer(if protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.text("id");
    reply.unsigned(client);
    reply.text("mode");
    reply.text("standalone");
    reply.text("role");
    reply.text("master");
    reply.text("modules");
    reply.array(0);
}

/// Whether this is a valid connection name: no spaces, no control characters.
pub fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}
