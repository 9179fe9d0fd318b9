//! CLIENT INFO, LIST, KILL, UNBLOCK: every core runs them for its connections.

use super::{client, describe};
use crate::command::options::is;
use crate::command::{Command, CoreContext, Flag, Run, SessionContext};
use crate::connection::Connection;
use crate::gather::{Merge, sum};
use crate::resp::{Args, Reply, error_text};
use crate::session::Closing;
use crate::value::{PartWriter, Value, ValueWriter, Values};
use keytide_engine::number::parse_i64;

pub static INFO: Command = client(
    "client|info",
    2,
    &[],
    "Describes the connection.",
    Run::EachCore { run: info, own: Some(own_info), merge: Merge::Texts },
);

fn info(context: &mut CoreContext<'_>, _args: Args<'_>, reply: &mut PartWriter<'_>) {
    let asker = context.client;
    describe(context, reply, |connection| connection.session.client == asker);
}

/// In a transaction, when the sizes of its buffers are not at hand.
fn own_info(context: &mut SessionContext<'_>, _args: Args<'_>, reply: &mut Reply<'_>) {
    reply.verbatim("txt", &(describe::client_info(context.session, context.resp) + "\n"));
}

pub static LIST: Command = client(
    "client|list",
    -2,
    &[Flag::Admin, Flag::NoMulti],
    "Describes the connections, all or those of a TYPE or of some IDs.",
    Run::EachCore { run: list, own: None, merge: Merge::Texts },
);

fn list(context: &mut CoreContext<'_>, args: Args<'_>, reply: &mut PartWriter<'_>) {
    let words = args.rest(2);
    match words.try_get(0) {
        None => describe(context, reply, |_| true),
        Some(word) if words.len() == 2 && is(word, "type") => match is_type(words.get(1)) {
            Ok(is_it) => describe(context, reply, is_it),
            Err(text) => reply.error(text),
        },
        Some(word) if words.len() > 1 && is(word, "id") => {
            let ids: Option<Vec<i64>> = words.rest(1).iter().map(parse_i64).collect();
            match ids {
                Some(ids) => describe(context, reply, |connection| ids.contains(&(connection.session.client as i64))),
                None => reply.error("ERR Invalid client ID"),
            }
        }
        Some(_) => reply.error(error_text::SYNTAX),
    }
}

fn describe(context: &mut CoreContext<'_>, reply: &mut PartWriter<'_>, is_wanted: impl Fn(&Connection) -> bool) {
    let now_ms = context.steady_ms;
    let mut text = String::new();
    for connection in admitted(context).filter(|connection| is_wanted(connection)) {
        text += &describe::describe(connection, now_ms);
        text.push('\n');
    }
    reply.bulk(text.as_bytes());
}

/// The connections, except those being refused or closed.
fn admitted<'a>(context: &'a mut CoreContext<'_>) -> impl Iterator<Item = &'a mut Connection> {
    let is_open = |connection: &&mut Connection| connection.session.client != 0 && !connection.is_closed;
    context.connections.iter().filter(is_open)
}

/// A predicate for a type of connection.
type IsType = fn(&Connection) -> bool;

/// The predicate for a type by Redis's name: normal ones, or those with subscriptions.
fn is_type(name: &[u8]) -> Result<IsType, Vec<u8>> {
    if is(name, "normal") {
        return Ok(|connection| !connection.session.is_subscriber());
    }
    if is(name, "pubsub") {
        return Ok(|connection| connection.session.is_subscriber());
    }
    match ["master", "slave", "replica"].iter().any(|other| is(name, other)) {
        true => Ok(|_| false),
        false => Err([b"ERR Unknown client type '", name, b"'"].concat()),
    }
}

pub static KILL: Command = client(
    "client|kill",
    -3,
    &[Flag::Admin, Flag::NoMulti],
    "Closes connections: one by its address, or all that match ID, ADDR, LADDR, TYPE, USER, with SKIPME except this one.",
    Run::EachCore { run: kill, own: None, merge: Merge::Custom(sum_killed) },
);

/// The connections to close.
#[derive(Default)]
struct Victims<'a> {
    id: Option<u64>,
    peer: Option<&'a [u8]>,
    local: Option<&'a [u8]>,
    is_type: Option<IsType>,
    user: Option<&'a [u8]>,
    skips_asker: bool,
}

