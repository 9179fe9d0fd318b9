//! A connection's line of CLIENT LIST and CLIENT INFO.

use super::tracking::redirection;
use crate::command::Flag;
use crate::command::table::TABLE;
use crate::connection::{Connection, ProtocolState, RespSession, RespState};
use crate::resp::Protocol;
use crate::session::Session;
use crate::tracking::Mode;
use std::net::SocketAddr;

/// The fields of Redis in its order, because client libraries read them by name and fail if one is missing. Sizes are
/// in bytes. Figures that this server does not have are those of a server that never uses the feature.
pub fn describe(connection: &Connection, now_ms: u64) -> String {
    let sizes = Sizes {
        pending_input: connection.pending_input(),
        spare_input: connection.input.capacity() - connection.input.held_bytes(),
        buffers: connection.buffer_bytes(),
        ready: connection.output.ready_bytes(),
        spare: connection.output.spare_bytes(),
        held: connection.output_bytes(),
        is_sending: connection.output.is_sending(),
        is_blocked: is_blocked(connection),
    };
    let none = RespSession::default();
    let resp = match &connection.protocol {
        ProtocolState::Resp(RespState { session, .. }) => session,
        ProtocolState::Web(_) => &none,
    };
    describe_session(&connection.session, resp, &sizes, now_ms)
}

/// The same of a client whose command is being run or refused, when its buffers are not at hand.
pub fn client_info(session: &Session, resp: &RespSession) -> String {
    describe_session(session, resp, &Sizes::default(), session.active_ms)
}

/// The sizes of a connection's buffers, in bytes, and whether its command waits.
#[derive(Default)]
struct Sizes {
    is_blocked: bool,
    pending_input: usize,
    spare_input: usize,
    buffers: usize,
    ready: usize,
    spare: usize,
    held: usize,
    is_sending: bool,
}

/// Whether the client's last command may wait, and has not replied.
fn is_blocked(connection: &Connection) -> bool {
    let may_wait = || TABLE.by_full_name(connection.session.last_command.as_bytes());
    connection.replies.waiting() > 0 && may_wait().is_some_and(|command| command.is(Flag::Blocking))
}

/// Redis's letters for what a client does: `O` is told of all commands, `P` has subscriptions, `x` is in a transaction, `b` waits, `t` tracks keys, `R` for
/// another client that has gone, `B` all changes, `e` is kept whatever memory it takes, `T` leaves the use of keys as it is, `N` none of these.
fn flags(session: &Session, resp: &RespSession, sizes: &Sizes) -> String {
    let is_queueing = resp.transaction.is_some();
    let tracking = resp.tracking.as_deref();
    let all = [
        ('O', session.channels.monitors > 0),
        ('P', session.is_subscriber()),
        ('x', is_queueing),
        ('b', sizes.is_blocked),
        ('t', tracking.is_some()),
        ('R', tracking.is_some_and(|tracking| tracking.is_broken)),
        ('B', tracking.is_some_and(|tracking| tracking.mode == Mode::Broadcast)),
        ('e', session.is_kept),
        ('T', resp.leaves_use),
    ];
    let flags: String = all.iter().filter(|(_, is_so)| *is_so).map(|(letter, _)| *letter).collect();
    if flags.is_empty() { "N".to_owned() } else { flags }
}

fn describe_session(session: &Session, resp: &RespSession, sizes: &Sizes, now_ms: u64) -> String {
    let address = |address: Option<SocketAddr>| address.map_or_else(|| "?:0".to_owned(), |a| a.to_string());
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let text = |bytes| String::from_utf8_lossy(bytes);
    let &Sizes { held, spare: buffer, .. } = sizes;
    let (queued, queued_bytes) = match &resp.transaction {
        Some(transaction) => (transaction.len() as i64, transaction.bytes()),
        None => (-1, 0),
    };
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={queued} watch={} \
         qbuf={} qbuf-free={} argv-mem=0 multi-mem={queued_bytes} rbs={buffer} rbp={buffer} obl={} oll=0 omem={held} \
         tot-mem={} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={}",
        session.client,
        address(session.peer),
        address(session.local),
        session.descriptor,
        text(&session.name),
        seconds(session.connected_ms),
        seconds(session.active_ms),
        flags(session, resp, sizes),
        resp.database.0,
        // Those of changes are both.
        session.subscriptions + session.channels.channels - session.changes.count(),
        session.channels.patterns,
        session.channels.shards,
        resp.watches.as_ref().map_or(0, |watches| watches.len()),
        sizes.pending_input,
        sizes.spare_input,
        sizes.ready,
        size_of::<Connection>() + sizes.buffers.max(queued_bytes),
        if sizes.is_sending { "rw" } else { "r" },
        session.last_command.trim_end_matches('|'),
        text(session.user().name()),
        redirection(resp.tracking.as_deref()),
        if resp.version == Protocol::Resp3 { 3 } else { 2 },
        text(&session.library.0),
        text(&session.library.1),
    )
}
