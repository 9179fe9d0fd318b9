//! The commands. Each is one [`Command`]: name, arity, flags, keys, summary and function, all in one place;
//! [`table::TABLE`] collects them from the families' lists. No code outside a command's own file knows its name.

mod absent;
pub mod access;
pub mod acl;
pub mod bitmap;
pub mod cdc;
pub mod connection;
mod context;
pub mod generic;
pub mod geo;
pub mod hash;
mod help;
pub mod hyperloglog;
pub mod keys;
pub mod list;
mod multi_pop;
pub mod options;
pub mod pubsub;
pub mod redis_stream;
mod refusal;
pub mod scripting;
pub mod secrets;
pub mod server;
pub mod set;
pub mod sorted;
pub mod statistics;
pub mod string;
pub mod table;
pub mod transaction;
mod waiting;
mod walk;

pub use access::{Access, ChannelArgs, StreamsRead};
pub use context::{
    CoreContext, DeferredState, GroupContext, HistoryContext, KeysContext, Progress, RespClient, SessionContext,
    SubscriptionContext, WaitContext, WaitFor, Waits,
};
pub use keys::{KeyUse, Keys, Places};
pub use refusal::{Answer, refusal_text, refuse};

use crate::channels::Step as ChannelStep;
use crate::gather::Merge;
use crate::resp::{Args, Reply};
use crate::server::Server;
use crate::value::PartWriter;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::Awaited;
use std::ops::Range;

/// One command, or one subcommand.
pub struct Command {
    /// Its name in lower case; a subcommand has its container's name in front, as `client|list`.
    pub name: &'static str,
    /// The number of arguments, including the name; if negative, the least number. For a subcommand, including both
    /// words.
    pub arity: i32,
    /// Its properties for clients, by Redis's names.
    pub flags: &'static [Flag],
    /// The positions of its keys.
    pub keys: Keys,
    /// What a user needs to run it.
    pub access: Access,
    /// A summary in one line, for `COMMAND DOCS`.
    pub summary: &'static str,
    /// The family, for `COMMAND DOCS`.
    pub group: &'static str,
    /// Where and how it runs.
    pub run: Run,
}

impl Command {
    /// Whether it may change a key.
    pub fn may_write(&self) -> bool {
        self.flags.contains(&Flag::Write)
    }
}

/// A property of a command, with Redis's name if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It may change a key.
    Write,
    /// It changes no key.
    Readonly,
    /// It may use more memory.
    Denyoom,
    /// It takes constant time.
    Fast,
    /// It is for administrators.
    Admin,
    /// It may be sent before AUTH.
    NoAuth,
    /// It runs at once even between MULTI and EXEC.
    Immediate,
    /// It is not for MULTI.
    NoMulti,
    /// It is not for scripts.
    NoScript,
    /// It may wait.
    Blocking,
    /// A RESP2 connection with subscriptions may send it.
    WhileSubscribed,
    /// It has to do with publish/subscribe.
    PubSub,
    /// Its keys cannot be derived from argument positions alone.
    MovableKeys,
}

impl Flag {
    /// The flag's name in `COMMAND`.
    pub fn name(self) -> &'static str {
        match self {
            Flag::Write => "write",
            Flag::Readonly => "readonly",
            Flag::Denyoom => "denyoom",
            Flag::Fast => "fast",
            Flag::Admin => "admin",
            Flag::NoAuth => "no_auth",
            Flag::Immediate => "immediate",
            Flag::NoMulti => "no_multi",
            Flag::NoScript => "noscript",
            Flag::Blocking => "blocking",
            Flag::WhileSubscribed => "while_subscribed",
            Flag::PubSub => "pubsub",
            Flag::MovableKeys => "movablekeys",
        }
    }
}

/// How a command runs on keys of several shards.
#[derive(Clone, Copy)]
pub enum Spread {
    /// Each shard runs it for its own keys; the parts are merged into the reply.
    Split {
        /// Runs it for the keys of one shard.
        part: RunPart,
        /// Merges the parts into one reply.
        merge: Merge,
    },
    /// The shards are lent to this core, which runs it once over all of them.
    Hold,
}

