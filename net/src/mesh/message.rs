//! Messages between cores: one batch per turn and pair of cores, its messages with their bytes in one arena.

use crate::access::{Usage, User};
use crate::channels::{self, Kind as ChannelKind, Step as ChannelStep};
use crate::groups::ask::{GroupAnswer, GroupAsk};
use crate::grpc::CallId;
use crate::limits::BATCH_BYTES;
use crate::net_ring::ConnectionId;
use crate::resp::{Args, CommandIndex, OwnedArgs, Protocol, Reply, Span};
use crate::slow_log::SlowCommand;
use crate::streams::{Job, Outcome};
use crate::tracking::{Caching, Redirect};
use crate::value::{PartWriter, ValueWriter};
use crate::weight::Weight;
use keytide_engine::fanout::{Ask, Fanned};
use keytide_engine::position::ShardId;
use keytide_engine::readers::{KeyReaders, ReaderId};
use keytide_engine::shard::LentShard;
use keytide_engine::stream_name::Database;
use std::ops::Range;
use std::sync::Arc;

/// The destination of a reply on the core that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The connection.
    pub connection: ConnectionId,
    /// The sequence number among its replies.
    pub number: u64,
    /// The part, for a reply that several cores produce.
    pub part: u16,
}

/// What the core that runs a command of the Redis protocol makes of its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyForm {
    /// The whole reply, encoded for a version of that protocol: the client's core only has to send it.
    Whole(Protocol),
    /// The values of one part, which the client's core merges with others and encodes: see [`crate::value`].
    Part,
}

impl ReplyForm {
    /// A whole reply, to be appended to `out`.
    ///
    /// # Panics
    /// For parts, which are values: see [`PartWriter`].
    pub fn reply(self, out: &mut Vec<u8>) -> Reply<'_> {
        match self {
            ReplyForm::Whole(protocol) => Reply::new(out, protocol),
            ReplyForm::Part => unreachable!("commands that wait, or run after the commit, make whole replies"),
        }
    }

    /// Appends an error in this form.
    pub fn error(self, out: &mut Vec<u8>, text: &str) {
        match self {
            ReplyForm::Whole(protocol) => Reply::new(out, protocol).error(text),
            ReplyForm::Part => PartWriter::new(out).error(text),
        }
    }
}

/// Where the outcome of a job goes, on the core that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobFor {
    /// The connection.
    pub connection: ConnectionId,
    /// Its call.
    pub call: CallId,
    /// The number that the call has given it.
    pub number: u32,
}

/// The client that a command runs for.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// What is made of the result.
    pub form: ReplyForm,
    /// The client's number.
    pub client: u64,
    /// The database that it has selected.
    pub database: Database,
    /// What the command has to do with tracking.
    pub caching: Caching,
    /// The cost of its last commands.
    pub weight: Weight,
}

/// A command that waits until it can run.
pub struct Request {
    /// The core that asks; for its own part of a command, the core itself.
    pub from: ShardId,
    /// The command.
    pub command: CommandIndex,
    /// What is made of the result.
    pub form: ReplyForm,
    /// The client's number.
    pub client: u64,
    /// The database that it has selected.
    pub database: Database,
    /// What the command has to do with tracking.
    pub caching: Caching,
    /// The destination of the reply.
    pub to: ReplyTo,
    /// Its arguments.
    pub args: OwnedArgs,
}

