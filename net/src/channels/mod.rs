//! Publish/subscribe: the channels of one core's clients, and how many subscribers the other cores have. Knows no protocol,
//! and not how messages cross.
//!
//! | module | what is in it |
//! |---|---|
//! | [`registry`] | channels and patterns by name: which cores have subscribers, and which clients of this core |
//! | [`clients`] | what each client of this core is subscribed to, and its change under way |
//! | [`messages`] | published messages on their way |
//!
//! Every core knows of each channel and pattern how many subscribers each core has. So PUBLISH is answered where it runs, and
//! a message goes to those cores only that have a subscriber for it, in the order in which its publisher's core ran the
//! commands. A client's change is told to all cores first, and answered when all know of it: so a message that is published
//! after SUBSCRIBE was answered reaches the subscriber, whichever core it is published on.

pub mod clients;
pub mod messages;
pub mod registry;

use clients::{Change, Clients, Row};
use keytide_engine::account::{OverLimit, Share};
use keytide_engine::position::ShardId;
pub use messages::Message;
use messages::{Cores, Messages};
use registry::{Names, Patterns};
use std::cell::RefCell;
use std::collections::HashSet;

use crate::access::User;
use crate::net_ring::ConnectionId;

/// What a client subscribes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Channels by name.
    Channel,
    /// Channels whose names match a pattern.
    Pattern,
    /// Sharded channels by name: the names of SSUBSCRIBE, which no pattern matches.
    Shard,
    /// All commands, of whatever client: what MONITOR shows. It has one name, the empty one.
    Monitor,
}

/// A change of subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What of.
    pub kind: Kind,
    /// Whether the client subscribes; if not, it unsubscribes.
    pub subscribes: bool,
}

/// How many channels, patterns and sharded channels a client is subscribed to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Channels.
    pub channels: usize,
    /// Patterns.
    pub patterns: usize,
    /// Sharded channels.
    pub shards: usize,
    /// All commands, once. They are no channel.
    pub monitors: usize,
}

impl Counts {
    /// All of them.
    pub fn total(self) -> usize {
        self.channels + self.patterns + self.shards
    }

    /// The count that Redis tells with a change of this kind: sharded channels have one of their own.
    pub fn told(self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels + self.patterns,
            Kind::Shard => self.shards,
            Kind::Monitor => self.monitors,
        }
    }
}

/// Publish/subscribe of one core.
pub struct Channels {
    core: ShardId,
    channels: Names,
    shards: Names,
    monitors: Names,
    /// Commands publish with the registry at hand, and matching keeps what it has learnt.
    patterns: RefCell<Patterns>,
    clients: Clients,
    outbox: RefCell<Messages>,
}

impl Channels {
    /// Nobody is subscribed to anything.
    pub fn new(core: ShardId) -> Channels {
        Channels {
            core,
            channels: Names::default(),
            shards: Names::default(),
            monitors: Names::default(),
            patterns: RefCell::default(),
            clients: Clients::default(),
            outbox: RefCell::default(),
        }
    }

    fn names(&self, kind: Kind) -> &Names {
        match kind {
            Kind::Shard => &self.shards,
            Kind::Monitor => &self.monitors,
            Kind::Channel | Kind::Pattern => &self.channels,
        }
    }

    /// Publishes a message, which leaves at the end of the turn. Returns how many subscribers it has: a client counts once for
    /// the channel, and once for each of its patterns that matches.
    pub fn publish(&self, kind: Kind, channel: &[u8], payload: &[u8]) -> u64 {
        let mut cores = Cores::new();
        let mut receivers = self.names(kind).add_cores(channel, &mut cores);
        if kind == Kind::Channel {
            receivers += self.patterns.borrow_mut().add_cores(channel, &mut cores);
        }
        if receivers > 0 {
            self.outbox.borrow_mut().push(kind, channel, payload, cores);
        }
        receivers
    }

    /// Whether any client of any core is told of all commands.
    #[inline]
    pub fn has_monitors(&self) -> bool {
        self.monitors.count() > 0
    }

    /// Whether any client of any core is subscribed to a channel or a pattern.
    pub fn has_subscribers(&self) -> bool {
        self.channels.count() > 0 || self.patterns.borrow().count() > 0
    }

    /// The bytes of the messages that wait to leave.
    pub fn published_bytes(&self) -> usize {
        self.outbox.borrow().bytes()
    }

    /// A mark for [`Channels::unpublish`].
    pub fn published_mark(&self) -> usize {
        self.outbox.borrow().mark()
    }

    /// Drops the messages that were published since the mark was taken: by a script that begins anew.
    pub fn unpublish(&self, mark: usize) {
        self.outbox.borrow_mut().truncate(mark);
    }

    /// Whether messages wait to leave.
    #[inline]
    pub fn has_published(&self) -> bool {
        !self.outbox.borrow().is_empty()
    }