impl<'a> Victims<'a> {
    fn parse(words: Args<'a>, is_user: impl Fn(&[u8]) -> bool) -> Result<Victims<'a>, Vec<u8>> {
        if words.len() == 1 {
            return Ok(Victims { peer: Some(words.get(0)), ..Victims::default() });
        }
        let mut victims = Victims { skips_asker: true, ..Victims::default() };
        for at in (0..words.len()).step_by(2) {
            let (option, value) = (words.get(at), words.try_get(at + 1).ok_or(error_text::SYNTAX)?);
            if is(option, "id") {
                let id = parse_i64(value).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
                victims.id = Some(id.ok_or("ERR client-id should be greater than 0")?);
            } else if is(option, "type") {
                victims.is_type = Some(is_type(value)?);
            } else if is(option, "addr") {
                victims.peer = Some(value);
            } else if is(option, "laddr") {
                victims.local = Some(value);
            } else if is(option, "user") {
                if !is_user(value) {
                    return Err([b"ERR No such user '", value, b"'"].concat());
                }
                victims.user = Some(value);
            } else if is(option, "skipme") {
                victims.skips_asker = match (is(value, "yes"), is(value, "no")) {
                    (true, _) => true,
                    (_, true) => false,
                    _ => return Err(error_text::SYNTAX.into()),
                };
            } else {
                return Err(error_text::SYNTAX.into());
            }
        }
        Ok(victims)
    }

    fn include(&self, connection: &Connection, asker: u64) -> bool {
        let session = &connection.session;
        let is_at = |address: Option<std::net::SocketAddr>, wanted: Option<&[u8]>| {
            wanted.is_none_or(|wanted| address.is_some_and(|address| address.to_string().as_bytes() == wanted))
        };
        self.id.is_none_or(|id| session.client == id)
            && is_at(session.peer, self.peer)
            && is_at(session.local, self.local)
            && self.is_type.is_none_or(|is_it| is_it(connection))
            && self.user.is_none_or(|name| session.user().name() == name)
            && !(self.skips_asker && session.client == asker)
    }
}

/// A core replies with the number of closed connections; in the form with only an address, whether there was one.
fn kill(context: &mut CoreContext<'_>, args: Args<'_>, reply: &mut PartWriter<'_>) {
    let (users, _) = context.server.users.table();
    let victims = match Victims::parse(args.rest(2), |name| users.get(name).is_some()) {
        Ok(victims) => victims,
        Err(text) => return reply.error(text),
    };
    let asker = context.client;
    let mut killed = 0;
    for connection in admitted(context).filter(|connection| victims.include(connection, asker)) {
        let is_asker = connection.session.client == asker;
        // A client that kills itself still gets its reply.
        connection.session.closing = if is_asker { Closing::AfterReplies } else { Closing::Now };
        killed += 1;
    }
    match args.len() {
        3 if killed > 0 => reply.ok(),
        3 => reply.null(),
        _ => reply.integer(killed),
    }
}

fn sum_killed(parts: &[Vec<u8>], reply: &mut Reply<'_>) {
    let has = |value| parts.iter().any(|part| Values::of(part).next() == Some(value));
    if has(Value::Ok) {
        reply.ok();
    } else if has(Value::Null) {
        reply.error("ERR No such client");
    } else {
        reply.integer(sum(parts));
    }
}

pub static UNBLOCK: Command = client(
    "client|unblock",
    -3,
    &[Flag::Admin, Flag::NoMulti],
    "Ends the wait of a client's command, as if its time were over (TIMEOUT) or with an ERROR.",
    Run::EachCore { run: unblock, own: None, merge: Merge::Sum },
);

/// A core replies with the number of commands that it has ended: 1 if the client's command waited there.
fn unblock(context: &mut CoreContext<'_>, args: Args<'_>, reply: &mut PartWriter<'_>) {
    let error = match args.try_get(3) {
        _ if args.len() > 4 => return reply.error(error_text::wrong_subcommand("client", args.get(1))),
        None => None,
        Some(word) if is(word, "timeout") => None,
        Some(word) if is(word, "error") => Some(error_text::UNBLOCKED),
        Some(_) => return reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
    };
    let Some(client) = parse_i64(args.get(2)) else { return reply.error(error_text::NOT_INTEGER) };
    let client = u64::try_from(client).unwrap_or(0);
    reply.integer(i64::from(context.waits.unblock(client, error)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{OwnedArgs, Protocol};

    fn parse(words: &[&str]) -> Result<(Option<u64>, bool), String> {
        let args: OwnedArgs = words.iter().collect();
        let parsed =
            Victims::parse(args.as_args(), |name| name == b"known").map(|victims| (victims.id, victims.skips_asker));
        parsed.map_err(|text| String::from_utf8_lossy(&text).into_owned())
    }

    #[test]
    fn the_asker_is_spared_unless_it_says_otherwise() {
        assert_eq!(parse(&["id", "7"]), Ok((Some(7), true)));
        assert_eq!(parse(&["ID", "7", "SKIPME", "no"]), Ok((Some(7), false)));
        assert_eq!(parse(&["user", "known"]), Ok((None, true)));
        assert_eq!(parse(&["127.0.0.1:7"]), Ok((None, false)));
    }

    #[test]
    fn errors_have_the_texts_of_redis() {
        assert_eq!(parse(&["id", "0"]), Err("ERR client-id should be greater than 0".into()));
        assert_eq!(parse(&["type", "x"]), Err("ERR Unknown client type 'x'".into()));
        assert_eq!(parse(&["user", "x"]), Err("ERR No such user 'x'".into()));
        for words in [&["id", "7", "addr"][..], &["skipme", "x"], &["x", "y"]] {
            assert_eq!(parse(words), Err("ERR syntax error".into()), "{words:?}");
        }
    }

    #[test]
    fn the_two_forms_reply_in_their_own_way() {
        let summed = |parts: &[Value<'_>]| {
            let part = |value: &Value<'_>| {
                let mut part = Vec::new();
                PartWriter::new(&mut part).value(*value);
                part
            };
            let (parts, mut out) = (parts.iter().map(part).collect::<Vec<_>>(), Vec::new());
            sum_killed(&parts, &mut Reply::new(&mut out, Protocol::Resp2));
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(summed(&[Value::Integer(1), Value::Integer(2)]), ":3\r\n");
        assert_eq!(summed(&[Value::Null, Value::Ok]), "+OK\r\n");
        assert_eq!(summed(&[Value::Null, Value::Null]), "-ERR No such client\r\n");
    }
}
