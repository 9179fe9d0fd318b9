//! Client-side caching (CLIENT TRACKING): what a client has asked for, and what all cores share of it. Knows no command, and not
//! how messages cross.
//!
//! | module | what is in it |
//! |---|---|
//! | [`shared`] | what all cores share: how many clients track keys, and the prefixes of those that want all changes |
//!
//! By default a client is told of keys that it has read: the shard of such a key notes the client as a reader of it
//! ([`readers`](keytide_engine::readers)). With BCAST it is told of every change of keys with its prefixes. Either way the core
//! that has the shard sends what is to be told to the client's core, behind the commit, which words it. There it comes behind every
//! reply that is under way: so a client that is told of a key has the values of its earlier reads already, whatever way they took.

pub mod shared;

pub use shared::{Prefixes, SharedTracking};

use crate::net_ring::ConnectionId;
use keytide_engine::account::{OverLimit, Share};
use keytide_engine::position::ShardId;
use keytide_engine::readers::ReaderId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a command of a client has to do with tracking. It crosses to the core that runs the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caching {
    /// Whether the client is told of changes of the keys that the command reads.
    pub remembers: bool,
    /// Whether it is to be known who has made its changes: the client is not told of its own.
    pub is_author: bool,
    /// Whether the command does not tell eviction that keys are used.
    pub leaves_use: bool,
}

impl Caching {
    /// Of a command of a client that does not cache.
    pub const NONE: Caching = Caching { remembers: false, is_author: false, leaves_use: false };

    /// With the client that it is of.
    #[inline]
    pub fn of(self, core: ShardId, connection: ConnectionId) -> Option<Caller> {
        let is_any = self.remembers || self.is_author || self.leaves_use;
        is_any.then(|| Caller { id: reader(core, connection), caching: self })
    }
}

/// The client of a command, where tracking has to do with it.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The client.
    pub id: ReaderId,
    /// What is of interest of it.
    pub caching: Caching,
}

/// Of which keys a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Of those that it reads.
    Reads,
    /// Of those that it reads with the command behind CLIENT CACHING YES.
    OptIn,
    /// Of those that it reads, but for the command behind CLIENT CACHING NO.
    OptOut,
    /// Of those with its prefixes.
    Broadcast,
}

/// The client that gets the messages of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Its number.
    pub client: u64,
    /// Its core.
    pub core: ShardId,
    /// Its connection there.
    pub connection: ConnectionId,
}

impl Redirect {
    /// The client as a reader of keys.
    pub fn reader(self) -> ReaderId {
        reader(self.core, self.connection)
    }
}

/// A client as a reader of keys.
#[inline]
fn reader(core: ShardId, connection: ConnectionId) -> ReaderId {
    ReaderId { core, number: connection.to_u64() }
}

/// What a client that tracks keys has asked for. Counted while it lives.
#[derive(Debug)]
pub struct Tracking {
    shared: Arc<SharedTracking>,
    /// The client.
    pub id: ReaderId,
    /// Of which keys it is told.
    pub mode: Mode,
    /// Whether it is not told of its own changes.
    pub is_silent: bool,
    /// Who gets its messages; itself if none.
    pub redirect: Option<Redirect>,
    /// Whether that client was gone when there was a message.
    pub is_broken: bool,
    /// Of a client that broadcasts.
    prefixes: BTreeSet<Box<[u8]>>,
    /// The memory of these.
    share: Share,
    /// Whether CLIENT CACHING was given for the next command.
    pub is_given: bool,
    /// Whether it was given for the present one.
    was_given: bool,
}

/// What a prefix takes beside its bytes, twice: here, and in what all cores share.
const PREFIX_BYTES: usize = 256;

impl Tracking {
    /// A client that begins to track keys.
    pub fn new(shared: Arc<SharedTracking>, id: ReaderId, share: Share) -> Tracking {
        shared.count_in();
        Tracking {
            shared,
            id,
            mode: Mode::Reads,
            is_silent: false,
            redirect: None,
            is_broken: false,
            prefixes: BTreeSet::new(),
            share,
            is_given: false,
            was_given: false,
        }
    }

    /// The prefixes, in order.
    pub fn prefixes(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.prefixes.iter().map(|prefix| &**prefix)
    }

    /// Adds prefixes; none are the empty one. From when this returns every core tells of changes of keys with them.
    ///
    /// # Errors
    /// If the prefixes of all clients take too much memory. Then none is added.
    pub fn add_prefixes(&mut self, prefixes: &[&[u8]]) -> Result<(), OverLimit> {
        let all = if prefixes.is_empty() { &[&b""[..]][..] } else { prefixes };
        let new: BTreeSet<&[u8]> = all.iter().copied().filter(|prefix| !self.prefixes.contains(*prefix)).collect();
        self.share.take_own(new.iter().map(|prefix| (2 * prefix.len() + PREFIX_BYTES) as u64).sum())?;
        self.shared.add(self.id, new.iter().copied());
        self.prefixes.extend(new.into_iter().map(Box::from));
        Ok(())
    }

    /// Sets what the client asks for anew.
    pub fn set(&mut self, mode: Mode, is_silent: bool, redirect: Option<Redirect>) {
        (self.mode, self.is_silent, self.redirect, self.is_broken) = (mode, is_silent, redirect, false);
    }

    /// Whether CLIENT CACHING was given for what runs.
    pub fn has_given(&self) -> bool {
        self.is_given || self.was_given
    }

    /// What the command has to do with tracking that runs, or runs next in a transaction.
    pub fn caching(&self) -> Caching {
        let remembers = match self.mode {
            Mode::Reads => true,
            Mode::OptIn => self.has_given(),
            Mode::OptOut => !self.has_given(),
            Mode::Broadcast => false,
        };
        Caching { remembers, is_author: self.is_silent, leaves_use: false }
    }

    /// Begins a command.
    #[inline]
    pub fn begin_command(&mut self) {
        self.was_given = self.is_given;
    }

    /// Ends a command that is not CLIENT and not within a transaction: what CLIENT CACHING has said was for it, also where it runs
    /// later.
    #[inline]
    pub fn end_command(&mut self) {
        self.is_given = false;
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.shared.count_out();
        self.shared.remove(self.id, self.prefixes.iter().map(|prefix| &**prefix));
    }
}
