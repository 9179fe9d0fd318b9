//! Receiving: one multishot operation per connection, into buffers that the kernel selects.

use std::{io, os::fd::AsRawFd};

use io_uring::{cqueue, opcode, types};

use super::{OpKind, connection_data};
use crate::net_ring::{
    EndReason, NetEvent,
    buffers::{GROUP, ReceiveBuffers},
    driver::NetOps,
    slab::ConnectionId,
};

/// Queues the receive of a known connection.
pub(in crate::net_ring) fn submit(ops: &mut NetOps, id: ConnectionId) {
    let Some(connection) = ops.connections.get(id) else { return };
    let entry = opcode::RecvMulti::new(types::Fd(connection.stream.as_raw_fd()), GROUP)
        .build()
        .user_data(connection_data(OpKind::Receive, id));
    // SAFETY: the entry points to nothing; the buffers are registered with the ring.
    unsafe { ops.push(entry) };
}

pub(in crate::net_ring) fn complete(
    ops: &mut NetOps,
    buffers: &mut ReceiveBuffers,
    (id, result, flags): (ConnectionId, i32, u32),
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    let buffer = cqueue::buffer_select(flags);
    let mut open = false;
    let mut ended = None;
    if let Some(connection) = ops.connections.get_mut(id) {
        if !cqueue::more(flags) {
            connection.receive_armed = false;
            connection.receive_cancelling = false;
        }
        open = !connection.closing;
        ended = match -result {
            ..0 => None,
            0 => Some(EndReason::EndOfStream),
            // The operation has ended, not the stream: `start_operations` arms it again, unless the connection is paused or
            // closing.
            libc::ENOBUFS => {
                ops.counters.receive_without_buffer += 1;
                None
            }
            libc::ECANCELED | libc::EINTR | libc::EAGAIN => None,
            errno => Some(EndReason::Error(io::Error::from_raw_os_error(errno))),
        };
        connection.receive_ended |= ended.is_some();
    }
    if let Some(buffer) = buffer {
        if open && result > 0 {
            ops.counters.received_bytes += result as u64;
            handler(ops, NetEvent::Received { connection: id, bytes: buffers.bytes(buffer, result as usize) });
        }
        buffers.recycle(buffer);
    }
    if let Some(reason) = ended
        && open
    {
        handler(ops, NetEvent::Ended { connection: id, reason });
    }
    ops.start_operations(id);
}
