//! Sending: at most one operation per connection, which owns the buffer until it has ended.
//!
//! A send is first tried silently: the kernel must not wait for room (DONTWAIT) and makes no completion on success
//! (SKIP_SUCCESS). So once the enter that submitted it has returned, either its completion is there, with an error or a
//! partial result, or it has succeeded. That saves a completion for nearly every reply, and lets a core submit its
//! replies and sleep in one system call, which the completions would end at once. The rest of a partial send is sent
//! the loud way, which waits.
//!
//! Buffers of many connections are sent as pages if that is cheaper, at once and without the ring
//! ([`pages`](super::super::pages)); if a socket has no room, a completion reports when it has.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use io_uring::{opcode, squeue, types};

use super::{OpKind, connection_data};
use crate::net_ring::{
    NetEvent,
    driver::NetOps,
    slab::{ConnectionId, SendBuffer, SendMode, Sending},
};

/// The most bytes of one entry: its result is an i32.
const ENTRY_BYTES_MAX: usize = 1 << 30;

/// The most bytes of an entry that waits for room: the granularity of a slow peer's progress.
const LOUD_BYTES_MAX: usize = 256 << 10;

/// Starts the connection's send.
pub(in crate::net_ring) fn begin(ops: &mut NetOps, id: ConnectionId) {
    // A send that has already ended is reported by the next poll, like a silent one: there is no handler here.
    if submit(ops, id)
        && let Some(number) = ops.connections.get(id).and_then(|connection| connection.sending.as_ref()?.silent())
    {
        ops.silent.push((id, number));
    }
}

/// Continues the connection's send: as pages if that is its way, else by a queued operation. Returns whether it has
/// ended; otherwise a completion will follow.
fn submit(ops: &mut NetOps, id: ConnectionId) -> bool {
    let Some(connection) = ops.connections.get_mut(id) else { return false };
    let Some(sending) = &mut connection.sending else { return false };
    if sending.mode != SendMode::Loud
        && let SendBuffer::Shared(shared) = &sending.buffer
        && let Some(pages) = shared.pages(&mut ops.spool, ops.shared_files_max)
    {
        let before = sending.done;
        let handed_on = pages.splice_to(&mut sending.done, connection.stream.as_fd());
        ops.counters.handed_on_bytes += (sending.done - before) as u64;
        match handed_on {
            Ok(true) => return true,
            Ok(false) => {
                sending.mode = SendMode::Room;
                let socket = types::Fd(connection.stream.as_raw_fd());
                let entry = opcode::PollAdd::new(socket, libc::POLLOUT as u32).build();
                // SAFETY: the entry points to nothing.
                unsafe { ops.push(entry.user_data(connection_data(OpKind::Send, id))) };
                return false;
            }
            // An ordinary send reports the error, or works without the pages.
            Err(_) if sending.mode == SendMode::Room => sending.mode = SendMode::Loud,
            Err(_) => {}
        }
    }
    let rest = &sending.buffer[sending.done..];
    if rest.len() > ENTRY_BYTES_MAX {
        // It takes several entries, and the next one needs this one's completion.
        sending.mode = SendMode::Loud;
    }
    // WAITALL: the kernel itself continues after a partial send, and a partial silent send has failed. NOSIGNAL: a
    // disconnected peer is an error, not SIGPIPE.
    let (how, flags, bytes_max) = match sending.mode {
        SendMode::Silent(_) => (libc::MSG_DONTWAIT, squeue::Flags::SKIP_SUCCESS, ENTRY_BYTES_MAX),
        SendMode::Loud | SendMode::Room => (0, squeue::Flags::empty(), LOUD_BYTES_MAX),
    };
    let entry =
        opcode::Send::new(types::Fd(connection.stream.as_raw_fd()), rest.as_ptr(), rest.len().min(bytes_max) as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL | how)
            .build()
            .flags(flags)
            .user_data(connection_data(OpKind::Send, id));
    if let SendMode::Silent(number) = sending.mode {
        ops.silent.push((id, number));
    }
    // SAFETY: the buffer's heap memory stays in place, untouched, in `sending` until the completion, or until the send
    // was submitted and has succeeded; a connection with a send in flight is not removed, and a net ring that is
    // dropped waits for it, or leaks it.
    unsafe { ops.push(entry) };
    false
}

/// Reports a silent send that was submitted and has not failed.
pub(in crate::net_ring) fn report(
    ops: &mut NetOps,
    (id, number): (ConnectionId, u64),
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    let Some(connection) = ops.connections.get_mut(id) else { return };
    // A failed one was reported, or is retried.
    let Some(mut sending) = connection.sending.take_if(|sending| sending.mode == SendMode::Silent(number)) else {
        return;
    };
    sending.done = sending.buffer.len();
    end(ops, id, sending, Ok(()), handler);
}

pub(in crate::net_ring) fn complete(
    ops: &mut NetOps,
    (id, result): (ConnectionId, i32),
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    let Some(connection) = ops.connections.get_mut(id) else { return };
    let Some(mut sending) = connection.sending.take() else { return };
    if sending.mode == SendMode::Room {
        // The poll also reports that the peer sends no more, which is not room and would be reported again at once: an
        // ordinary send waits until there is some.
        if result < 0 || result & i32::from(libc::POLLOUT) == 0 {
            sending.mode = SendMode::Loud;
        }
    } else {
        sending.done += result.max(0) as usize;
        sending.mode = SendMode::Loud;
    }
    let finished = sending.done >= sending.buffer.len();
    let result = match -result {
        ..=0 if finished => Ok(()),
        // `close` was called in between.
        ..=0 if connection.closing => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
        0 => Err(io::ErrorKind::WriteZero.into()),
        ..0 | libc::EINTR | libc::EAGAIN if !connection.closing => {
            connection.sending = Some(sending);
            if !submit(ops, id) {
                return;
            }
            let Some(over) = ops.connections.get_mut(id).and_then(|connection| connection.sending.take()) else {
                return;
            };
            sending = over;
            Ok(())
        }
        errno => Err(io::Error::from_raw_os_error(errno)),
    };
    end(ops, id, sending, result, handler);
}

/// Returns the buffer of an ended send, and does the work that waited for it.
fn end(
    ops: &mut NetOps,
    id: ConnectionId,
    sending: Sending,
    result: io::Result<()>,
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    ops.counters.sent_bytes += sending.done as u64;
    handler(ops, NetEvent::Sent { connection: id, buffer: sending.buffer, result });
    ops.start_operations(id);
}
