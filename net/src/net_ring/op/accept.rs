//! Accepting: one multishot operation per listener.

use std::{
    io,
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use io_uring::{cqueue, opcode, types};

use super::{OpKind, user_data};
use crate::net_ring::{NetEvent, driver::NetOps, slab::RingConnection};
use crate::paced::Paced;

/// The pause after an error that would recur at once, such as running out of descriptors.
static RETRY: types::Timespec = types::Timespec::new().nsec(100_000_000);

pub(in crate::net_ring) struct Listener {
    /// `None` once it is stopped and its operation has ended.
    socket: Option<TcpListener>,
    stopping: bool,
    /// The pause after an error is in the kernel, not the accept.
    pausing: bool,
    warnings: Paced,
}

pub(in crate::net_ring) fn listen(ops: &mut NetOps, socket: TcpListener) {
    let index = ops.listeners.len() as u32;
    ops.listeners.push(Listener { socket: Some(socket), stopping: false, pausing: false, warnings: Paced::default() });
    submit(ops, index);
}

pub(in crate::net_ring) fn stop(ops: &mut NetOps) {
    for index in 0..ops.listeners.len() {
        let listener = &mut ops.listeners[index];
        if listener.socket.is_some() && !listener.stopping {
            listener.stopping = true;
            cancel(ops, index as u32);
        }
    }
}

/// Whether the kernel still has an accept.
pub(in crate::net_ring) fn any_armed(ops: &NetOps) -> bool {
    ops.listeners.iter().any(|listener| listener.socket.is_some())
}

fn submit(ops: &mut NetOps, index: u32) {
    let Some(socket) = &ops.listeners[index as usize].socket else { return };
    // Not SOCK_NONBLOCK: the ring waits for blocking sockets by itself, and would return EAGAIN for others.
    let entry = opcode::AcceptMulti::new(types::Fd(socket.as_raw_fd()))
        .flags(libc::SOCK_CLOEXEC)
        .build()
        .user_data(user_data(OpKind::Accept, index, 0));
    // SAFETY: the entry points to nothing, and the listener stays open until the operation has ended.
    unsafe { ops.push(entry) };
}

fn cancel(ops: &mut NetOps, index: u32) {
    let kind = if ops.listeners[index as usize].pausing { OpKind::AcceptRetry } else { OpKind::Accept };
    let entry = opcode::AsyncCancel::new(user_data(kind, index, 0)).build();
    // SAFETY: the entry points to nothing.
    unsafe { ops.push(entry.user_data(user_data(OpKind::CancelAccept, index, 0))) };
}

/// Handles a completed cancellation. If it found nothing although the operation still exists, that was just being run.
pub(in crate::net_ring) fn complete_cancel(ops: &mut NetOps, index: u32, result: i32) {
    if result < 0 && ops.listeners[index as usize].socket.is_some() {
        cancel(ops, index);
    }
}

pub(in crate::net_ring) fn complete(
    ops: &mut NetOps,
    (index, result, flags): (u32, i32, u32),
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    let stopping = ops.listeners[index as usize].stopping;
    if result >= 0 {
        // SAFETY: the kernel made this descriptor for this completion; it has no other owner.
        let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(result) });
        if !stopping {
            accepted(ops, index, stream, handler);
        }
    }
    if cqueue::more(flags) {
        return;
    }
    if stopping {
        ops.listeners[index as usize].socket = None;
        return;
    }
    match -result {
        // Errors of the one connection that was to be accepted, and ends of a multishot without an error.
        ..=0 | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO | libc::ECANCELED => submit(ops, index),
        errno => {
            ops.counters.accept_errors += 1;
            let listener = &mut ops.listeners[index as usize];
            listener.pausing = true;
            if listener.warnings.is_due() {
                let (error, total) = (io::Error::from_raw_os_error(errno), ops.counters.accept_errors);
                tracing::warn!(%error, total, "connections cannot be accepted, tried again every 100 ms");
            }
            let entry =
                opcode::Timeout::new(&raw const RETRY).build().user_data(user_data(OpKind::AcceptRetry, index, 0));
            // SAFETY: the entry points to a static.
            unsafe { ops.push(entry) };
        }
    }
}

fn accepted(ops: &mut NetOps, index: u32, stream: TcpStream, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>)) {
    if ops.connections.len() >= ops.connections_max {
        ops.counters.accept_refused += 1;
        return;
    }
    ops.counters.accepted += 1;
    let connection = ops.connections.insert(RingConnection::new(stream));
    // Before anything is received: a handler that refuses the connection closes it at once.
    handler(ops, NetEvent::Accepted { connection, listener: index as usize });
    ops.start_operations(connection);
}

/// Handles the end of the pause after an error, which may have been cancelled by `stop`.
pub(in crate::net_ring) fn complete_retry(ops: &mut NetOps, index: u32) {
    let listener = &mut ops.listeners[index as usize];
    listener.pausing = false;
    if listener.stopping {
        listener.socket = None;
    } else {
        submit(ops, index);
    }
}
