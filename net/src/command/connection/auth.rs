//! AUTH and HELLO.

use crate::access::{DEFAULT_USER, LoginRefused};
use crate::command::access::note_failed_login;
use crate::command::options::is;
use crate::command::{Access, Command, Flag, Keys, Run, SessionContext};
use crate::limits::{REDIS_VERSION, SERVER_NAME};
use crate::resp::{Args, Protocol, Reply, error_text};
use keytide_engine::number::parse_i64;
use std::borrow::Cow;

pub static AUTH: Command = Command {
    name: "auth",
    arity: -2,
    flags: &[Flag::Fast, Flag::NoAuth],
    keys: Keys::None,
    access: Access::NONE,
    summary: "Authenticates the client.",
    group: "connection",
    run: Run::Session(auth),
};

fn auth(context: &mut SessionContext<'_>, args: Args<'_>, reply: &mut Reply<'_>) {
    let needs_no_password = || context.server.users.table().0.default_user().needs_no_password();
    let (user, password) = match args.len() {
        2 if needs_no_password() => return reply.error(error_text::AUTH_NO_PASSWORD),
        2 => (DEFAULT_USER, args.get(1)),
        3 => (args.get(1), args.get(2)),
        _ => return reply.error(error_text::SYNTAX),
    };
    match log_in(context, args.get(0), user, password) {
        Ok(()) => reply.ok(),
        Err(text) => reply.error(text.as_bytes()),
    }
}

/// Makes the client this user, if the password is right and no limit is reached; answers the error if not. `command` is
/// what ACL LOG shows if the password is wrong.
fn log_in(
    context: &mut SessionContext<'_>,
    command: &[u8],
    user: &[u8],
    password: &[u8],
) -> Result<(), Cow<'static, str>> {
    let from = context.session.peer.map(|peer| peer.ip());
    match context.server.users.log_in(from, user, password) {
        Ok(user) => context.session.log_in(user).map_err(|over| error_text::err(&over).into()),
        Err(LoginRefused::Wrong) => {
            note_failed_login(context, command, user);
            Err(error_text::WRONG_PASS.into())
        }
        Err(refused @ LoginRefused::TooMany { .. }) => Err(error_text::err(&refused).into()),
    }
}

pub static HELLO: Command = Command {
    name: "hello",
    arity: -1,
    flags: &[Flag::Fast, Flag::NoAuth],
    keys: Keys::None,
    access: Access::NONE,
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
                if let Err(text) = log_in(context, args.get(0), user, password) {
                    return reply.error(text.as_bytes());
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
    reply.text(SERVER_NAME);
    reply.text("version");
    reply.text(REDIS_VERSION.0);
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

/// Whether an argument of HELLO is of a login.
pub fn is_secret(args: Args<'_>, place: usize) -> bool {
    let is_option = |at: Option<usize>| at.is_some_and(|at| at > 1 && is(args.get(at), "auth"));
    is_option(place.checked_sub(1)) || is_option(place.checked_sub(2)) && !is_option(Some(place))
}

/// Whether this is a valid connection name: no spaces, no control characters.
pub fn is_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}