    /// Hands on each published message, in order.
    pub fn take_published(&mut self, each: impl FnMut(Message<'_>, &Cores)) {
        self.outbox.get_mut().drain(each);
    }

    /// Calls `each` with every client of this core that is subscribed to a channel.
    pub fn each_subscriber(&self, kind: Kind, channel: &[u8], each: impl FnMut(ConnectionId)) {
        self.names(kind).here(channel).for_each(each);
    }

    /// Calls `each` with every pattern that matches a channel, and every client of this core that is subscribed to it.
    pub fn each_pattern(&self, channel: &[u8], each: impl FnMut(&[u8], ConnectionId)) {
        self.patterns.borrow_mut().each_here(channel, each);
    }

    /// The names of one kind that a client of this core is subscribed to.
    pub fn names_of(&self, connection: ConnectionId, kind: Kind) -> Vec<Box<[u8]>> {
        self.clients.names(connection, kind)
    }

    /// How many channels of changes a client of this core is subscribed to.
    pub fn changes_of(&self, connection: ConnectionId) -> usize {
        self.clients.changes_of(connection)
    }

    /// Begins a change of a client: counts what is new, and returns what the other cores have to know. No other change of the
    /// client may be under way.
    pub fn begin<'a>(
        &mut self,
        (connection, user): (ConnectionId, &User),
        share: impl FnOnce() -> Share,
        step: Step,
        names: impl Iterator<Item = &'a [u8]>,
    ) -> &Change {
        self.clients.begin((connection, user), share, step, names)
    }

    /// Ends a change that all cores know of. Returns what its client is told, in order, and its counts.
    pub fn finish(&mut self, connection: ConnectionId) -> Option<Finished> {
        let (change, rows) = self.clients.finish(connection)?;
        for name in &change.told {
            self.apply(connection, change.step, name);
        }
        let counts = self.clients.counts(connection);
        Some(Finished { step: change.step, rows, counts, refused: change.refused, place: change.place })
    }

    /// Notes that a change of a client waits for so many cores, and the place of its reply.
    pub fn wait_for(&mut self, connection: ConnectionId, cores: usize, place: u64) {
        self.clients.wait_for(connection, cores, place);
    }

    /// Notes that another core knows of a client's change. Returns whether all do.
    pub fn is_told(&mut self, connection: ConnectionId) -> bool {
        self.clients.is_told(connection)
    }

    /// Notes a change of one subscriber of a core.
    pub fn note(&mut self, core: ShardId, step: Step, name: &[u8]) {
        match step.kind {
            Kind::Channel => self.channels.note(core, step.subscribes, name),
            Kind::Shard => self.shards.note(core, step.subscribes, name),
            Kind::Monitor => self.monitors.note(core, step.subscribes, name),
            Kind::Pattern => self.patterns.get_mut().note(core, step.subscribes, name),
        }
    }

    /// Makes a change of one name for a client of this core.
    fn apply(&mut self, connection: ConnectionId, step: Step, name: &[u8]) {
        self.note(self.core, step, name);
        match (step.kind, step.subscribes) {
            (Kind::Pattern, true) => self.patterns.get_mut().insert(name, connection),
            (Kind::Pattern, false) => self.patterns.get_mut().remove(name, connection),
            (Kind::Channel, true) => self.channels.insert(name, connection),
            (Kind::Channel, false) => self.channels.remove(name, connection),
            (Kind::Monitor, true) => self.monitors.insert(name, connection),
            (Kind::Monitor, false) => self.monitors.remove(name, connection),
            (Kind::Shard, true) => self.shards.insert(name, connection),
            (Kind::Shard, false) => self.shards.remove(name, connection),
        }
    }

    /// Ends everything of a client, which was closed or has begun anew. Calls `told` with what the other cores have to know.
    pub fn end(&mut self, connection: ConnectionId, mut told: impl FnMut(Step, &[Box<[u8]>])) {
        let Some(ended) = self.clients.end(connection) else { return };
        let tells = |kind| Step { kind, subscribes: false };
        let known: HashSet<&Box<[u8]>> = ended.change.iter().flat_map(|change| &change.told).collect();
        for (kind, names) in ended.subscribed {
            for name in &names {
                self.apply(connection, tells(kind), name);
            }
            // What the others have been told already is not told twice.
            let untold: Vec<Box<[u8]>> = match &ended.change {
                Some(change) if change.step == tells(kind) => {
                    names.into_iter().filter(|name| !known.contains(name)).collect()
                }
                Some(_) | None => names,
            };
            told(tells(kind), &untold);
        }
        if let Some(change) = ended.change.filter(|change| change.step.subscribes) {
            told(tells(change.step.kind), &change.told);
        }
    }

    /// Whether a user may be subscribed to all that a client of this core is subscribed to.
    pub fn are_permitted(&self, connection: ConnectionId, user: &User) -> bool {
        self.clients.are_permitted(connection, user)
    }

    /// The channels with subscribers, by name.
    pub fn active(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.names(kind).active()
    }

    /// How many subscribers a channel has on all cores, patterns aside.
    pub fn subscribers(&self, kind: Kind, channel: &[u8]) -> u64 {
        self.names(kind).add_cores(channel, &mut Cores::new())
    }

    /// How many channels, sharded channels, and patterns have subscribers on any core, and how many clients of this core are
    /// subscribed to any.
    pub fn sizes(&self) -> [usize; 4] {
        [self.channels.count(), self.shards.count(), self.patterns.borrow().count(), self.clients.count()]
    }
}

/// A change that has ended.
pub struct Finished {
    /// The change.
    pub step: Step,
    /// What the client is told: a name, or none where there was nothing to unsubscribe from, and the count after it.
    pub rows: Vec<Row>,
    /// The client's counts.
    pub counts: Counts,
    /// The limit that has ended the change early.
    pub refused: Option<OverLimit>,
    /// The place of the reply, where the change has waited.
    pub place: Option<u64>,
}
