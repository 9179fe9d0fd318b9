//! Client-side caching: what is told of a shard's changes crosses to the cores of the clients that cache, and is written there.
//! What it means is in the room [`tracking`](crate::tracking).
//!
//! ```text
//!   GET ─► shard: its client is a reader of the key
//!   SET ─► shard: the key's readers are to be told ─► commit ─► lanes to their cores ─► outputs, behind replies under way
//! ```
//!
//! What is to be told stays with the shard also while that is lent, and leaves from its own core, as the replies to commands that
//! were sent there do: in order. Where a client has replies under way from other cores, or parts of one, the message comes behind
//! them. So whoever is told that a key has changed has the reply with its earlier value already.

use super::Core;
use crate::command::Flag;
use crate::command::table::TABLE;
use crate::connection::{Connection, ProtocolState, RespSession};
use crate::limits::SHARED_APART_BYTES;
use crate::mesh::message::{Invalidation, Message, Redirected};
use crate::net_ring::ConnectionId;
use crate::resp::{Protocol, tracking as encode};
use crate::session::Closing;
use crate::tracking::{Mode, Prefixes, Redirect, Tracking};
use keytide_engine::position::ShardId;
use keytide_engine::readers::{KeyReaders, ReaderId, Told, Wanted};
use keytide_engine::stream_name::Database;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A key that has changed, and who has changed it last, where that is to be known.
type ChangedKey = (Box<[u8]>, Option<ReaderId>);

/// The prefixes of all clients that want all changes, as this core saw them last.
#[derive(Default)]
pub(super) struct KnownPrefixes {
    version: u64,
    all: Arc<Prefixes>,
}

/// The tracking of a connection, if it does.
fn tracking_of(connection: &mut Connection) -> Option<&mut Tracking> {
    match &mut connection.protocol {
        ProtocolState::Resp(resp) => resp.session.tracking.as_deref_mut(),
        ProtocolState::Web(_) => None,
    }
}

/// The readers of each core, which stand together.
fn by_core(readers: &[ReaderId]) -> impl Iterator<Item = (ShardId, &[ReaderId])> {
    readers.chunk_by(|one, other| one.core == other.core).map(|of_core| (of_core[0].core, of_core))
}

impl Core {
    /// What this core's shard notes for clients that cache, and of how many keys.
    #[inline]
    pub(super) fn wanted_of_readers(&mut self) -> (Wanted, usize) {
        let tracking = &self.server.tracking;
        if tracking.clients() == 0 {
            return (Wanted::default(), 0);
        }
        let keys_max = tracking.keys_max().div_ceil(self.server.shards().into()) as usize;
        let of_all = !self.known_prefixes().is_empty();
        (Wanted { of_readers: true, of_all }, keys_max)
    }

    /// The prefixes now.
    fn known_prefixes(&mut self) -> &Arc<Prefixes> {
        let Core { server, prefixes, .. } = self;
        let version = server.tracking.version();
        if prefixes.version != version {
            *prefixes = KnownPrefixes { version, all: server.tracking.prefixes() };
        }
        &prefixes.all
    }

    /// Tells clients that cache of the shard's changes. To be called behind a commit, before the shard may leave.
    #[inline]
    pub(super) fn tell_readers(&mut self) {
        if self.shard.as_ref().is_some_and(|shard| shard.readers().has_told()) {
            self.tell_noted();
        }
    }

    #[cold]
    fn tell_noted(&mut self) {
        let Some(shard) = &mut self.shard else { return };
        let mut told = Vec::new();
        shard.readers_mut().take_told(|one| told.push(one));
        let changed: Vec<ChangedKey> = shard.readers_mut().take_changed().collect();
        for one in told {
            match one {
                Told::Key(key, readers, author) => self.tell_readers_of(&key, &readers, author),
                // All shards note it, and one tells of it.
                Told::Flush if self.id == ShardId(0) => {
                    self.tell_all(|| Message::Flushed);
                    self.invalidate_all();
                }
                Told::Flush => {}
            }
        }
        if !changed.is_empty() {
            self.tell_changed(changed);
        }
    }