/// The function of a command on shards, which makes the whole reply.
pub type RunKeys = fn(&mut KeysContext<'_>, Args<'_>, &mut Reply<'_>);

/// The same function where it makes one shard's part of a reply: its values are encoded once all parts are merged. A command
/// that has both is one function over any [`ValueWriter`](crate::value::ValueWriter).
pub type RunPart = fn(&mut KeysContext<'_>, Args<'_>, &mut PartWriter<'_>);

/// The function of a command on shards that may wait for a key. It replies where it is done, and writes nothing where it
/// waits.
pub type RunWaiting = fn(&mut WaitContext<'_>, Args<'_>, &mut Reply<'_>) -> Progress;

/// Where and how a command runs.
pub enum Run {
    /// It only has subcommands.
    Container(&'static [&'static Command]),
    /// On the client's core, with its session.
    Session(fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>)),
    /// On the client's core: it selects the database of what follows, or returns the text of the error.
    Select(fn(Args<'_>, &Server) -> Result<Database, &'static str>),
    /// On the shards of its keys.
    Keys {
        /// Runs it on the shards of its keys.
        run: RunKeys,
        /// How it runs on several shards.
        spread: Spread,
    },
    /// On the shards of its keys, lent to this core if there are several; may wait there for a key, and runs again when
    /// that key gets a value.
    Waiting {
        /// Runs it on the shards of its keys.
        run: RunWaiting,
        /// The keys that it waits for.
        waits_for: Keys,
        /// The type of value that it waits for there.
        awaited: Awaited,
    },
    /// On one or several consecutive shards, each for itself; the parts are merged into the reply.
    Shards {
        /// Runs it where one shard is enough.
        run: RunKeys,
        /// Runs it on one shard of several.
        part: RunPart,
        /// The shards; the arguments alone determine the first, and the command works with any number of those after
        /// it.
        shards: fn(Args<'_>, &Server) -> Range<u16>,
        /// Merges the parts into one reply.
        merge: Merge,
    },
    /// On every shard, each for itself; the parts are merged into the reply.
    EachShard {
        /// Runs it where there is one shard.
        run: RunKeys,
        /// Runs it on one shard of several.
        part: RunPart,
        /// Merges the parts into one reply.
        merge: Merge,
    },
    /// Over all shards at one instant.
    AllShards(RunKeys),
    /// On every core, each for itself; the parts are merged into the reply.
    EachCore {
        /// Runs it on one core.
        run: fn(&mut CoreContext<'_>, Args<'_>, &mut PartWriter<'_>),
        /// Runs it in a transaction, where it is about its own client only; `None` if it is not for transactions.
        own: Option<fn(&mut SessionContext<'_>, Args<'_>, &mut Reply<'_>)>,
        /// Merges the parts into one reply.
        merge: Merge,
    },
    /// On the client's core after the turn's commit, once the frontier has passed everything acknowledged before.
    History(fn(&mut HistoryContext<'_>, Args<'_>, &mut Reply<'_>) -> Progress),
    /// As `History`, with the subscriptions of the client's core.
    Subscription(fn(&mut SubscriptionContext<'_, '_>, Args<'_>, &mut Reply<'_>) -> Progress),
    /// As `History`, on the core that owns the consumer group named by the arguments `key` and `group`, whose indexes
    /// are given.
    Group {
        /// Runs it there.
        run: fn(&mut GroupContext<'_>, Args<'_>, &mut Reply<'_>) -> Progress,
        /// The indexes of the arguments that name the group: its key pattern, its name.
        names: (usize, usize),
        /// Whether it creates the group, which then counts for the client's user.
        creates: bool,
    },
    /// A script, on the shards of its keys, or on all where it may use others.
    Script(scripting::ScriptCall),
    /// On the client's core: it publishes a message. It waits while many messages wait to be delivered.
    Publish(RunKeys),
    /// On the client's core: it changes the channels that the client is subscribed to, and all cores learn of it.
    Channels(ChannelStep),
    /// It starts, runs or discards the transaction of its connection: MULTI, EXEC, DISCARD.
    Transaction(transaction::Step),
}

impl Command {
    /// A subcommand's own word, such as `list` of `client|list`; `None` if no client can send it.
    pub fn subcommand(&self) -> Option<&'static str> {
        self.name.split_once('|').map(|(_, word)| word).filter(|word| !word.is_empty())
    }

    /// Its subcommands that have a word.
    pub fn subcommands(&self) -> impl Iterator<Item = &'static Command> + Clone {
        let all = if let Run::Container(subcommands) = self.run { subcommands } else { &[] };
        all.iter().copied().filter(|command| command.subcommand().is_some())
    }

    /// The function that makes one shard's part of its reply; `None` if its reply has no such parts.
    pub fn part(&self) -> Option<RunPart> {
        match self.run {
            Run::Keys { spread: Spread::Split { part, .. }, .. }
            | Run::Shards { part, .. }
            | Run::EachShard { part, .. } => Some(part),
            _ => None,
        }
    }

    /// Whether it accepts this number of arguments.
    #[inline]
    pub fn accepts(&self, args: usize) -> bool {
        if self.arity >= 0 { args == self.arity as usize } else { args >= self.arity.unsigned_abs() as usize }
    }

    /// Whether it has a flag.
    #[inline]
    pub fn is(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }
}
