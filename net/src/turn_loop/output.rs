//! What leaves at the turn's end: replies to clients, batches to cores; and connections that may go on.

use super::Core;
use crate::channels::Counts;
use crate::connection::{Connection, Stall};
use crate::net_ring::NetOps;
use crate::session::Closing;
use keytide_engine::position::ShardId;

impl Core {
    /// Sends what may leave. Returns whether another turn is to follow at once.
    pub(super) fn send_all(&mut self, ops: &mut NetOps) -> bool {
        let mut work = false;
        let listed = std::mem::take(&mut self.listed);
        for &id in &listed {
            let Some(mut connection) = self.connections.take(id) else { continue };
            connection.note_unlisted();
            work |= self.settle(ops, &mut connection);
            self.connections.put(connection);
        }
        // The list's memory serves the next turn.
        if self.listed.is_empty() {
            self.listed = listed;
            self.listed.clear();
        }
        for core in 0..self.lanes.outbound.len() {
            let Some(outbound) = &mut self.lanes.outbound[core] else { continue };
            if outbound.flush() {
                self.server.wake(ShardId(core as u16));
            }
            work |= outbound.is_backed_up();
        }
        work
    }

    /// Sends a connection's replies, closes it, or lets it go on. Returns whether another turn is to
    /// follow at once for it.
    fn settle(&mut self, ops: &mut NetOps, connection: &mut Connection) -> bool {
        if connection.is_closed {
            return false;
        }
        self.flush_calls(connection);
        if !connection.output.is_sending() && connection.has_unsent() {
            if self.budget.may_send(connection.next_copied_bytes()) {
                connection.send(ops);
            } else {
                // Behind those that have waited for a turn already.
                connection.list(&mut self.listed);
            }
        }
        connection.output.cut_sends();
        self.count_output(connection);
        let (bytes, level) = (connection.output_bytes(), self.unread.output.level());
        let is_over = match connection.stall {
            None | Some(Stall::Turn) => false,
            Some(Stall::Replies) => connection.replies.waiting() == 0,
            // Not for every little that it takes.
            Some(Stall::Output) => bytes <= level / 2,
            // It goes on when the shard comes back, or the pause ends.
            Some(Stall::Shard | Stall::Pause) => false,
        };
        if is_over {
            let goes_on = (connection.pending_input() > 0).then_some(Stall::Turn);
            connection.stall = if bytes > level { Some(Stall::Output) } else { goes_on };
        }
        if connection.stall == Some(Stall::Turn) && !connection.has_turn {
            connection.has_turn = true;
            self.left.of(connection.weight.now()).push_back(connection.id);
        }
        self.settle_output(connection);
        // Whatever is left is the beginning of a command, which only more bytes can make whole, however long it is.
        if connection.is_paused && connection.stall.is_none() {
            connection.is_paused = false;
            ops.resume_receive(connection.id);
        }
        if connection.is_finished() {
            // The transport's own end leaves before the socket is closed.
            if connection.session.closing != Closing::Now && connection.transport.end() {
                connection.send(ops);
            } else {
                self.close(ops, connection);
            }
        }
        let has_room = connection.output.wants_room && self.live.delivery.has_room(&connection.output);
        if has_room {
            connection.output.wants_room = false;
            if let Some(subscriber) = connection.subscriber {
                self.live.hub.note_room(subscriber);
            }
            self.note_web_room(connection);
        }
        // The net ring may know already that the send is over, and reports it with the next poll.
        has_room || (connection.output.is_sending() && connection.waits_for_sent() && ops.has_unreported_sends())
    }

    /// Closes a connection, whatever is still to be sent.
    pub(super) fn close(&mut self, ops: &mut NetOps, connection: &mut Connection) {
        connection.is_closed = true;
        self.end_subscriptions(connection);
        ops.close(connection.id);
    }

    /// Ends all subscriptions of a connection that is being closed.
    pub(super) fn end_subscriptions(&mut self, connection: &mut Connection) {
        connection.session.subscriptions = 0;
        connection.session.changes.clear();
        connection.session.channels = Counts::default();
        self.end_channels(connection.id);
        if let Some(subscriber) = connection.subscriber.take() {
            self.live.hub.close_client(subscriber);
            self.live.delivery.subscribers.remove(subscriber);
        }
        self.leave_groups(connection);
        let Some(calls) = connection.protocol.calls() else { return };
        for subscriber in calls.take_subscribers() {
            self.live.hub.close_client(subscriber);
            self.live.delivery.subscribers.remove(subscriber);
        }
    }

    /// Drops all subscriptions because the server stops. In every turn of a stopping core, for commands still run.
    pub(super) fn drop_subscriptions(&mut self) {
        if self.server.is_stopping() {
            self.live.hub.shut_down(&mut self.live.delivery.to(&mut self.connections, &mut self.listed));
            self.end_group_reads();
        }
    }
}
