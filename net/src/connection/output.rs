//! What leaves through a connection: bytes that are ready, buffers that are queued before them, one send at a time.
//! Knows no protocol, and not how bytes reach the socket.
//!
//! ```text
//!   ready ──► [queued] [queued, shared with other connections] … ──► the send in flight
//! ```
//!
//! [`Output::waits_for_sent`] is the one place that says what of the output waits for the end of a send.

use crate::limits::{SEND_BYTES, SHARED_APART_BYTES};
use crate::net_ring::{ConnectionId, NetOps, SendBuffer, SharedBytes};
use crate::unread::ClientOutput;
use keytide_engine::position::ShardId;
use std::collections::VecDeque;
use std::rc::Rc;

/// The output of one connection.
#[derive(Default)]
pub struct Output {
    /// Whole messages, which leave behind those that are queued.
    ready: Vec<u8>,
    /// Leave before what is ready: buffers that other connections send as well, and what precedes them.
    queued: VecDeque<SendBuffer>,
    queued_bytes: usize,
    /// The bytes of the send in flight.
    sending_bytes: Option<usize>,
    /// The empty buffer of an earlier send, for the next ready bytes.
    spare: Vec<u8>,
    /// Whether a subscription of the connection waits for room.
    pub wants_room: bool,
    /// The unread output as the core has counted it.
    pub unread: ClientOutput,
    /// Since when, steady milliseconds, a subscriber to channels has had more unread output than the soft limit.
    pub soft_since_ms: Option<u64>,
    /// Large replies of other cores that those cores have counted and this one has not acknowledged, by core, in bytes.
    pub unacknowledged: Vec<(ShardId, usize)>,
}

impl Output {
    /// Where a whole message is appended that may leave at once.
    #[inline]
    pub fn ready(&mut self) -> &mut Vec<u8> {
        &mut self.ready
    }

    /// The bytes that are ready.
    #[inline]
    pub fn ready_bytes(&self) -> usize {
        self.ready.len()
    }

