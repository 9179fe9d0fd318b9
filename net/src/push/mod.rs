//! Pushes: what the subscriptions of this core tell their clients, put into the clients' output.
//!
//! | module | what is in it |
//! |---|---|
//! | [`encode`] | the messages, in both versions of the protocol |
//! | [`running`] | numbers that grow slowly |
//! | [`tails`] | the part of an event's message that is the same for all who get it |

pub mod encode;
pub mod running;
pub mod tails;

use crate::connection::{Connection, Connections};
use crate::limits::{PUSH_SPARE_BYTES_MAX, PUSH_SPARES, SHARED_BYTES_AT_FIRST};
use crate::net_ring::{ConnectionId, SharedBytes};
use crate::resp::Protocol;
use crate::session::Closing;
use crate::turn_loop::list;
use keytide_engine::subscription::{ClientId, Outlet, Push};
use std::rc::Rc;
use tails::Tails;

/// What a core keeps from push to push.
pub struct Pushes {
    tails: Tails,
    shared: Shared,
    /// Memory of large outputs that have left, for the next ones: the last one is the one that the caches still know.
    spares: Vec<Vec<u8>>,
    /// A connection has room while less output than this waits to leave, in bytes.
    buffer_bytes: usize,
}

impl Pushes {
    /// For connections that have room while less than `buffer_bytes` bytes of output wait to leave.
    pub fn new(buffer_bytes: usize) -> Pushes {
        Pushes { tails: Tails::default(), shared: Shared::default(), spares: Vec::new(), buffer_bytes }
    }

    /// Keeps the memory of a large output that has left.
    pub fn keep(&mut self, memory: Vec<u8>) {
        debug_assert!(memory.is_empty());
        if self.spares.len() < PUSH_SPARES && memory.capacity() <= PUSH_SPARE_BYTES_MAX {
            self.spares.push(memory);
        }
    }

    /// What several connections will hold on to, maybe for long: in no more memory than twice what it needs.
    fn cut_to_size(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() >= bytes.capacity() / 2 {
            return bytes;
        }
        let cut = bytes.as_slice().to_vec();
        bytes.clear();
        self.keep(bytes);
        cut
    }

    /// Where the hub's pushes go: these connections, which are put on the list of those with something to send.
    pub fn to<'a>(&'a mut self, connections: &'a mut Connections, listed: &'a mut Vec<ConnectionId>) -> Clients<'a> {
        Clients { connections, listed, pushes: self }
    }

    /// Whether so much output waits to leave that the connection gets no more events.
    pub fn is_full(&self, connection: &Connection) -> bool {
        connection.output.unsent_bytes() >= self.buffer_bytes
    }
}

/// The client that a connection is to the hub. The id is never another connection's, though its place is given anew.
pub fn client_of(connection: ConnectionId) -> ClientId {
    ClientId(connection.to_u64())
}

/// The clients of one core, as the hub reaches them.
pub struct Clients<'a> {
    connections: &'a mut Connections,
    listed: &'a mut Vec<ConnectionId>,
    pushes: &'a mut Pushes,
}

impl Clients<'_> {
    /// The client's connection, as long as something can leave through it.
    fn open(&mut self, client: ClientId) -> Option<&mut Connection> {
        let connection = self.connections.get(ConnectionId::from_u64(client.0))?;
        (!connection.is_closed && connection.session.closing != Closing::Now).then_some(connection)
    }

    /// Whether the client is there.
    pub fn is_open(&mut self, client: ClientId) -> bool {
        self.open(client).is_some()
    }

    /// Counts a subscription that the client now has. It is counted out when its client is told that it has ended.
    pub fn count_in(&mut self, client: ClientId) {
        if let Some(connection) = self.open(client) {
            connection.session.subscriptions += 1;
        }
    }
}

