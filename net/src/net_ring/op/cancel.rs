//! Cancelling the receive or the send of a connection.

use io_uring::opcode;

use super::{Kind, connection_data};
use crate::net_ring::{driver::NetOps, slab::ConnectionId};

pub(in crate::net_ring) fn receive(ops: &mut NetOps, id: ConnectionId) {
    submit(ops, id, Kind::Receive, Kind::CancelReceive);
}

pub(in crate::net_ring) fn send(ops: &mut NetOps, id: ConnectionId) {
    submit(ops, id, Kind::Send, Kind::CancelSend);
}

fn submit(ops: &mut NetOps, id: ConnectionId, target: Kind, kind: Kind) {
    let entry = opcode::AsyncCancel::new(connection_data(target, id)).build().user_data(connection_data(kind, id));
    // SAFETY: the entry points to nothing.
    unsafe { ops.push(entry) };
}

/// A cancellation has completed. Usually it found its operation, whose own completion says the rest. It finds nothing
/// if the operation has ended, whose completion then came before this one, or if it is just being run: then it must be
/// tried again, or a connection that is paused or closing would wait for its next byte.
pub(in crate::net_ring) fn complete(ops: &mut NetOps, id: ConnectionId, kind: Kind, result: i32) {
    if result >= 0 {
        return;
    }
    let Some(connection) = ops.connections.get_mut(id) else { return };
    if kind == Kind::CancelReceive && connection.receive_armed && connection.receive_cancelling {
        receive(ops, id);
    } else if kind == Kind::CancelSend && connection.closing && connection.sending.is_some() {
        send(ops, id);
    }
}