    /// The bytes that the kernel has not taken.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        self.queued_or_sending_bytes() + self.ready.len()
    }

    /// Whether a subscription may add to it: fewer than `bytes_max` bytes wait to leave.
    #[inline]
    pub fn has_room(&self, bytes_max: usize) -> bool {
        self.unsent_bytes() < bytes_max
    }

    /// The bytes that the kernel has not taken and that grow no more: queued, or in flight.
    #[inline]
    pub fn queued_or_sending_bytes(&self) -> usize {
        self.queued_bytes + self.sending_bytes.unwrap_or(0)
    }

    /// The capacity of the buffer that is kept for the next ready bytes, in bytes.
    pub fn spare_bytes(&self) -> usize {
        self.spare.capacity()
    }

    /// Whether a send is in flight.
    #[inline]
    pub fn is_sending(&self) -> bool {
        self.sending_bytes.is_some()
    }

    /// Whether nothing is left to send behind the send in flight.
    #[inline]
    pub fn is_drained(&self) -> bool {
        self.queued.is_empty() && self.ready.is_empty()
    }

    /// How many bytes the kernel copies for the next send. Shared buffers are handed on in pages instead.
    #[inline]
    pub fn next_copied_bytes(&self) -> usize {
        match self.queued.front() {
            Some(SendBuffer::Shared(_)) => 0,
            Some(SendBuffer::Own(buffer)) => buffer.len(),
            None => self.ready.len(),
        }
    }

    /// Begins a send of what the transport has made of the [next](Self::take_next) buffer. No send may be in flight.
    #[inline]
    pub fn send(&mut self, ops: &mut NetOps, connection: ConnectionId, buffer: SendBuffer) {
        let bytes = buffer.len();
        // A connection that is being closed sends nothing more.
        self.sending_bytes = ops.send(connection, buffer).is_ok().then_some(bytes);
    }

    /// Notes that the send in flight has ended; `memory` is its buffer, empty, where it may serve again.
    #[inline]
    pub fn note_sent(&mut self, memory: Vec<u8>) {
        if memory.capacity() > 0 {
            self.spare = memory;
        }
        self.sending_bytes = None;
        self.unread.has_taken = true;
    }

    /// Queues the ready bytes where they are many and a send is in flight. So a send is never much longer than what one
    /// turn adds to it, and its memory is freed when it ends.
    #[inline]
    pub fn cut_sends(&mut self) {
        let bytes = self.ready.len();
        if !self.is_sending() || bytes < SEND_BYTES {
            return;
        }
        let mut ready = self.take_ready();
        if ready.capacity() - bytes > bytes / 4 {
            // It may wait for long, and would hold on to memory that it does not need.
            ready = ready.as_slice().to_vec();
        }
        self.queue(ready.into());
    }

    /// Appends bytes that other connections send as well. A few bytes behind ready ones are copied.
    pub fn send_shared(&mut self, bytes: &Rc<SharedBytes>) {
        if !self.ready.is_empty() {
            if bytes.len() < SHARED_APART_BYTES {
                self.ready.extend_from_slice(bytes);
                return;
            }
            let own = self.take_ready();
            self.queue(own.into());
        }
        self.queue(bytes.clone().into());
    }

    /// Counts a large reply of another core until this core acknowledges it.
    pub fn owe_acknowledgement(&mut self, core: ShardId, bytes: usize) {
        match self.unacknowledged.iter_mut().find(|owed| owed.0 == core) {
            Some(owed) => owed.1 += bytes,
            None => self.unacknowledged.push((core, bytes)),
        }
    }

    /// Whether the output has something to do at the end of the send in flight: to send more, to report room, or to
    /// acknowledge bytes to another core. [`crate::connection::Connection::waits_for_sent`] adds what else waits.
    #[inline]
    pub fn waits_for_sent(&self) -> bool {
        self.wants_room || !self.is_drained() || !self.unacknowledged.is_empty()
    }

    /// Takes the next buffer to send.
    #[inline]
    pub fn take_next(&mut self) -> Option<SendBuffer> {
        if let Some(buffer) = self.queued.pop_front() {
            self.queued_bytes -= buffer.len();
            return Some(buffer);
        }
        (!self.ready.is_empty()).then(|| self.take_ready().into())
    }

    fn queue(&mut self, buffer: SendBuffer) {
        self.queued_bytes += buffer.len();
        self.queued.push_back(buffer);
    }

    fn take_ready(&mut self) -> Vec<u8> {
        std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare))
    }
}

#[cfg(test)]
impl Output {
    /// Takes the ready bytes and counts them as a send in flight.
    pub fn pretend_to_send(&mut self) {
        let ready = self.take_ready();
        self.sending_bytes = Some(ready.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_bytes_leave_in_order_and_a_few_are_copied() {
        let mut output = Output::default();
        let (few, many) = (vec![b'f'; 10], vec![b'm'; SHARED_APART_BYTES]);
        let shared = |bytes: &[u8]| Rc::new(SharedBytes::from(bytes.to_vec()));
        output.ready().push(b'1');
        output.send_shared(&shared(&few));
        output.send_shared(&shared(&many));
        output.ready().push(b'2');
        assert_eq!(output.unsent_bytes(), 1 + few.len() + many.len() + 1);
        let sends: Vec<SendBuffer> = std::iter::from_fn(|| output.take_next()).collect();
        let bytes: Vec<u8> = sends.iter().flat_map(|send| send.iter().copied()).collect();
        assert_eq!(bytes, [b"1", &few[..], &many, b"2"].concat());
        let is_shared: Vec<bool> = sends.iter().map(|send| matches!(send, SendBuffer::Shared(_))).collect();
        assert_eq!(is_shared, [false, true, false]);
        assert!(output.is_drained() && output.unsent_bytes() == 0);
    }

    #[test]
    fn many_ready_bytes_behind_a_send_become_a_send_of_their_own() {
        let mut output = Output::default();
        output.ready().push(b'1');
        output.pretend_to_send();
        output.ready().resize(SEND_BYTES - 1, b'2');
        output.cut_sends();
        assert_eq!(output.queued_or_sending_bytes(), 1);
        output.ready().push(b'2');
        output.cut_sends();
        assert_eq!((output.queued_or_sending_bytes(), output.ready_bytes()), (1 + SEND_BYTES, 0));
        assert!(output.waits_for_sent());
    }
}