    fn tell_readers_of(&mut self, key: &[u8], readers: &[ReaderId], author: Option<ReaderId>) {
        for (core, of_core) in by_core(readers) {
            let invalidation = Invalidation { key: key.into(), readers: KeyReaders::from_slice(of_core), author };
            if core == self.id {
                self.invalidate(&invalidation);
            } else {
                self.lanes.to(core).push(Message::Invalidate(Box::new(invalidation)));
            }
        }
    }

    /// Sends changed keys to the cores whose clients have asked for them.
    fn tell_changed(&mut self, changed: Vec<ChangedKey>) {
        let prefixes = self.known_prefixes().clone();
        let mut keys_of: BTreeMap<ShardId, Vec<ChangedKey>> = BTreeMap::new();
        for (name, author) in changed {
            let key = Database::key_of(&name);
            let mut cores: Vec<ShardId> = Vec::new();
            prefixes.each_of(key, |_, readers| cores.extend(by_core(readers).map(|(core, _)| core)));
            cores.sort_unstable();
            cores.dedup();
            cores.into_iter().for_each(|core| keys_of.entry(core).or_default().push((key.into(), author)));
        }
        for (core, keys) in keys_of {
            if core == self.id {
                self.broadcast(&keys);
            } else {
                self.lanes.to(core).push(Message::Changed(keys));
            }
        }
    }

    /// Tells this core's clients of the changed keys that have their prefixes: a message for each prefix.
    pub(super) fn broadcast(&mut self, changed: &[ChangedKey]) {
        let (prefixes, own) = (self.known_prefixes().clone(), self.id);
        /// Who is told of a prefix, and the keys with who has changed each.
        type OfPrefix<'a> = (&'a [ReaderId], BTreeMap<&'a [u8], Option<ReaderId>>);
        let mut of_prefix: BTreeMap<&[u8], OfPrefix<'_>> = BTreeMap::new();
        for (key, author) in changed {
            prefixes.each_of(key, |prefix, readers| {
                let (_, keys) = of_prefix.entry(prefix).or_insert((readers, BTreeMap::new()));
                keys.insert(key, *author);
            });
        }
        for (readers, keys) in of_prefix.values() {
            let all = encode::keys(keys.keys().copied());
            let here = by_core(readers).filter(|(core, _)| *core == own).flat_map(|(_, readers)| readers);
            for reader in here {
                let id = ConnectionId::from_u64(reader.number);
                let Some(tracking) = self.connections.get(id).and_then(tracking_of) else { continue };
                let has_own = tracking.is_silent && keys.values().any(|author| *author == Some(*reader));
                if !has_own {
                    self.tell_tracker(id, Some(&all));
                    continue;
                }
                let others = keys.iter().filter(|(_, author)| **author != Some(*reader)).map(|(key, _)| *key);
                let others: Vec<&[u8]> = others.collect();
                if !others.is_empty() {
                    self.tell_tracker(id, Some(&encode::keys(others.into_iter())));
                }
            }
        }
    }

    /// Tells clients of this core that a key has changed which they have read.
    pub(super) fn invalidate(&mut self, invalidation: &Invalidation) {
        let keys = encode::keys(std::iter::once(Database::key_of(&invalidation.key)));
        for reader in &invalidation.readers {
            let id = ConnectionId::from_u64(reader.number);
            let Some(tracking) = self.connections.get(id).and_then(tracking_of) else { continue };
            let is_own = tracking.is_silent && invalidation.author == Some(*reader);
            // What it has read before it broadcasts is of no interest any more, as in Redis.
            if tracking.mode != Mode::Broadcast && !is_own {
                self.tell_tracker(id, Some(&keys));
            }
        }
    }

    /// Tells all clients of this core that cache that all keys are gone.
    pub(super) fn invalidate_all(&mut self) {
        let all = self.connections.iter().filter_map(|connection| {
            let id = connection.id;
            tracking_of(connection).map(|_| id)
        });
        let all: Vec<ConnectionId> = all.collect();
        all.into_iter().for_each(|id| self.tell_tracker(id, None));
    }