impl Outlet for Clients<'_> {
    fn has_room(&mut self, client: ClientId) -> bool {
        let buffer_bytes = self.pushes.buffer_bytes;
        match self.open(client) {
            // Who listens no more, or is about to be closed, gets what was asked for and no further events.
            Some(connection) if connection.has_ended || connection.session.closing != Closing::No => false,
            Some(connection) => {
                let is_full = connection.output.unsent_bytes() >= buffer_bytes;
                // Not taken back: another of its subscriptions may wait, and is told when the output is looked at.
                connection.output.wants_room |= is_full;
                !is_full
            }
            None => false,
        }
    }

    fn push(&mut self, client: ClientId, id: u64, push: Push<'_>) {
        let connection = self.connections.get(ConnectionId::from_u64(client.0));
        let Some(connection) = connection.filter(|connection| !connection.is_closed) else { return };
        let session = &mut connection.session;
        if let Push::Dropped(_, _) = push {
            session.subscriptions = session.subscriptions.saturating_sub(1);
        }
        // Only whole messages are ready, so a push never comes inside a reply.
        let out = connection.output.ready();
        if out.is_empty()
            && let Some(spare) = self.pushes.spares.pop()
        {
            *out = spare;
        }
        encode::push(out, session.protocol, &mut self.pushes.tails, id, push, false);
        list(self.listed, connection);
    }

    fn begin_shared(&mut self, clients: &[ClientId], id: u64) {
        let connections = &mut *self.connections;
        let Pushes { shared, spares, .. } = &mut *self.pushes;
        shared.id = id;
        for &client in clients {
            let Some(connection) = connections.get(ConnectionId::from_u64(client.0)) else { continue };
            let protocol = connection.session.protocol;
            let place = shared.outputs.iter().position(|output| output.protocol == protocol).unwrap_or_else(|| {
                let bytes = spares.pop().unwrap_or_else(|| Vec::with_capacity(SHARED_BYTES_AT_FIRST));
                shared.outputs.push(SharedOutput { protocol, bytes, connections: Vec::new() });
                shared.outputs.len() - 1
            });
            shared.outputs[place].connections.push(connection.id);
        }
    }

    fn push_shared(&mut self, push: Push<'_>) {
        let Pushes { shared, tails, .. } = &mut *self.pushes;
        for output in &mut shared.outputs {
            encode::push(&mut output.bytes, output.protocol, tails, shared.id, push, true);
        }
    }

    fn end_shared(&mut self) {
        for output in std::mem::take(&mut self.pushes.shared.outputs) {
            // What was looked at may have had nothing for them.
            if output.bytes.is_empty() {
                self.pushes.keep(output.bytes);
                continue;
            }
            let bytes = Rc::new(SharedBytes::from(self.pushes.cut_to_size(output.bytes)));
            for id in output.connections {
                let Some(connection) = self.connections.get(id) else { continue };
                connection.output.send_shared(&bytes);
                list(self.listed, connection);
            }
        }
    }
}

/// What several clients are being told alike.
#[derive(Default)]
struct Shared {
    /// The number of the subscription, which is the same for all of them.
    id: u64,
    /// One output for each version of the protocol that some of them speak.
    outputs: Vec<SharedOutput>,
}

struct SharedOutput {
    protocol: Protocol,
    bytes: Vec<u8>,
    connections: Vec<ConnectionId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net_ring::SendBuffer;
    use crate::resp::{ParserLimits, Protocol};
    use crate::session::Session;
    use keytide_engine::account::Account;
    use keytide_engine::position::Position;
    use keytide_engine::subscription::Reason;

    fn connected(ids: &[u64]) -> Connections {
        let mut connections = Connections::default();
        for &id in ids {
            let session = Session::new(id, true, (None, None), 0);
            let connection = Connection::new(
                ConnectionId::from_u64(id),
                session,
                ParserLimits::default(),
                Account::default().share(),
            );
            assert!(connections.insert(connection).is_none());
        }
        connections
    }

