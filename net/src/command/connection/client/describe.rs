//! A connection's line of CLIENT LIST and CLIENT INFO.

use crate::connection::{Connection, ProtocolState, RespState};
use crate::resp::Protocol;
use std::net::SocketAddr;

/// The fields of Redis in its order, because client libraries read them by name and fail if one is missing. Sizes are
/// in bytes. Figures that this server does not have are those of a server that never uses the feature.
pub fn describe(connection: &Connection, now_ms: u64) -> String {
    let session = &connection.session;
    let ProtocolState::Resp(RespState { session: resp, .. }) = &connection.protocol;
    let address = |address: Option<SocketAddr>| address.map_or_else(|| "?:0".to_owned(), |a| a.to_string());
    let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
    let text = |bytes| String::from_utf8_lossy(bytes);
    let held = connection.output_bytes();
    let (queued, queued_bytes) = match &resp.transaction {
        Some(transaction) => (transaction.len() as i64, transaction.bytes()),
        None => (-1, 0),
    };
    let buffer = connection.output.spare_bytes();
    format!(
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db=0 sub={} psub=0 ssub=0 multi={queued} \
         qbuf={} qbuf-free={} argv-mem=0 multi-mem={queued_bytes} rbs={buffer} rbp={buffer} obl={} oll=0 omem={held} \
         tot-mem={} events={} cmd={} user=default redir=-1 resp={} lib-name={} lib-ver={}",
        session.client,
        address(session.peer),
        address(session.local),
        session.descriptor,
        text(&session.name),
        seconds(session.connected_ms),
        seconds(session.active_ms),
        match (session.subscriptions > 0, resp.transaction.is_some()) {
            (false, false) => "N",
            (false, true) => "x",
            (true, false) => "P",
            (true, true) => "Px",
        },
        session.subscriptions,
        connection.pending_input(),
        connection.input.capacity() - connection.input.held_bytes(),
        connection.output.ready_bytes(),
        size_of::<Connection>() + connection.input.capacity() + buffer + queued_bytes + held,
        if connection.output.is_sending() { "rw" } else { "r" },
        session.last_command.trim_end_matches('|'),
        if resp.version == Protocol::Resp3 { 3 } else { 2 },
        text(&session.library.0),
        text(&session.library.1),
    )
}
