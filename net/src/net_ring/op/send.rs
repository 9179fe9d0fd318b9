//! Sending: at most one operation per connection; the buffer belongs to it until it is over.
//!
//! A send is first tried silently: the kernel may not wait for room (DONTWAIT) and makes no completion if all went well
//! (SKIP_SUCCESS). So once the enter that submitted it has returned, either its completion is there, with an error or a
//! part sent, or it has succeeded. That saves a completion for nearly every reply, and lets a core submit its replies and
//! sleep in one system call, which the completions would end at once. What is left goes the loud way, which waits.
//!
//! What many connections send is handed on in pages where that is cheaper, at once and without the ring
//! ([`pages`](super::super::pages)); where a socket has no room, a completion tells when it has.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use io_uring::{opcode, squeue, types};

use super::{Kind, connection_data};
use crate::net_ring::{
    NetEvent,
    driver::NetOps,
    slab::{ConnectionId, SendBuffer, Sending, Way},
};

/// What one entry may send: its result is an i32.
const ENTRY_BYTES_MAX: usize = 1 << 30;

/// What an entry may send that waits for room: whoever asks how much a slow peer has taken is told in such steps.
const LOUD_BYTES_MAX: usize = 256 << 10;

/// Begins the connection's send.
pub(in crate::net_ring) fn begin(ops: &mut NetOps, id: ConnectionId) {
    // What is over already is reported by the next poll, as a silent send is: there is no handler here.
    if submit(ops, id)
        && let Some(number) = ops.connections.get(id).and_then(|connection| connection.sending.as_ref()?.silent())
    {
        ops.silent.push((id, number));
    }
}

/// Goes on with what the connection's send has left: in pages where that is its way, else by an operation that is queued.
/// Tells whether it is over; otherwise there is something to come.
fn submit(ops: &mut NetOps, id: ConnectionId) -> bool {
    let Some(connection) = ops.connections.get_mut(id) else { return false };
    let Some(sending) = &mut connection.sending else { return false };
    if sending.way != Way::Loud
        && let SendBuffer::Shared(shared) = &sending.buffer
        && let Some(pages) = shared.pages(&mut ops.spool, ops.shared_files_max)
    {
        let before = sending.done;
        let handed_on = pages.hand_on(&mut sending.done, connection.stream.as_fd());
        ops.counters.handed_on_bytes += (sending.done - before) as u64;
        match handed_on {
            Ok(true) => return true,
            Ok(false) => {
                sending.way = Way::Room;
                let socket = types::Fd(connection.stream.as_raw_fd());
                let entry = opcode::PollAdd::new(socket, libc::POLLOUT as u32).build();
                // SAFETY: the entry points to nothing.
                unsafe { ops.push(entry.user_data(connection_data(Kind::Send, id))) };
                return false;
            }
            // An ordinary send tells what it is, or does without the pages.
            Err(_) if sending.way == Way::Room => sending.way = Way::Loud,
            Err(_) => {}
        }
    }
    let rest = &sending.buffer[sending.done..];
    if rest.len() > ENTRY_BYTES_MAX {
        // It takes several entries, and the next one needs this one's completion.
        sending.way = Way::Loud;
    }
    // WAITALL: the kernel goes on after a partial send by itself, and a silent send that is partial has failed.
    // NOSIGNAL: a peer that is gone is an error, not SIGPIPE.
    let (how, flags, bytes_max) = match sending.way {
        Way::Silent(_) => (libc::MSG_DONTWAIT, squeue::Flags::SKIP_SUCCESS, ENTRY_BYTES_MAX),
        Way::Loud | Way::Room => (0, squeue::Flags::empty(), LOUD_BYTES_MAX),
    };
    let entry =
        opcode::Send::new(types::Fd(connection.stream.as_raw_fd()), rest.as_ptr(), rest.len().min(bytes_max) as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL | how)
            .build()
            .flags(flags)
            .user_data(connection_data(Kind::Send, id));
    if let Way::Silent(number) = sending.way {
        ops.silent.push((id, number));
    }
    // SAFETY: the buffer's heap memory stays where it is, untouched, in `sending` until the completion, or until the
    // send was submitted and has succeeded; a connection with a send in flight is not removed, and a net ring that is
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
    // It has failed, and that was reported, or is tried again.
    let Some(mut sending) = connection.sending.take_if(|sending| sending.way == Way::Silent(number)) else { return };
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
    if sending.way == Way::Room {
        // The ring tells also that the peer sends no more, which is no room, and would be told again at once: an
        // ordinary send waits until there is some.
        if result < 0 || result & i32::from(libc::POLLOUT) == 0 {
            sending.way = Way::Loud;
        }
    } else {
        sending.done += result.max(0) as usize;
        sending.way = Way::Loud;
    }
    let finished = sending.done >= sending.buffer.len();
    let result = match -result {
        ..=0 if finished => Ok(()),
        // `close` has come in between.
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

/// Gives the buffer of a send back that is over, and does what waited for that.
fn end(
    ops: &mut NetOps,
    id: ConnectionId,
    sending: Sending,
    result: io::Result<()>,
    handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
) {
    ops.counters.sent_bytes += sending.done as u64;
    handler(ops, NetEvent::Sent { connection: id, buffer: sending.buffer, result });
    ops.settle(id);
}
