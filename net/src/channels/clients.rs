//! What each client of one core is subscribed to, and the change that it waits for.

use super::{Counts, Kind, Step};
use crate::access::User;
use crate::changes::is_of_changes;
use crate::limits::CHANNEL_BYTES;
use crate::net_ring::ConnectionId;
use keytide_engine::account::{OverLimit, Owned, Share};
use std::collections::{HashMap, HashSet};

/// What a client is told of a change: a name, or none where there was nothing to unsubscribe from, and its count after it.
pub type Row = (Option<Box<[u8]>>, usize);

/// The names of one kind, with their place in the accounts of the client's user.
type Subscribed = HashMap<Box<[u8]>, Owned, foldhash::fast::RandomState>;

/// A change of a client.
pub struct Change {
    /// The change.
    pub step: Step,
    /// The names for which it changes anything, which the other cores have to know.
    pub told: Vec<Box<[u8]>>,
    /// All names, in order.
    names: Vec<Box<[u8]>>,
    owned: Vec<Owned>,
    /// The limit that has ended it early.
    pub refused: Option<OverLimit>,
    /// How many cores do not know of it yet.
    missing: usize,
    /// The place of the reply, where it waits.
    pub place: Option<u64>,
}

struct Client {
    channels: Subscribed,
    patterns: Subscribed,
    shards: Subscribed,
    monitors: Subscribed,
    /// How many of the channels are of changes.
    of_changes: usize,
    /// The memory of all of them.
    share: Share,
    change: Option<Change>,
}

impl Client {
    fn of(&mut self, kind: Kind) -> &mut Subscribed {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
            Kind::Monitor => &mut self.monitors,
        }
    }

    fn counts(&self) -> Counts {
        let (channels, patterns) = (self.channels.len(), self.patterns.len());
        Counts { channels, patterns, shards: self.shards.len(), monitors: self.monitors.len() }
    }
}

/// What was left of a client that has ended.
pub struct Ended {
    /// What it was subscribed to.
    pub subscribed: [(Kind, Vec<Box<[u8]>>); 4],
    /// The change that it waited for.
    pub change: Option<Change>,
}

/// The clients of one core that are subscribed to anything, or about to be.
#[derive(Default)]
pub struct Clients(HashMap<ConnectionId, Client, foldhash::fast::RandomState>);

/// The memory that a subscription to this name takes, in bytes.
fn bytes_of(name: &[u8]) -> u64 {
    CHANNEL_BYTES + 3 * name.len() as u64
}

