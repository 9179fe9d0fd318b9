//! A connection, in three layers, and why it stands still. Knows no command.
//!
//! ```text
//!   transport ──► input ──► protocol ──► replies ──► output ──► transport
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | [`transport`] | between the socket's bytes and the protocol's |
//! | `input` | received bytes that wait |
//! | [`protocol`] | which protocol it speaks, with that one's state |
//! | `replies` | replies in the order of the commands |
//! | `output` | buffers to send, one send at a time |
//! | `table` | the connections of one core |
//!
//! Only [`protocol`] knows which protocols there are.

mod input;
mod output;
pub mod protocol;
mod replies;
mod table;
pub mod transport;

pub use input::{Input, InputMemory, Pages};
pub use output::Output;
pub use protocol::{Problem, ProtocolState, RespSession, RespState, Silence};
pub use replies::Replies;
pub use table::Connections;
pub use transport::Transport;

use crate::limits::{INPUT_COUNTED_BYTES, TLS_SEAL_BYTES};
use crate::net_ring::{ConnectionId, NetOps};
use crate::port::ProtocolKind;
use crate::session::{Closing, Session};
use crate::tls::Stage;
use crate::weight::ClientWeight;
use keytide_engine::account::{OverLimit, Share};
use keytide_engine::subscription::ClientId;
use std::borrow::Cow;

/// One connection of this core.
pub struct Connection {
    /// Its id in the net ring.
    pub id: ConnectionId,
    /// What it is to the server.
    pub session: Session,
    /// Between the socket's bytes and the protocol's.
    pub transport: Transport,
    /// What it speaks.
    pub protocol: ProtocolState,
    /// Received and not yet consumed by the protocol.
    pub input: Input,
    /// The memory that `input` takes, in multiples of [`INPUT_COUNTED_BYTES`].
    input_share: Share,
    /// Its replies, in the order of its commands.
    pub replies: Replies,
    /// What leaves.
    pub output: Output,
    /// Why none of its commands run.
    pub stall: Option<Stall>,
    /// Its subscriber, since its first subscription.
    pub subscriber: Option<ClientId>,
    /// Whether it is on the core's list of connections to look at before the turn ends.
    is_listed: bool,
    /// Whether receiving is paused.
    pub is_paused: bool,
    /// How much its last commands took.
    pub weight: ClientWeight,
    /// Whether it is on the core's list of those with input left.
    pub has_turn: bool,
    /// Whether the client has ended its side: what it asked for is answered, and then it is closed.
    pub has_ended: bool,
    /// Whether the net ring has been told to close it.
    pub is_closed: bool,
}

/// Why a connection's commands wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// Until every reply it waits for has come.
    Replies,
    /// Until this core's shard is back.
    Shard,
    /// Until the client has taken enough of its output.
    Output,
    /// Until the end of a pause of all clients.
    Pause,
    /// Until its next turn: it has input left, and others wait.
    Turn,
}

impl Connection {
    /// A new connection.
    pub fn new(
        id: ConnectionId,
        session: Session,
        (transport, protocol): (Transport, ProtocolKind),
        input_share: Share,
    ) -> Connection {
        Connection {
            id,
            session,
            transport,
            protocol: ProtocolState::new(protocol),
            input: Input::default(),
            input_share,
            replies: Replies::default(),
            output: Output::default(),
            stall: None,
            subscriber: None,
            is_listed: false,
            is_paused: false,
            weight: ClientWeight::default(),
            has_turn: false,
            has_ended: false,
            is_closed: false,
        }
    }
}

impl Connection {
    /// Counts the memory that the input takes; tells whether it is anything to speak of.
    #[inline]
    pub fn count_input(&mut self) -> bool {
        let held = self.input.held_bytes() + self.protocol.held_bytes();
        let counted = (held / INPUT_COUNTED_BYTES * INPUT_COUNTED_BYTES) as u64;
        self.input_share.set(counted);
        counted > 0
    }

    /// Where all input takes as much memory as it may, and this connection's more than its share among so many clients:
    /// the error. Its input has to go then.
    #[cold]
    pub fn refuse_input(&self, clients: u64) -> Option<OverLimit> {
        let account = self.input_share.account();
        let is_over = account.is_full() && self.input_share.bytes() > account.limit() / clients.max(1);
        is_over.then(|| account.refuse(false))
    }

