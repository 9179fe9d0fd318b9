//! A connection: bytes in, replies out, and why it stands still. Knows no command.

use crate::limits::{INPUT_COUNTED_BYTES, SEND_BYTES, SHARED_APART_BYTES};
use crate::net_ring::{ConnectionId, SendBuffer, SharedBytes};
use crate::replies::Replies;
use crate::resp::{Parser, ParserLimits};
use crate::session::{Closing, Session};
use crate::unread::ClientOutput;
use crate::weight::ClientWeight;
use keytide_engine::account::{OverLimit, Share};
use keytide_engine::position::ShardId;
use std::collections::VecDeque;
use std::rc::Rc;

/// One connection of this core.
pub struct Connection {
    /// Its id in the net ring.
    pub id: ConnectionId,
    /// What it is to the server.
    pub session: Session,
    /// Where its parsing stands.
    pub parser: Parser,
    /// Received and, from `input_start` on, not yet consumed: from a command's first byte.
    pub input: Vec<u8>,
    /// Where in `input` that is.
    pub input_start: usize,
    /// The memory that `input` takes, in multiples of [`INPUT_COUNTED_BYTES`].
    input_share: Share,
    /// Its replies, in order.
    pub replies: Replies,
    /// Why none of its commands run.
    pub stall: Option<Stall>,
    /// Whether it is on the core's list of connections to look at before the turn ends.
    pub is_listed: bool,
    /// Whether receiving is paused.
    pub is_paused: bool,
    /// Whether a send is in flight.
    pub is_sending: bool,
    /// How many bytes it has, while it is.
    pub sending_bytes: usize,
    /// Whether its subscriptions wait for room in its output.
    pub wants_room: bool,
    /// What it has to send before what is ready of its replies: what others send as well, and what of its own goes before
    /// that.
    queued: VecDeque<SendBuffer>,
    queued_bytes: usize,
    /// What the client has not taken, as its core counts it.
    pub unread: ClientOutput,
    /// Large replies that other cores have made and their makers do not know to be within the client's limit, by core, in
    /// bytes.
    pub unacknowledged: Vec<(ShardId, usize)>,
    /// How much its last commands took.
    pub weight: ClientWeight,
    /// Whether it is on the core's list of those with input left.
    pub has_turn: bool,
    /// A send's buffer that came back.
    pub spare: Vec<u8>,
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
            input: Vec::new(),
            input_start: 0,
            input_share,
            replies: Replies::default(),
            stall: None,
            is_listed: false,
            is_paused: false,
            is_sending: false,
            sending_bytes: 0,
            wants_room: false,
            queued: VecDeque::new(),
            queued_bytes: 0,
            unread: ClientOutput::default(),
            unacknowledged: Vec::new(),
            weight: ClientWeight::default(),
            has_turn: false,
            spare: Vec::new(),
            has_ended: false,
            is_closed: false,
        }
    }
}

impl Connection {
    /// Counts the memory that the input takes; tells whether it is anything to speak of.
    #[inline]
    pub fn count_input(&mut self) -> bool {
        let counted = (self.input.len() / INPUT_COUNTED_BYTES * INPUT_COUNTED_BYTES) as u64;
        self.input_share.set(counted);
        counted > 0
    }

    /// Where all input takes as much memory as it may, and this connection's more than its share among so many clients:
    /// the error. What it has is freed then.
    #[cold]
    pub fn drop_input(&mut self, clients: u64) -> Option<OverLimit> {
        let account = self.input_share.account();
        if !account.is_full() || self.input_share.bytes() <= account.limit() / clients.max(1) {
            return None;
        }
        let error = account.refuse(false);
        (self.input, self.input_start) = (Vec::new(), 0);
        self.count_input();
        Some(error)
    }

    /// The bytes of input that wait.
    pub fn pending_input(&self) -> usize {
        self.input.len() - self.input_start
    }

    /// The bytes of output that the kernel has not taken, without replies that wait for others.
    #[inline]
    pub fn unsent_bytes(&self) -> usize {
        self.queued_bytes + self.replies.ready().len() + if self.is_sending { self.sending_bytes } else { 0 }
    }

    /// The bytes of output that the kernel has not taken, but for replies that are still on their way.
    #[inline]
    pub fn output_bytes(&self) -> usize {
        self.unsent_bytes() + self.replies.behind_bytes()
    }

    /// What of its output is no reply that could still grow: queued, and being sent.
    #[inline]
    pub fn queued_or_sending_bytes(&self) -> usize {
        self.unsent_bytes() - self.replies.ready().len()
    }

