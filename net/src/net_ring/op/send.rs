//! Sending: at most one operation per connection; the buffer belongs to it until it completes.

use std::{io, os::fd::AsRawFd};

use io_uring::{opcode, types};

use super::{Kind, connection_data};
use crate::net_ring::{NetEvent, driver::NetOps, slab::ConnectionId};

/// What one entry may send: its result is an i32.
const ENTRY_BYTES_MAX: usize = 1 << 30;

/// Queues what the connection's send has left.
pub(in crate::net_ring) fn submit(ops: &mut NetOps, id: ConnectionId) {
    let Some(connection) = ops.connections.get(id) else { return };
    let Some(sending) = &connection.sending else { return };
    let rest = &sending.buffer[sending.done..];
    // WAITALL: the kernel goes on after a partial send by itself. NOSIGNAL: a peer that is gone is an error, not SIGPIPE.
    let entry = opcode::Send::new(
        types::Fd(connection.stream.as_raw_fd()),
        rest.as_ptr(),
        rest.len().min(ENTRY_BYTES_MAX) as u32,
    )
    .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
    .build()
    .user_data(connection_data(Kind::Send, id));
    // SAFETY: the buffer's heap memory stays where it is, untouched, in `sending` until the completion; a connection
    // with a send in flight is not removed, and a net ring that is dropped waits for it, or leaks it.
    unsafe { ops.push(entry) };
}

pub(in crate::net_ring) fn complete(
    ops: &mut NetOps,
    (id, result): (ConnectionId, i32),
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    let Some(connection) = ops.connections.get_mut(id) else { return };
    let Some(mut sending) = connection.sending.take() else { return };
    sending.done += result.max(0) as usize;
    let finished = sending.done >= sending.buffer.len();
    let result = match -result {
        ..=0 if finished => Ok(()),
        // `close` has come in between.
        ..=0 if connection.closing => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
        0 => Err(io::ErrorKind::WriteZero.into()),
        ..0 | libc::EINTR | libc::EAGAIN if !connection.closing => {
            connection.sending = Some(sending);
            submit(ops, id);
            return;
        }
        errno => Err(io::Error::from_raw_os_error(errno)),
    };
    ops.counters.sent_bytes += sending.done as u64;
    handler(ops, NetEvent::Sent { connection: id, buffer: sending.buffer, result });
    ops.settle(id);
}
