//! What comes from the net ring: connections, bytes, ends. Received bytes go through the connection's transport to its
//! protocol here, at once or when the connection goes on; what the protocol cannot take yet is kept.

use super::Core;
use super::budget::Part;
use crate::connection::{Connection, Problem, ProtocolState, Stall, Transport};
use crate::limits::{BUFFER_KEEP_BYTES, INPUT_CLAIM_BYTES, INPUT_PAUSE_BYTES};
use crate::net_ring::{Announced, ConnectionId, EndReason, NetEvent, NetOps, SendBuffer};
use crate::session::Closing;
use crate::weight::Weight;
use keytide_engine::slot::shard_of;
use std::io;

impl Core {
    pub(super) fn on_event(&mut self, ops: &mut NetOps, event: NetEvent<'_>) {
        match event {
            NetEvent::Accepted { connection, listener } => self.accept(ops, connection, listener),
            NetEvent::Announced(announced) => self.prefetch_announced(announced),
            NetEvent::Received { connection, bytes } => self.receive(ops, connection, bytes),
            NetEvent::Sent { connection, buffer, result } => self.note_sent(connection, buffer, result),
            NetEvent::Ended { connection, reason } => self.note_end(connection, &reason),
            NetEvent::Closed { connection } => {
                if let Some(mut connection) = self.connections.remove(connection) {
                    self.count_out(&mut connection);
                }
            }
        }
    }

    /// Asks for the memory of the keys that the next received bytes will probably need.
    fn prefetch_announced(&mut self, announced: Announced<'_>) {
        let Core { id, shard, connections, server, .. } = self;
        let Some(shard) = shard.as_deref() else { return };
        let keys = announced.iter().filter_map(|(id, bytes)| connections.get(id)?.guess_key(bytes));
        shard.prefetch(keys.filter(|key| shard_of(key, server.shards()) == *id));
    }

    fn receive(&mut self, ops: &mut NetOps, id: ConnectionId, received: &[u8]) {
        let Some(mut connection) = self.connections.take(id) else { return };
        match connection.transport {
            Transport::Plain => self.receive_opened(ops, &mut connection, received),
            Transport::Tls(_) => self.receive_records(ops, &mut connection, received),
        }
        connection.list(&mut self.listed);
        self.connections.put(connection);
    }

    /// Takes bytes of the protocol.
    #[inline]
    pub(super) fn receive_opened(&mut self, ops: &mut NetOps, connection: &mut Connection, bytes: &[u8]) {
        if connection.stall.is_none() {
            if connection.input.is_empty() && connection.replies.waiting() == 0 {
                connection.weight.begin();
            }
            if self.budget.is_over() {
                connection.stall = Some(Stall::Turn);
            }
        }
        if connection.session.closing != Closing::No {
            // What comes after the last reply is of no interest.
        } else if connection.input.is_empty() && connection.stall.is_none() {
            let consumed = self.run_protocol(connection, bytes);
            self.keep_input(connection, &bytes[consumed..]);
        } else if self.keep_input(connection, bytes) {
            self.run_input(connection);
        }
        if connection.protocol.calls().is_some_and(|calls| calls.wait_for_rest()) {
            // Fails only where the connection does, which is reported.
            let _ = ops.acknowledge(connection.id);
        }
        if connection.count_input()
            && let Some(error) = connection.refuse_input(self.server.client_count())
        {
            self.free_input(connection);
            tracing::warn!(client = connection.session.client, "a client is disconnected: {error}");
            connection.end_with(Problem::InputOverLimit(error));
        }
        if connection.stall.is_some() && !connection.is_paused && connection.pending_input() > INPUT_PAUSE_BYTES {
            connection.is_paused = true;
            ops.pause_receive(connection.id);
        }
    }

    /// Gives bytes to the protocol of their connection; answers how many of them it has consumed.
    #[inline]
    fn run_protocol(&mut self, connection: &mut Connection, bytes: &[u8]) -> usize {
        match connection.protocol {
            ProtocolState::Resp(_) => self.run_commands(connection, bytes),
            ProtocolState::Web(_) => self.run_web(connection, bytes),
        }
    }

