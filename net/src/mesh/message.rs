//! What crosses from core to core: one batch per turn and pair of cores, its messages with their bytes in one arena.

use crate::command::table::CommandIndex;
use crate::limits::BATCH_BYTES;
use crate::net_ring::ConnectionId;
use crate::resp::{Args, OwnedArgs, Protocol, Span};
use crate::weight::Weight;
use keytide_engine::fanout::{Ask, Fanned};
use keytide_engine::position::ShardId;
use keytide_engine::shard::LentShard;
use std::ops::Range;

/// Where a reply belongs: on the core that asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The connection.
    pub connection: ConnectionId,
    /// The place among its replies.
    pub number: u64,
    /// Which part of a reply that several cores make.
    pub part: u16,
}

/// For whom a command runs.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// What the reply is encoded for.
    pub protocol: Protocol,
    /// The client, by its number.
    pub client: u64,
    /// How much its last commands took.
    pub weight: Weight,
}

/// A command that is kept until it can run.
pub struct Request {
    /// The core that asks; a core's own number for its own part.
    pub from: ShardId,
    /// Which command.
    pub command: CommandIndex,
    /// What the reply is encoded for.
    pub protocol: Protocol,
    /// The client that asks, by its number.
    pub client: u64,
    /// Where the reply goes.
    pub to: ReplyTo,
    /// Its arguments.
    pub args: OwnedArgs,
}

/// One message. Its arguments or bytes lie in the batch.
pub enum Message {
    /// Run a command; a command is its place in the table and its arguments.
    Run {
        /// Which one.
        command: CommandIndex,
        /// How much the client's last commands took.
        weight: Weight,
        /// What the reply is encoded for.
        protocol: Protocol,
        /// The client that asks, by its number.
        client: u64,
        /// Where the reply goes.
        to: ReplyTo,
        /// The arguments, as a range of the batch's spans.
        args: Range<u32>,
    },
    /// A reply, or a part of one.
    Reply {
        /// Where it goes.
        to: ReplyTo,
        /// The reply, as a range of the batch's bytes.
        bytes: Range<u32>,
    },
    /// A large reply, or a large part of one: its memory goes on to the client as it is.
    LargeReply {
        /// Where it goes.
        to: ReplyTo,
        /// The reply.
        bytes: Box<Vec<u8>>,
    },
    /// A command of this connection took long, whatever its reply was.
    Heavy(ConnectionId),
    /// The sender coordinates a change over several shards and asks for this core's.
    Lend,
    /// The shard that was asked for.
    Lent(LentShard),
    /// The shard comes back.
    Return(LentShard),
    /// Nobody listens on a connection any more; its commands that wait here reply at once.
    Gone(ConnectionId),
    /// A connection is closed: of its commands here only those run that may change something.
    Closed(ConnectionId),
    /// A client has room again for replies of so many bytes that were counted.
    Acknowledged {
        /// Its connection.
        connection: ConnectionId,
        /// How many bytes.
        bytes: usize,
    },
    /// What the sender's subscriptions ask of this core's shard.
    Ask(Ask),
    /// What the sender's shard has for this core's subscriptions.
    Fanned(Box<Fanned>),
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
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The bytes of arguments and replies in it.
    pub fn byte_count(&self) -> usize {
        self.bytes.len() + self.large_bytes
    }

    /// Adds a message without arguments.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
    }

    /// Adds a command with these arguments.
    pub fn run<'a>(&mut self, command: CommandIndex, asker: Asker, to: ReplyTo, args: impl Iterator<Item = &'a [u8]>) {
        let first = self.spans.len() as u32;
        for argument in args {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(argument);
            self.spans.push(Span::new(start, self.bytes.len()));
        }
        let args = first..self.spans.len() as u32;
        let Asker { protocol, client, weight } = asker;
        self.messages.push(Message::Run { command, weight, protocol, client, to, args });
    }

    /// Adds a reply, which `encode` writes. One that does not fit a batch, of 4 GiB, becomes an error. Answers its length
    /// in bytes.
    pub fn reply(&mut self, to: ReplyTo, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        let start = self.bytes.len() as u32;
        encode(&mut self.bytes);
        if self.bytes.len() > u32::MAX as usize {
            self.bytes.truncate(start as usize);
            self.bytes.extend_from_slice(b"-ERR reply exceeds 4 GiB\r\n");
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

    /// Takes the messages out, to be read together with [`Batch::arena`].
    pub fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// What the messages' ranges point into.
    pub fn arena(&self) -> Arena<'_> {
        Arena { bytes: &self.bytes, spans: &self.spans }
    }

    /// Empties it for another use, keeping its memory unless that has grown large.
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
