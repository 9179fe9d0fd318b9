//! Accepting: one multishot operation per listener.

use std::{
    io,
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use io_uring::{cqueue, opcode, types};

use super::{Kind, user_data};
use crate::net_ring::{NetEvent, driver::NetOps, slab::Connection};
use crate::paced::Paced;

/// Pause after an error that would come again at once, such as having no descriptors left.
static RETRY: types::Timespec = types::Timespec::new().nsec(100_000_000);

pub(in crate::net_ring) struct Listener {
    /// `None` once it is stopped and the kernel has let go of it.
    socket: Option<TcpListener>,
    stopping: bool,
    /// The pause after an error is with the kernel, not the accept.
    pausing: bool,
    told: Paced,
}

pub(in crate::net_ring) fn listen(ops: &mut NetOps, socket: TcpListener) {
    let index = ops.listeners.len() as u32;
    ops.listeners.push(Listener { socket: Some(socket), stopping: false, pausing: false, told: Paced::default() });
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

/// Whether an accept is still with the kernel.
pub(in crate::net_ring) fn any_armed(ops: &NetOps) -> bool {
    ops.listeners.iter().any(|listener| listener.socket.is_some())
}

fn submit(ops: &mut NetOps, index: u32) {
    let Some(socket) = &ops.listeners[index as usize].socket else { return };
    // Not SOCK_NONBLOCK: the ring waits for such sockets by itself, and would hand EAGAIN to us instead.
    let entry = opcode::AcceptMulti::new(types::Fd(socket.as_raw_fd()))
        .flags(libc::SOCK_CLOEXEC)
        .build()
        .user_data(user_data(Kind::Accept, index, 0));
    // SAFETY: the entry points to nothing, and the listener stays open until the operation has ended.
    unsafe { ops.push(entry) };
}

fn cancel(ops: &mut NetOps, index: u32) {
    let kind = if ops.listeners[index as usize].pausing { Kind::AcceptRetry } else { Kind::Accept };
    let entry = opcode::AsyncCancel::new(user_data(kind, index, 0)).build();
    // SAFETY: the entry points to nothing.
    unsafe { ops.push(entry.user_data(user_data(Kind::CancelAccept, index, 0))) };
}

/// A cancellation has completed. If it found nothing though the operation is still there, it was just being run.
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
        // SAFETY: the kernel made this descriptor for this completion; nobody else knows it.
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
            if listener.told.is_due() {
                let (error, total) = (io::Error::from_raw_os_error(errno), ops.counters.accept_errors);
                tracing::warn!(%error, total, "connections cannot be accepted, tried again every 100 ms");
            }
            let entry =
                opcode::Timeout::new(&raw const RETRY).build().user_data(user_data(Kind::AcceptRetry, index, 0));
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
    let connection = ops.connections.insert(Connection::new(stream));
    // Before anything is received: a handler that refuses the connection has it closed at once.
    handler(ops, NetEvent::Accepted { connection, listener: index as usize });
    ops.settle(connection);
}

/// The pause after an error is over, or was cancelled by `stop`.
pub(in crate::net_ring) fn complete_retry(ops: &mut NetOps, index: u32) {
    let listener = &mut ops.listeners[index as usize];
    listener.pausing = false;
    if listener.stopping {
        listener.socket = None;
    } else {
        submit(ops, index);
    }
}