    /// Queues what is ready, where that is much and has to wait for a send to end: so a send is never much longer than
    /// what one turn adds to it, and its memory is given back when it is over.
    #[inline]
    pub fn cut_sends(&mut self) {
        let bytes = self.replies.ready().len();
        if !self.is_sending || bytes < SEND_BYTES {
            return;
        }
        let mut ready = self.replies.take_ready(std::mem::take(&mut self.spare));
        if ready.capacity() - bytes > bytes / 4 {
            // It may wait for long, and would hold on to what it has grown into.
            ready = ready.as_slice().to_vec();
        }
        self.queue(ready.into());
    }

    /// Whether commands of its client wait, here or on another core, until that has taken more.
    #[inline]
    pub fn is_stalled_by_output(&self) -> bool {
        self.stall == Some(Stall::Output) || !self.unacknowledged.is_empty()
    }

    /// Counts a reply of another core until that core knows that the client has room for it.
    pub fn owe_acknowledgement(&mut self, core: ShardId, bytes: usize) {
        match self.unacknowledged.iter_mut().find(|owed| owed.0 == core) {
            Some(owed) => owed.1 += bytes,
            None => self.unacknowledged.push((core, bytes)),
        }
    }

    /// Adds what others send as well. A little behind something of its own is copied behind it.
    pub fn send_shared(&mut self, bytes: &Rc<SharedBytes>) {
        if !self.replies.ready().is_empty() {
            if bytes.len() < SHARED_APART_BYTES {
                self.replies.push_buffer().extend_from_slice(bytes);
                return;
            }
            let own = self.take_ready();
            self.queue(own);
        }
        self.queue(bytes.clone().into());
    }

    fn queue(&mut self, buffer: SendBuffer) {
        self.queued_bytes += buffer.len();
        self.queued.push_back(buffer);
    }

    fn take_ready(&mut self) -> SendBuffer {
        self.replies.take_ready(std::mem::take(&mut self.spare)).into()
    }

    /// Whether nothing of its output is still to be sent, but for what is being sent.
    #[inline]
    pub fn has_nothing_to_send(&self) -> bool {
        self.queued.is_empty() && self.replies.ready().is_empty()
    }

    /// How many bytes the kernel copies for the next send: those of buffers that others send as well are handed on.
    #[inline]
    pub fn next_send_copied_bytes(&self) -> usize {
        match self.queued.front() {
            Some(SendBuffer::Shared(_)) => 0,
            Some(SendBuffer::Own(buffer)) => buffer.len(),
            None => self.replies.ready().len(),
        }
    }

    /// What it sends next.
    #[inline]
    pub fn next_send(&mut self) -> Option<SendBuffer> {
        if let Some(buffer) = self.queued.pop_front() {
            self.queued_bytes -= buffer.len();
            return Some(buffer);
        }
        let is_ready = !self.replies.ready().is_empty();
        is_ready.then(|| self.take_ready())
    }

    /// Whether there is something to do for it when its send is over.
    pub fn waits_for_sent(&self) -> bool {
        self.is_stalled_by_output()
            || self.has_ended
            || self.session.closing != Closing::No
            || !self.has_nothing_to_send()
            || self.wants_room
    }

    /// Whether it can be closed: at once where something broke; else once all that was asked for is answered and sent.
    pub fn is_finished(&self) -> bool {
        let is_answered = self.stall.is_none() && self.replies.waiting() == 0;
        let is_sent = !self.is_sending && self.has_nothing_to_send();
        match self.session.closing {
            Closing::Now => true,
            Closing::AfterReplies => self.replies.waiting() == 0 && is_sent,
            Closing::No => self.has_ended && is_answered && is_sent,
        }
    }
}

/// The connections of one core, by their index in the net ring.
#[derive(Default)]
pub struct Connections {
    places: Vec<Option<Box<Connection>>>,
}

impl Connections {
    /// Adds a connection. Answers the one that had its place and is closed, though the net ring has not said so yet:
    /// places are given anew at once.
    #[must_use]
    pub fn insert(&mut self, connection: Connection) -> Option<Box<Connection>> {
        let index = connection.id.index() as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        self.places[index].replace(Box::new(connection))
    }

    /// The connection of an id, if it is still that one.
    #[inline]
    pub fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.places.get_mut(id.index() as usize)?;
        place.as_deref_mut().filter(|connection| connection.id == id)
    }

    /// Takes a connection out, to be put back with [`Connections::put`]: so that it and the rest of the core can be
    /// changed side by side.
    #[inline]
    pub fn take(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let place = self.places.get_mut(id.index() as usize)?;
        if place.as_ref().is_some_and(|connection| connection.id == id) { place.take() } else { None }
    }

    /// Puts a connection back.
    #[inline]
    pub fn put(&mut self, connection: Box<Connection>) {
        let index = connection.id.index() as usize;
        self.places[index] = Some(connection);
    }

    /// Forgets a connection.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.take(id)
    }

    /// All of them.
    pub fn iter(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.places.iter_mut().filter_map(|place| place.as_deref_mut())
    }
}