    /// Runs what clients have left, one after the other, as far as the budget goes. Returns whether anything was left.
    pub(super) fn run_left(&mut self) -> bool {
        if self.left.is_empty() {
            return false;
        }
        self.budget.begin(Part::Left);
        for weight in Weight::ALL {
            self.budget.begin_weight(weight);
            // Those that have something left again come behind the others.
            for _ in 0..self.left.of(weight).len() {
                if self.budget.is_over() {
                    break;
                }
                let Some(id) = self.left.of(weight).pop_front() else { break };
                self.run_left_of(id);
            }
        }
        true
    }

    fn run_left_of(&mut self, id: ConnectionId) {
        let Some(mut connection) = self.connections.take(id) else { return };
        connection.has_turn = false;
        if connection.stall == Some(Stall::Turn) {
            connection.stall = None;
            if connection.session.closing == Closing::No {
                self.run_input(&mut connection);
            }
        }
        connection.list(&mut self.listed);
        self.connections.put(connection);
    }

    /// Runs what has been received and not been run.
    fn run_input(&mut self, connection: &mut Connection) {
        if connection.stall.is_some() || connection.input.is_empty() {
            return;
        }
        let mut input = std::mem::take(&mut connection.input);
        let consumed = self.run_protocol(connection, input.waiting());
        if let Some(memory) = input.consume(consumed, BUFFER_KEEP_BYTES) {
            self.reclaim.free(memory);
        }
        connection.input = input;
        connection.count_input();
        // A wait that begins now has missed the news that nobody listens.
        if connection.has_ended && connection.stall.is_some() {
            self.give_up_waiting(connection.id);
        }
    }

    /// Keeps bytes that were received and cannot run yet. Where there is no memory for them the client gets an error
    /// and is closed: the rest of its command could not be told from the next one. Returns whether they are kept.
    fn keep_input(&mut self, connection: &mut Connection, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let bytes_kept = connection.input.held_bytes() + bytes.len();
        if connection.session.stranger_since.is_some() && self.ends_for_bytes(&mut connection.session, bytes_kept) {
            return false;
        }
        let growth = connection.input.growth(bytes.len());
        let has_room = growth == 0 || bytes_kept < INPUT_CLAIM_BYTES || self.server.memory.claim(growth as u64);
        if !has_room || connection.input.append(bytes).is_err() {
            self.server.memory.note_refused();
            self.free_input(connection);
            connection.end_with(Problem::OutOfMemory);
            return false;
        }
        true
    }

    /// Frees what was received of a connection and will not run.
    fn free_input(&mut self, connection: &mut Connection) {
        self.reclaim.free(connection.input.take());
        connection.count_input();
    }

    fn note_sent(&mut self, id: ConnectionId, buffer: SendBuffer, result: io::Result<()>) {
        let mut memory = buffer.into_vec().unwrap_or_default();
        memory.clear();
        if memory.capacity() > BUFFER_KEEP_BYTES {
            self.reclaim.note_freed(memory.capacity());
            self.live.delivery.keep(std::mem::take(&mut memory));
        }
        let Some(connection) = self.connections.get(id) else { return };
        connection.output.note_sent(memory);
        let bytes = connection.output_bytes();
        self.unread.output.count(&mut connection.output.unread, bytes);
        if result.is_err() {
            connection.session.closing = Closing::Now;
        }
        if connection.waits_for_sent() {
            connection.list(&mut self.listed);
        }
    }

    fn note_end(&mut self, id: ConnectionId, reason: &EndReason) {
        let Some(connection) = self.connections.get(id) else { return };
        connection.has_ended = true;
        if let EndReason::Error(_) = reason {
            connection.session.closing = Closing::Now;
        }
        connection.list(&mut self.listed);
        self.give_up_waiting(id);
    }

    /// Counts out a connection that is closed, and ends what there is of it on this core and on others.
    pub(super) fn count_out(&mut self, connection: &mut Connection) {
        self.forget_stranger(&mut connection.session);
        self.end_subscriptions(connection);
        self.unread.output.count(&mut connection.output.unread, 0);
        self.free_input(connection);
        self.figures.clients -= 1;
        self.server.forget_client(self.id, connection.session.client);
        self.server.dismiss_client();
        if connection.replies.waiting() > 0 || !connection.output.unacknowledged.is_empty() {
            self.notify_closed(connection.id);
        }
    }
}