    /// Tells a client, or the one that gets its messages, of keys; `None` = all.
    fn tell_tracker(&mut self, id: ConnectionId, keys: Option<&[u8]>) {
        let Some(tracking) = self.connections.get(id).and_then(tracking_of) else { return };
        match tracking.redirect {
            None => {
                self.write_message(id, false, |out, protocol| encode::invalidated(out, protocol, keys));
            }
            Some(to) if to.core != self.id => {
                let message = Redirected { to, of: id, keys: keys.map(Box::from) };
                self.lanes.to(to.core).push(Message::Redirected(Box::new(message)));
            }
            Some(to) => {
                if !self.write_redirected(to, keys) {
                    self.note_redirect_broken(id);
                }
            }
        }
    }

    /// Takes a message of another core's client.
    pub(super) fn take_redirected(&mut self, from: ShardId, message: &Redirected) {
        if !self.write_redirected(message.to, message.keys.as_deref()) {
            self.lanes.to(from).push(Message::RedirectBroken(message.of));
        }
    }

    /// Writes a message to the client that gets those of another one. False where that has gone.
    fn write_redirected(&mut self, to: Redirect, keys: Option<&[u8]>) -> bool {
        self.write_message(to.connection, true, |out, protocol| encode::invalidated(out, protocol, keys))
    }

    /// Notes, and tells a client, that the one has gone which gets its messages.
    pub(super) fn note_redirect_broken(&mut self, id: ConnectionId) {
        let Some(tracking) = self.connections.get(id).and_then(tracking_of) else { return };
        let Some(to) = tracking.redirect else { return };
        tracking.is_broken = true;
        self.write_message(id, false, |out, _| encode::redirect_broken(out, to.client));
    }

    /// Writes a message to a client of RESP3, and to a subscriber of RESP2 if it is another one's, behind the replies that are under
    /// way; others cannot tell it from a reply. False where the client has gone.
    fn write_message(
        &mut self,
        id: ConnectionId,
        is_of_other: bool,
        write: impl FnOnce(&mut Vec<u8>, Protocol),
    ) -> bool {
        let Some(connection) = self.connections.get(id).filter(|connection| !connection.is_closed) else {
            return false;
        };
        let ProtocolState::Resp(resp) = &connection.protocol else { return false };
        let RespSession { version, .. } = resp.session;
        let is_heard = version == Protocol::Resp3 || is_of_other && connection.session.channels.total() > 0;
        if is_heard && connection.session.closing == Closing::No {
            // A command that waits for a key may wait for ever. It has no replies beside it, and what it has read is told of behind
            // its own reply, on the same lane.
            let waits_for_key = connection.replies.waiting() == 1 && may_wait(connection.session.last_command);
            let ready = connection.output.ready();
            write(if waits_for_key { ready } else { connection.replies.here(ready) }, version);
            connection.list(&mut self.listed);
            if connection.output_bytes() > SHARED_APART_BYTES {
                self.bound_tracker(id, is_of_other);
            }
        }
        true
    }

    /// Closes a client that reads what it is told of keys too slowly: it cannot cache, and drops what it has when it is closed.
    #[cold]
    fn bound_tracker(&mut self, id: ConnectionId, is_of_other: bool) {
        if is_of_other {
            return self.bound_subscriber(id);
        }
        // Its replies have a bound of their own, at which its commands wait.
        let limit = self.server.pubsub_output.limit().hard_bytes;
        let max = self.server.client_output_bytes().saturating_add(limit);
        let Some(connection) = self.connections.get(id) else { return };
        let bytes = connection.output_bytes() as u64;
        if limit > 0 && bytes > max {
            let client = connection.session.client;
            tracing::warn!(
                client,
                bytes,
                "closed: the client reads too slowly what it is told of the keys that it caches"
            );
            connection.session.closing = Closing::Now;
            self.figures.output_closed += 1;
        }
    }
}

fn may_wait(command: &str) -> bool {
    TABLE.by_full_name(command.as_bytes()).is_some_and(|command| command.is(Flag::Blocking))
}
