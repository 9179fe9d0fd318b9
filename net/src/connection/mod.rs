//! A connection: its input, its replies in order, its output, and why it stands still. Knows no command.

mod input;
mod output;
mod replies;
mod table;

pub use input::{Input, InputMemory, Pages};
pub use output::Output;
pub use replies::Replies;
pub use table::Connections;

use crate::limits::INPUT_COUNTED_BYTES;
use crate::net_ring::ConnectionId;
use crate::protocol::Encoding;
use crate::resp::{Parser, ParserLimits, Reply};
use crate::session::{Closing, Session};
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
    /// Where its parsing stands.
    pub parser: Parser,
    /// Received and not yet consumed: from a command's first byte.
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
    /// Until its next turn: it has input left, and others wait.
    Turn,
}

impl Connection {
    /// A new connection.
    pub fn new(id: ConnectionId, session: Session, limits: ParserLimits, input_share: Share) -> Connection {
        Connection {
            id,
            session,
            parser: Parser::new(limits),
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
        let counted = (self.input.held_bytes() / INPUT_COUNTED_BYTES * INPUT_COUNTED_BYTES) as u64;
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

    /// What messages to it are encoded as.
    #[inline]
    pub fn encoding(&self) -> Encoding {
        Encoding::Resp(self.session.protocol)
    }

    /// The bytes of output that the client has not taken, but for replies that are still on their way.
    #[inline]
    pub fn output_bytes(&self) -> usize {
        self.output.unsent_bytes() + self.replies.behind_bytes()
    }

    /// Where a reply is written that is made here.
    #[inline]
    pub fn reply(&mut self) -> Reply<'_> {
        Reply::new(self.replies.here(self.output.ready()), self.session.protocol)
    }

    /// Puts a reply, or a part of one, into its place among the replies. Owned bytes are moved where that is possible.
    #[inline]
    pub fn deliver<'a>(&mut self, number: u64, part: u16, bytes: impl Into<Cow<'a, [u8]>>) {
        self.replies.deliver(self.output.ready(), number, part, bytes);
    }

    /// Whether commands of its client wait, here or on another core, until that has taken more.
    #[inline]
    pub fn is_stalled_by_output(&self) -> bool {
        self.stall == Some(Stall::Output) || !self.output.unacknowledged.is_empty()
    }

    /// Whether there is something to do for it when its send is over.
    pub fn waits_for_sent(&self) -> bool {
        self.output.waits_for_sent()
            || self.stall == Some(Stall::Output)
            || self.has_ended
            || self.session.closing != Closing::No
    }

    /// Whether it can be closed: at once where something broke; else once all that was asked for is answered and sent.
    pub fn is_finished(&self) -> bool {
        let is_answered = self.stall.is_none() && self.replies.waiting() == 0;
        let is_sent = !self.output.is_sending() && self.output.is_drained();
        match self.session.closing {
            Closing::Now => true,
            Closing::AfterReplies => self.replies.waiting() == 0 && is_sent,
            Closing::No => self.has_ended && is_answered && is_sent,
        }
    }
}