impl Clients {
    /// Begins a change: see [`Channels::begin`](super::Channels::begin).
    pub fn begin<'a>(
        &mut self,
        (connection, user): (ConnectionId, &User),
        share: impl FnOnce() -> Share,
        step: Step,
        names: impl Iterator<Item = &'a [u8]>,
    ) -> &Change {
        let Step { kind, subscribes } = step;
        let new = || Client {
            channels: Subscribed::default(),
            patterns: Subscribed::default(),
            shards: Subscribed::default(),
            monitors: Subscribed::default(),
            of_changes: 0,
            share: share(),
            change: None,
        };
        let client = self.0.entry(connection).or_insert_with(new);
        let mut change = Change {
            step,
            told: Vec::new(),
            names: Vec::new(),
            owned: Vec::new(),
            refused: None,
            missing: 0,
            place: None,
        };
        let owner = &user.usage().subscriptions;
        let mut told = HashSet::new();
        for name in names {
            let is_known = client.of(kind).contains_key(name) == subscribes || told.contains(name);
            if !is_known && subscribes {
                let taken = client.share.take(bytes_of(name)).and_then(|()| {
                    owner.take(bytes_of(name)).inspect_err(|_| client.share.set(client.share.bytes() - bytes_of(name)))
                });
                match taken {
                    Ok(owned) => change.owned.push(owned),
                    Err(over) => {
                        change.refused = Some(over);
                        break;
                    }
                }
            }
            if !is_known {
                told.insert(name);
                change.told.push(name.into());
            }
            change.names.push(name.into());
        }
        client.change.insert(change)
    }

    /// The names of one kind that a client is subscribed to.
    pub fn names(&self, connection: ConnectionId, kind: Kind) -> Vec<Box<[u8]>> {
        let Some(client) = self.0.get(&connection) else { return Vec::new() };
        let names = match kind {
            Kind::Channel => &client.channels,
            Kind::Pattern => &client.patterns,
            Kind::Shard => &client.shards,
            Kind::Monitor => &client.monitors,
        };
        names.keys().cloned().collect()
    }

    /// Notes for how many cores a change waits, and the place of its reply.
    pub fn wait_for(&mut self, connection: ConnectionId, cores: usize, place: u64) {
        if let Some(change) = self.0.get_mut(&connection).and_then(|client| client.change.as_mut()) {
            (change.missing, change.place) = (cores, Some(place));
        }
    }

    /// Notes that another core knows of a change. Returns whether all do.
    pub fn is_told(&mut self, connection: ConnectionId) -> bool {
        let change = self.0.get_mut(&connection).and_then(|client| client.change.as_mut());
        change.is_some_and(|change| {
            change.missing = change.missing.saturating_sub(1);
            change.missing == 0
        })
    }

    /// Carries a change out. Returns it, with what the client is told.
    pub fn finish(&mut self, connection: ConnectionId) -> Option<(Change, Vec<Row>)> {
        let client = self.0.get_mut(&connection)?;
        let mut change = client.change.take()?;
        let Step { kind, subscribes } = change.step;
        let mut owned = change.owned.drain(..);
        let mut rows = Vec::with_capacity(change.names.len());
        for name in std::mem::take(&mut change.names) {
            if subscribes && !client.of(kind).contains_key(&name) {
                if let Some(owned) = owned.next() {
                    client.of(kind).insert(name.clone(), owned);
                    client.of_changes += usize::from(kind == Kind::Channel && is_of_changes(&name));
                }
            } else if !subscribes && client.of(kind).remove(&name).is_some() {
                client.of_changes -= usize::from(kind == Kind::Channel && is_of_changes(&name));
                client.share.set(client.share.bytes().saturating_sub(bytes_of(&name)));
            }
            rows.push((Some(name), client.counts().told(kind)));
        }
        drop(owned);
        if rows.is_empty() && change.refused.is_none() {
            rows.push((None, client.counts().told(kind)));
        }
        if client.counts() == Counts::default() {
            self.0.remove(&connection);
        }
        Some((change, rows))
    }

    /// A client's counts.
    pub fn counts(&self, connection: ConnectionId) -> Counts {
        self.0.get(&connection).map_or(Counts::default(), Client::counts)
    }

    /// How many channels of changes a client is subscribed to.
    pub fn changes_of(&self, connection: ConnectionId) -> usize {
        self.0.get(&connection).map_or(0, |client| client.of_changes)
    }

    /// Forgets a client.
    pub fn end(&mut self, connection: ConnectionId) -> Option<Ended> {
        let client = self.0.remove(&connection)?;
        let names = |subscribed: Subscribed| subscribed.into_keys().collect::<Vec<_>>();
        Some(Ended {
            subscribed: [
                (Kind::Channel, names(client.channels)),
                (Kind::Pattern, names(client.patterns)),
                (Kind::Shard, names(client.shards)),
                (Kind::Monitor, names(client.monitors)),
            ],
            change: client.change,
        })
    }

    /// Whether a user may be subscribed to all of a client's names.
    pub fn are_permitted(&self, connection: ConnectionId, user: &User) -> bool {
        let Some(client) = self.0.get(&connection) else { return true };
        let waiting = |kind: Kind| {
            let change = client.change.as_ref().filter(move |change| change.step == Step { kind, subscribes: true });
            change.into_iter().flat_map(|change| &change.told)
        };
        client.channels.keys().chain(waiting(Kind::Channel)).all(|name| user.may_use_channel(name))
            && client.shards.keys().chain(waiting(Kind::Shard)).all(|name| user.may_use_channel(name))
            && client.patterns.keys().chain(waiting(Kind::Pattern)).all(|name| user.may_use_channel_pattern(name))
    }

    /// How many clients are subscribed to anything, or about to be.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}
