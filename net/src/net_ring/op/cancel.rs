//! Cancelling the receive or the send of a connection.

use io_uring::opcode;

use super::{OpKind, connection_data};
use crate::net_ring::{driver::NetOps, slab::ConnectionId};

pub(in crate::net_ring) fn receive(ops: &mut NetOps, id: ConnectionId) {
    submit(ops, id, OpKind::Receive, OpKind::CancelReceive);
}

pub(in crate::net_ring) fn send(ops: &mut NetOps, id: ConnectionId) {
    submit(ops, id, OpKind::Send, OpKind::CancelSend);
}

fn submit(ops: &mut NetOps, id: ConnectionId, target: OpKind, kind: OpKind) {
    let entry = opcode::AsyncCancel::new(connection_data(target, id)).build().user_data(connection_data(kind, id));
    // SAFETY: the entry points to nothing.
    unsafe { ops.push(entry) };
}

/// Handles a completed cancellation. Usually it found its operation, whose own completion has the result. It finds
/// nothing if the operation has ended, with an earlier completion, or if it is just being run: then the cancellation
/// must be retried, or a connection that is paused or closing would wait for its next byte.
pub(in crate::net_ring) fn complete(ops: &mut NetOps, id: ConnectionId, kind: OpKind, result: i32) {
    if result >= 0 {
        return;
    }
    let Some(connection) = ops.connections.get_mut(id) else { return };
    if kind == OpKind::CancelReceive && connection.receive_armed && connection.receive_cancelling {
        receive(ops, id);
    } else if kind == OpKind::CancelSend && connection.closing && connection.sending.is_some() {
        send(ops, id);
    }
}