    fn output(connections: &mut Connections, id: u64) -> String {
        let connection = connections.get(ConnectionId::from_u64(id)).unwrap();
        String::from_utf8(std::mem::take(connection.output.ready())).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn a_push_is_ready_at_once_and_in_the_protocol_that_is_spoken_now() {
        let (mut connections, mut listed, mut pushes) = (connected(&[1, 2]), Vec::new(), Pushes::new(100));
        let first = connections.get(ConnectionId::from_u64(1)).unwrap();
        first.replies.reserve();
        first.reply().simple("LATER");
        connections.get(ConnectionId::from_u64(2)).unwrap().session.protocol = Protocol::Resp3;
        let mut clients = pushes.to(&mut connections, &mut listed);
        for client in [1, 2, 1] {
            clients.push(ClientId(client), 7, Push::CaughtUp(Position(9)));
        }
        assert_eq!(listed, [1, 2].map(ConnectionId::from_u64));
        assert_eq!(output(&mut connections, 1), "*3 $12 cdc.caughtup :7 :9 *3 $12 cdc.caughtup :7 :9 ");
        assert_eq!(output(&mut connections, 2), ">3 $12 cdc.caughtup :7 :9 ");
    }

    #[test]
    fn there_is_room_until_so_many_bytes_wait_to_leave() {
        let (mut connections, mut listed, mut pushes) = (connected(&[1]), Vec::new(), Pushes::new(30));
        let id = ConnectionId::from_u64(1);
        assert!(pushes.to(&mut connections, &mut listed).has_room(client_of(id)));
        pushes.to(&mut connections, &mut listed).push(client_of(id), 1, Push::Checkpoint(Position(1)));
        assert!(!pushes.to(&mut connections, &mut listed).has_room(client_of(id)));
        let connection = connections.get(id).unwrap();
        assert!(connection.output.wants_room && connection.waits_for_sent());
        // On its way it still counts, and once it has left no more.
        connection.output.pretend_to_send();
        assert!(!pushes.to(&mut connections, &mut listed).has_room(client_of(id)));
        connections.get(id).unwrap().output.note_sent(Vec::new());
        // There is room again, but who was refused has to be told: another that asks takes nothing back.
        assert!(pushes.to(&mut connections, &mut listed).has_room(client_of(id)));
        let connection = connections.get(id).unwrap();
        assert!(connection.output.wants_room && connection.waits_for_sent());
    }

    #[test]
    fn what_many_are_told_leaves_in_order_with_their_own() {
        let (mut connections, mut listed, mut pushes) = (connected(&[1, 2]), Vec::new(), Pushes::new(1 << 20));
        let ids = [ClientId(1), ClientId(2)];
        let tell_both = |clients: &mut Clients<'_>, count: u64| {
            clients.begin_shared(&ids, 5);
            (0..count).for_each(|n| clients.push_shared(Push::Checkpoint(Position(n))));
            clients.end_shared();
        };
        let mut clients = pushes.to(&mut connections, &mut listed);
        tell_both(&mut clients, 1);
        clients.push(ids[0], 5, Push::CaughtUp(Position(7)));
        tell_both(&mut clients, 2);
        tell_both(&mut clients, 1_000);
        clients.push(ids[0], 5, Push::CaughtUp(Position(8)));
        let connection = connections.get(ConnectionId::from_u64(1)).unwrap();
        let unsent = connection.output.unsent_bytes();
        let sends: Vec<_> = std::iter::from_fn(|| connection.output.take_next()).collect();
        assert_eq!(sends.iter().map(|send| send.len()).sum::<usize>(), unsent);
        assert_eq!(connection.output.unsent_bytes(), 0);
        // A little is copied behind its own, much is not.
        let is_shared: Vec<bool> = sends.iter().map(|send| matches!(send, SendBuffer::Shared(_))).collect();
        assert_eq!(is_shared, [true, false, true, false]);
        let all: Vec<u8> = sends.iter().flat_map(|send| send.iter().copied()).collect();
        let all = String::from_utf8(all).unwrap().replace("\r\n", " ");
        let checkpoints = |count| (0..count).map(|n| format!("*3 $14 cdc.checkpoint :5 :{n} ")).collect::<String>();
        let caught_up = |position| format!("*3 $12 cdc.caughtup :5 :{position} ");
        let expected = [checkpoints(1), caught_up(7), checkpoints(2), checkpoints(1_000), caught_up(8)].concat();
        assert_eq!(all, expected);
    }

    #[test]
    fn a_later_connection_at_the_same_place_is_another_client() {
        let (old, new) = (1 << 32 | 5, 2 << 32 | 5);
        let (mut connections, mut listed, mut pushes) = (connected(&[new]), Vec::new(), Pushes::new(100));
        let mut clients = pushes.to(&mut connections, &mut listed);
        assert!(clients.is_open(ClientId(new)) && clients.has_room(ClientId(new)));
        assert!(!clients.is_open(ClientId(old)) && !clients.has_room(ClientId(old)));
        clients.push(ClientId(old), 1, Push::CaughtUp(Position(1)));
        assert!(listed.is_empty() && output(&mut connections, new).is_empty());
    }

    #[test]
    fn who_is_being_closed_has_no_room_but_is_told_what_it_asked_for() {
        let (mut connections, mut listed, mut pushes) = (connected(&[1]), Vec::new(), Pushes::new(100));
        let connection = connections.get(ConnectionId::from_u64(1)).unwrap();
        connection.session.closing = Closing::AfterReplies;
        connection.session.subscriptions = 2;
        let mut clients = pushes.to(&mut connections, &mut listed);
        assert!(!clients.has_room(ClientId(1)));
        clients.push(ClientId(1), 1, Push::Dropped(Reason::Unsubscribed, Position(3)));
        assert_eq!(output(&mut connections, 1), "*4 $11 cdc.dropped :1 $12 unsubscribed :3 ");
        let connection = connections.get(ConnectionId::from_u64(1)).unwrap();
        assert_eq!((connection.session.subscriptions, connection.output.wants_room), (1, false));
        connection.is_closed = true;
        let mut clients = pushes.to(&mut connections, &mut listed);
        clients.push(ClientId(1), 1, Push::CaughtUp(Position(3)));
        assert_eq!(output(&mut connections, 1), "");
    }
}