/// A message. Its arguments or bytes are in the batch.
pub enum Message {
    /// Run a command, given by its index in the table and its arguments.
    Run {
        /// The command.
        command: CommandIndex,
        /// The cost of the client's last commands.
        weight: Weight,
        /// What is made of the result.
        form: ReplyForm,
        /// The client's number.
        client: u64,
        /// The database that it has selected.
        database: Database,
        /// What the command has to do with tracking.
        caching: Caching,
        /// The destination of the reply.
        to: ReplyTo,
        /// The arguments, as a range of the batch's spans.
        args: Range<u32>,
    },
    /// A reply, or a part of one.
    Reply {
        /// The destination.
        to: ReplyTo,
        /// The reply, as a range of the batch's bytes.
        bytes: Range<u32>,
    },
    /// A large reply, or a large part of one: its memory is passed on to the client's core without a copy.
    LargeReply {
        /// The destination.
        to: ReplyTo,
        /// The reply.
        bytes: Box<Vec<u8>>,
    },
    /// A command of this connection took long, whatever its reply was.
    Heavy(ConnectionId),
    /// The sender coordinates a change over several shards and requests this core's shard.
    Lend,
    /// The requested shard.
    Lent(LentShard),
    /// The shard is returned.
    Return(LentShard),
    /// A key of the sender's shard has got a value, for which the receiver's command of this number waits.
    KeyReady(u64),
    /// The sender's command of this number waits no more for keys of the receiver's shard.
    EndKeyWait(u64),
    /// A connection's client has gone; its commands that wait here reply at once.
    Gone(ConnectionId),
    /// A connection's user was changed to this one; its commands that wait here end if that may not run them.
    Rights(ConnectionId, Arc<User>),
    /// The next command of this connection creates something that counts for its user, with this in use.
    Creator(ConnectionId, Arc<Usage>),
    /// A connection is closed: of its commands here only those that may change something still run.
    Closed(ConnectionId),
    /// A client has room again for this many bytes of counted replies.
    Acknowledged {
        /// The connection.
        connection: ConnectionId,
        /// The number of bytes.
        bytes: usize,
    },
    /// Do a job on the shard, before the turn is committed.
    Job(JobFor, Box<Job>),
    /// What has come of a job.
    JobDone(JobFor, Box<Outcome>),
    /// What a call asks of a consumer group of this core.
    Group(JobFor, Box<GroupAsk>),
    /// What a consumer group answers a call, or gives it.
    GroupAnswer(JobFor, Box<GroupAnswer>),
    /// A request of the sender's subscriptions to this core's shard.
    Ask(Ask),
    /// The sender's shard's events for this core's subscriptions.
    Fanned(Box<Fanned>),
    /// Clients of the sender have begun or ended subscriptions to channels.
    Channels {
        /// The change.
        step: ChannelStep,
        /// The connection that waits until this core knows; `None` if none does.
        waits: Option<ConnectionId>,
        /// The names, as a range of the batch's spans.
        names: Range<u32>,
    },
    /// This core's connection waits no more for the sender to know of its change of channels.
    ChannelsKnown(ConnectionId),
    /// A command of this core's client was slow.
    Slow(ConnectionId, Box<SlowCommand>),
    /// A key has changed that clients of this core have read which cache it.
    Invalidate(Box<Invalidation>),
    /// Keys of the sender's shard have changed whose changes clients of this core have asked for; each with who has changed it last,
    /// where that is to be known.
    Changed(Vec<(Box<[u8]>, Option<ReaderId>)>),
    /// All keys are gone: it is for all clients that cache.
    Flushed,
    /// A client of the sender has its messages about keys sent to one of this core.
    Redirected(Box<Redirected>),
    /// The client of this connection has its messages about keys sent to one that has gone.
    RedirectBroken(ConnectionId),
    /// A message was published for which this core has subscribers.
    Published {
        /// Whether the channel is a sharded one.
        kind: ChannelKind,
        /// The channel and the payload, as a range of the batch's spans.
        message: Range<u32>,
    },
}

/// A key that has changed, for those who have read it.
pub struct Invalidation {
    /// The key.
    pub key: Box<[u8]>,
    /// Those of the receiver who have read it.
    pub readers: KeyReaders,
    /// Who has changed it, where that is to be known.
    pub author: Option<ReaderId>,
}