    /// The bytes of input that wait.
    pub fn pending_input(&self) -> usize {
        self.input.waiting().len()
    }

    /// Puts it on the core's list of connections to look at before the turn ends, once.
    #[inline]
    pub fn list(&mut self, listed: &mut Vec<ConnectionId>) {
        if !self.is_listed {
            self.is_listed = true;
            listed.push(self.id);
        }
    }

    /// Notes that it was taken off that list.
    #[inline]
    pub fn note_unlisted(&mut self) {
        self.is_listed = false;
    }

    /// Ends it with an error, which comes behind its replies.
    #[cold]
    pub fn end_with(&mut self, problem: Problem) {
        self.protocol.encode_problem(self.replies.here(self.output.ready()), problem);
        self.session.closing = Closing::AfterReplies;
    }

    /// The key that bytes which are about to be received will probably need first. A guess, for prefetching.
    #[inline]
    pub fn guess_key<'a>(&self, received: &'a [u8]) -> Option<&'a [u8]> {
        match self.transport {
            Transport::Plain => self.protocol.guess_key(received),
            Transport::Tls(_) => None,
        }
    }

    /// Whether anything waits for a send.
    #[inline]
    pub fn has_unsent(&self) -> bool {
        !self.output.is_drained() || self.transport.unsent_bytes() > 0
    }

    /// How many bytes are copied for the next send.
    #[inline]
    pub fn next_copied_bytes(&self) -> usize {
        match &self.transport {
            Transport::Plain => self.output.next_copied_bytes(),
            Transport::Tls(_) => self.output_bytes().min(TLS_SEAL_BYTES),
        }
    }

    /// Begins the next send, if there is something to send. No send may be in flight.
    #[inline]
    pub fn send(&mut self, ops: &mut NetOps) {
        if let Some(buffer) = self.transport.seal(|| self.output.take_next()) {
            self.output.send(ops, self.id, buffer);
        }
    }

    /// The bytes of output that the client has not taken, but for replies that are still on their way.
    #[inline]
    pub fn output_bytes(&self) -> usize {
        self.output.unsent_bytes() + self.transport.unsent_bytes() + self.replies.behind_bytes()
    }

    /// The memory of its buffers and of what it has queued, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        let queued = match &self.protocol {
            ProtocolState::Resp(resp) => resp.session.transaction.as_ref().map_or(0, |queued| queued.bytes()),
            ProtocolState::Web(_) => 0,
        };
        self.input.held_bytes() + self.output.spare_bytes() + self.output_bytes() + queued
    }

    /// Puts a reply, or a part of one, into its place among the replies. Owned bytes are moved where that is possible.
    #[inline]
    pub fn deliver<'a>(&mut self, number: u64, part: u16, bytes: impl Into<Cow<'a, [u8]>>) {
        self.replies.deliver(self.output.ready(), number, part, bytes);
    }

    /// Whether commands of the client wait, here or on another core, until the client has read more of its output. Unlike
    /// [`Connection::waits_for_sent`], it is false for a client that merely has more output to come.
    #[inline]
    pub fn is_stalled_by_output(&self) -> bool {
        self.stall == Some(Stall::Output) || !self.output.unacknowledged.is_empty()
    }

    /// Whether the end of the send in flight lets anything go on: the output itself, the client's commands, or the end of
    /// the connection.
    pub fn waits_for_sent(&self) -> bool {
        self.output.waits_for_sent()
            || self.transport.unsent_bytes() > 0
            || self.stall == Some(Stall::Output)
            || self.has_ended
            || self.session.closing != Closing::No
    }

    /// Whether shards work for any of its calls.
    pub fn has_jobs(&mut self) -> bool {
        self.protocol.calls().is_some_and(|calls| calls.has_jobs())
    }

    /// Whether it can be closed: at once where something broke; else once all that was asked for is answered and sent.
    pub fn is_finished(&self) -> bool {
        if self.session.closing != Closing::Now && self.transport.stage() == Stage::Failed {
            return !self.output.is_sending() && self.transport.unsent_bytes() == 0;
        }
        let is_answered = self.stall.is_none() && self.replies.waiting() == 0;
        let is_sent = !self.output.is_sending() && !self.has_unsent();
        match self.session.closing {
            Closing::Now => true,
            Closing::AfterReplies => self.replies.waiting() == 0 && is_sent,
            Closing::No => self.has_ended && is_answered && is_sent && !self.transport.is_late(),
        }
    }
}