/// A message about keys to a client, of another one that has it sent there.
pub struct Redirected {
    /// To whom it goes.
    pub to: Redirect,
    /// The connection of which it is.
    pub of: ConnectionId,
    /// The keys, as an array of the Redis protocol; `None` = all.
    pub keys: Option<Box<[u8]>>,
}

/// The messages of one turn from one core to another.
#[derive(Default)]
pub struct Batch {
    messages: Vec<Message>,
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// The bytes of its large replies.
    large_bytes: usize,
}

impl Batch {
    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The size of its arguments and replies in bytes.
    pub fn byte_count(&self) -> usize {
        self.bytes.len() + self.large_bytes
    }

    /// Adds a message without arguments.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    fn copy<'a>(&mut self, words: impl Iterator<Item = &'a [u8]>) -> Range<u32> {
        let first = self.spans.len() as u32;
        for word in words {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(word);
            self.spans.push(Span::new(start, self.bytes.len()));
        }
        first..self.spans.len() as u32
    }

    /// Adds a change of clients' channels, for which `waits` waits.
    pub fn channels<'a>(
        &mut self,
        step: ChannelStep,
        waits: Option<ConnectionId>,
        names: impl Iterator<Item = &'a [u8]>,
    ) {
        let names = self.copy(names);
        self.messages.push(Message::Channels { step, waits, names });
    }

    /// Adds a published message.
    pub fn published(&mut self, message: channels::Message<'_>) {
        let kind = message.kind;
        let message = self.copy([message.channel, message.payload].into_iter());
        self.messages.push(Message::Published { kind, message });
    }

    /// Adds a command with these arguments.
    pub fn run<'a>(&mut self, command: CommandIndex, asker: Asker, to: ReplyTo, args: impl Iterator<Item = &'a [u8]>) {
        let args = self.copy(args);
        let Asker { form, client, database, caching, weight } = asker;
        self.messages.push(Message::Run { command, weight, form, client, database, caching, to, args });
    }

    /// Adds a reply that `write` writes in this form. If it does not fit into a batch, of 4 GiB, it becomes an error.
    /// Returns its length in bytes.
    pub fn reply(&mut self, to: ReplyTo, form: ReplyForm, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len() as u32;
        write(&mut self.bytes);
        if self.bytes.len() > u32::MAX as usize {
            self.bytes.truncate(start as usize);
            form.error(&mut self.bytes, "ERR reply exceeds 4 GiB");
        }
        let length = self.bytes.len() - start as usize;
        if length >= BATCH_BYTES {
            // Most are alone in their batch, and their memory can go as it is.
            let bytes = if start == 0 { std::mem::take(&mut self.bytes) } else { self.bytes.split_off(start as usize) };
            self.large_bytes += length;
            self.messages.push(Message::LargeReply { to, bytes: Box::new(bytes) });
        } else {
            self.messages.push(Message::Reply { to, bytes: start..self.bytes.len() as u32 });
        }
        length
    }

    /// Takes the messages, to be read together with [`Batch::arena`].
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// The bytes that the messages' ranges refer to.
    pub fn arena(&self) -> Arena<'_> {
        Arena { bytes: &self.bytes, spans: &self.spans }
    }

    /// Clears it for reuse, keeping its memory unless that has grown large.
    pub fn recycle(mut self, messages: Vec<Message>) -> Batch {
        self.messages = messages;
        self.messages.clear();
        self.bytes.clear();
        self.bytes.shrink_to(BATCH_BYTES);
        self.large_bytes = 0;
        self.spans.clear();
        self.spans.shrink_to(BATCH_BYTES / size_of::<Span>());
        self
    }
}

/// The bytes of a batch.
#[derive(Clone, Copy)]
pub struct Arena<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Arena<'a> {
    /// A command's arguments.
    pub fn args(self, range: &Range<u32>) -> Args<'a> {
        Args::new(self.bytes, &self.spans[range.start as usize..range.end as usize])
    }

    /// A reply's bytes.
    pub fn bytes(self, range: &Range<u32>) -> &'a [u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }
}
