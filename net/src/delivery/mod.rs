//! Delivery: the messages of this core's subscriptions, put into the outputs of its connections. Knows no protocol: the
//! encoders are [`protocol`](crate::protocol)'s.
//!
//! | module | what is in it |
//! |---|---|
//! | [`subscribers`] | a subscriber is a stream of messages within a connection |

pub mod subscribers;

use crate::changes::Channel;
use crate::connection::{Connection, Connections, Output};
use crate::grpc::Encoded;
use crate::limits::{PUSH_SPARE_BYTES_MAX, PUSH_SPARES, SHARED_BYTES_AT_FIRST};
use crate::net_ring::{ConnectionId, SharedBytes};
use crate::protocol::Encoding;
use crate::session::Closing;
use keytide_engine::account::Owner;
use keytide_engine::subscription::{ClientId, Outlet, Push, Reason};
use std::rc::Rc;
use subscribers::{Place, Subscribers};

/// What a core keeps from message to message.
pub struct Delivery {
    /// This core's subscribers.
    pub subscribers: Subscribers,
    shared: SharedMessages,
    /// Memory of large outputs that have left, for the next ones. The one that came last goes first: the CPU's caches
    /// still hold it.
    spares: Vec<Vec<u8>>,
    /// A connection has room while less output than this waits to leave, in bytes.
    buffer_bytes: usize,
    /// The turn's time, Unix milliseconds.
    pub now_ms: u64,
}

impl Delivery {
    /// For connections that have room while less than `buffer_bytes` bytes of output wait to leave.
    pub fn new(buffer_bytes: usize) -> Delivery {
        Delivery {
            subscribers: Subscribers::default(),
            shared: SharedMessages::default(),
            spares: Vec::new(),
            buffer_bytes,
            now_ms: 0,
        }
    }

    /// Keeps the memory of a large output that has left.
    pub fn keep(&mut self, memory: Vec<u8>) {
        debug_assert!(memory.is_empty());
        if self.spares.len() < PUSH_SPARES && memory.capacity() <= PUSH_SPARE_BYTES_MAX {
            self.spares.push(memory);
        }
    }

    /// Memory for a large output, if there is any.
    pub fn spare(&mut self) -> Option<Vec<u8>> {
        self.spares.pop()
    }

    /// Bytes that several connections will hold, maybe for long: in no more memory than twice their length.
    fn cut_to_size(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.len() >= bytes.capacity() / 2 {
            return bytes;
        }
        let cut = bytes.as_slice().to_vec();
        bytes.clear();
        self.keep(bytes);
        cut
    }

    /// The outlet of the hub: these connections, and the list of those with something to send.
    pub fn to<'a>(&'a mut self, connections: &'a mut Connections, listed: &'a mut Vec<ConnectionId>) -> Recipients<'a> {
        Recipients { connections, listed, delivery: self }
    }

    /// Whether a connection's output has room for more events.
    pub fn has_room(&self, output: &Output) -> bool {
        output.has_room(self.buffer_bytes)
    }
}

/// The subscribers of one core with their connections, as the hub reaches them.
pub struct Recipients<'a> {
    connections: &'a mut Connections,
    listed: &'a mut Vec<ConnectionId>,
    delivery: &'a mut Delivery,
}

impl Recipients<'_> {
    /// The subscriber of a connection, made with its first subscription; none where nothing can leave any more.
    pub fn subscriber_of(&mut self, connection: ConnectionId) -> Option<ClientId> {
        let connection = self.connections.get(connection).filter(|connection| is_open(connection))?;
        Some(*connection.subscriber.get_or_insert_with(|| self.delivery.subscribers.add(connection.id, None)))
    }

    /// Counts a subscription that the client now has. Delivering its end counts it out.
    pub fn count_in(&mut self, subscriber: ClientId) {
        if let Some(connection) = self.connection(subscriber) {
            connection.session.subscriptions += 1;
        }
    }

    /// The accounts of a subscriber's user for subscriptions; none where nothing reaches it any more.
    pub fn owner_of(&mut self, subscriber: ClientId) -> Option<Owner> {
        Some(self.connection(subscriber)?.session.user().usage().subscriptions.clone())
    }

    fn connection(&mut self, subscriber: ClientId) -> Option<&mut Connection> {
        self.connections.get(self.delivery.subscribers.place(subscriber)?.connection)
    }
}

/// Whether anything can leave through a connection.
fn is_open(connection: &Connection) -> bool {
    !connection.is_closed && connection.session.closing != Closing::Now
}

impl Outlet for Recipients<'_> {
    fn has_room(&mut self, subscriber: ClientId) -> bool {
        let buffer_bytes = self.delivery.buffer_bytes;
        // A client that listens no more, or is about to be closed, gets what it asked for and no further events.
        let gets_events = |connection: &&mut Connection| {
            !connection.is_closed && !connection.has_ended && connection.session.closing == Closing::No
        };
        let Some(Place { connection, call }) = self.delivery.subscribers.place(subscriber) else { return false };
        let Some(connection) = self.connections.get(connection).filter(gets_events) else { return false };
        let has_room = connection.output.has_room(buffer_bytes);
        // Never withdrawn here: another of its subscriptions may wait, which hears of room when the output is settled.
        connection.output.wants_room |= !has_room;
        if let Some(call) = call {
            let Some(calls) = connection.protocol.calls() else { return false };
            // Of a call without room its connection tells once it has some.
            return calls.has_room(call, if has_room { buffer_bytes } else { 0 });
        }
        has_room
    }

    fn push(&mut self, subscriber: ClientId, id: u64, push: Push<'_>) {
        let Some(Place { connection, call }) = self.delivery.subscribers.place(subscriber) else { return };
        let connection = self.connections.get(connection).filter(|connection| !connection.is_closed);
        let Some(connection) = connection else { return };
        if let Some(call) = call {
            if let Some(calls) = connection.protocol.calls() {
                calls.push(call, push, self.delivery.now_ms, None);
                connection.list(self.listed);
            }
            return;
        }
        let mut channel = connection.session.changes.of(id).cloned();
        if let Push::Dropped(reason, _) = push {
            connection.session.subscriptions = connection.session.subscriptions.saturating_sub(1);
            channel = connection.session.changes.remove(id);
            // Publish/subscribe has its own word for that.
            if channel.is_some() && reason == Reason::Unsubscribed {
                return;
            }
        }
        let Some(encoding) = connection.protocol.encoding() else { return };
        // Only whole messages are ready, so a push never comes inside a reply.
        let out = connection.output.ready();
        if out.is_empty()
            && let Some(spare) = self.delivery.spares.pop()
        {
            *out = spare;
        }
        encode(out, encoding, channel.as_deref(), id, push);
        connection.list(self.listed);
    }

    fn begin_shared(&mut self, subscribers: &[ClientId], id: u64) {
        let Recipients { connections, delivery, .. } = self;
        let Delivery { shared, spares, subscribers: known, .. } = &mut **delivery;
        shared.id = id;
        for &subscriber in subscribers {
            let Some(Place { connection, call }) = known.place(subscriber) else { continue };
            let Some(connection) = connections.get(connection) else { continue };
            if call.is_some() {
                shared.calls.push(subscriber);
            }
            let Some(encoding) = connection.protocol.encoding() else { continue };
            let channel = connection.session.changes.of(id);
            let is_alike = |output: &SharedOutput| output.encoding == encoding && output.channel.as_ref() == channel;
            let place = shared.outputs.iter().position(is_alike).unwrap_or_else(|| {
                let bytes = spares.pop().unwrap_or_else(|| Vec::with_capacity(SHARED_BYTES_AT_FIRST));
                let channel = channel.cloned();
                shared.outputs.push(SharedOutput { encoding, channel, bytes, connections: Vec::new() });
                shared.outputs.len() - 1
            });
            shared.outputs[place].connections.push(connection.id);
        }
    }

    fn push_shared(&mut self, push: Push<'_>) {
        let shared = &mut self.delivery.shared;
        for output in &mut shared.outputs {
            encode(&mut output.bytes, output.encoding, output.channel.as_deref(), shared.id, push);
        }
        // Each call has its own form of ids, and notes how far it is.
        let Recipients { connections, listed, delivery } = self;
        let Delivery { shared, subscribers, now_ms, .. } = &mut **delivery;
        shared.encoded.clear();
        for subscriber in &shared.calls {
            let Some(Place { connection, call: Some(call) }) = subscribers.place(*subscriber) else { continue };
            let connection = connections.get(connection).filter(|connection| !connection.is_closed);
            let Some(connection) = connection else { continue };
            if let Some(calls) = connection.protocol.calls() {
                calls.push(call, push, *now_ms, Some(&mut shared.encoded));
                connection.list(listed);
            }
        }
    }

    fn end_shared(&mut self) {
        self.delivery.shared.calls.clear();
        for output in std::mem::take(&mut self.delivery.shared.outputs) {
            // The events that were examined may have had none for them.
            if output.bytes.is_empty() {
                self.delivery.keep(output.bytes);
                continue;
            }
            let bytes = Rc::new(SharedBytes::from(self.delivery.cut_to_size(output.bytes)));
            for id in output.connections {
                let Some(connection) = self.connections.get(id) else { continue };
                connection.output.send_shared(&bytes);
                connection.list(self.listed);
            }
        }
    }
}

/// Messages that go to several subscribers, encoded once for each encoding.
#[derive(Default)]
struct SharedMessages {
    /// The number of the subscription, which is the same for all of them.
    id: u64,
    outputs: Vec<SharedOutput>,
    /// Those that are calls.
    calls: Vec<ClientId>,
    /// The message of the present event for calls.
    encoded: Encoded,
}

/// Appends a message of the subscription `id`, which may be for a channel of changes.
#[inline]
fn encode(out: &mut Vec<u8>, encoding: Encoding, channel: Option<&Channel>, id: u64, push: Push<'_>) {
    match channel {
        None => encoding.push(out, id, push),
        Some(channel) => encoding.change(out, channel, push),
    }
}

struct SharedOutput {
    encoding: Encoding,
    /// The channel of changes of all its connections, if it is one.
    channel: Option<Rc<Channel>>,
    bytes: Vec<u8>,
    connections: Vec<ConnectionId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::{ProtocolState, Transport};
    use crate::net_ring::SendBuffer;
    use crate::port::ProtocolKind;
    use crate::resp::Protocol;
    use crate::session::Session;
    use keytide_engine::account::Account;
    use keytide_engine::position::Position;

    fn connection(id: u64) -> Connection {
        let session = Session::for_tests(id, true);
        let layers = (Transport::Plain, ProtocolKind::Resp);
        Connection::new(ConnectionId::from_u64(id), session, layers, Account::default().share())
    }

    /// Connections with these ids, and a subscriber of each.
    fn connected<const N: usize>(ids: [u64; N], buffer_bytes: usize) -> (Connections, Delivery, [ClientId; N]) {
        let (mut connections, mut delivery) = (Connections::default(), Delivery::new(buffer_bytes));
        let subscribers = ids.map(|id| {
            assert!(connections.insert(connection(id)).is_none());
            let (id, mut listed) = (ConnectionId::from_u64(id), Vec::new());
            delivery.to(&mut connections, &mut listed).subscriber_of(id).expect("it is open")
        });
        (connections, delivery, subscribers)
    }

    fn output(connections: &mut Connections, id: u64) -> String {
        let connection = connections.get(ConnectionId::from_u64(id)).unwrap();
        String::from_utf8(std::mem::take(connection.output.ready())).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn a_push_is_ready_at_once_and_in_the_encoding_of_the_moment() {
        let (mut connections, mut delivery, [one, two]) = connected([1, 2], 100);
        let mut listed = Vec::new();
        let first = connections.get(ConnectionId::from_u64(1)).unwrap();
        first.replies.reserve();
        first.replies.here(first.output.ready()).extend_from_slice(b"+LATER\r\n");
        let ProtocolState::Resp(resp) = &mut connections.get(ConnectionId::from_u64(2)).unwrap().protocol else {
            panic!("it speaks the Redis protocol")
        };
        resp.session.version = Protocol::Resp3;
        let mut recipients = delivery.to(&mut connections, &mut listed);
        for subscriber in [one, two, one] {
            recipients.push(subscriber, 7, Push::CaughtUp(Position(9)));
        }
        assert_eq!(listed, [1, 2].map(ConnectionId::from_u64));
        assert_eq!(output(&mut connections, 1), "*3 $12 cdc.caughtup :7 :9 *3 $12 cdc.caughtup :7 :9 ");
        assert_eq!(output(&mut connections, 2), ">3 $12 cdc.caughtup :7 :9 ");
    }

    #[test]
    fn there_is_room_until_the_buffer_limit_waits_to_leave() {
        let (mut connections, mut delivery, [subscriber]) = connected([1], 30);
        let mut listed = Vec::new();
        let id = ConnectionId::from_u64(1);
        assert!(delivery.to(&mut connections, &mut listed).has_room(subscriber));
        delivery.to(&mut connections, &mut listed).push(subscriber, 1, Push::Checkpoint(Position(1)));
        assert!(!delivery.to(&mut connections, &mut listed).has_room(subscriber));
        let connection = connections.get(id).unwrap();
        assert!(connection.output.wants_room && connection.waits_for_sent());
        // On its way it still counts, and once it has left no more.
        connection.output.pretend_to_send();
        assert!(!delivery.to(&mut connections, &mut listed).has_room(subscriber));
        connections.get(id).unwrap().output.note_sent(Vec::new());
        // There is room again, but the subscription that was refused must be notified: another one's question withdraws nothing.
        assert!(delivery.to(&mut connections, &mut listed).has_room(subscriber));
        let connection = connections.get(id).unwrap();
        assert!(connection.output.wants_room && connection.waits_for_sent());
    }

    #[test]
    fn shared_messages_leave_in_order_with_those_of_each() {
        let (mut connections, mut delivery, subscribers) = connected([1, 2], 1 << 20);
        let mut listed = Vec::new();
        let share = |recipients: &mut Recipients<'_>, count: u64| {
            recipients.begin_shared(&subscribers, 5);
            (0..count).for_each(|n| recipients.push_shared(Push::Checkpoint(Position(n))));
            recipients.end_shared();
        };
        let mut recipients = delivery.to(&mut connections, &mut listed);
        share(&mut recipients, 1);
        recipients.push(subscribers[0], 5, Push::CaughtUp(Position(7)));
        share(&mut recipients, 2);
        share(&mut recipients, 1_000);
        recipients.push(subscribers[0], 5, Push::CaughtUp(Position(8)));
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
    fn a_subscriber_of_a_connection_that_is_gone_reaches_nobody() {
        let (mut connections, mut delivery, [old]) = connected([1 << 32 | 5], 100);
        let mut listed = Vec::new();
        assert!(connections.remove(ConnectionId::from_u64(1 << 32 | 5)).is_some());
        delivery.subscribers.remove(old);
        // Another connection in the same place, and its subscriber in the same slot.
        let later = ConnectionId::from_u64(2 << 32 | 5);
        assert!(connections.insert(connection(later.to_u64())).is_none());
        let mut recipients = delivery.to(&mut connections, &mut listed);
        let new = recipients.subscriber_of(later).expect("it is open");
        assert!(new != old && recipients.has_room(new));
        recipients.push(old, 1, Push::CaughtUp(Position(1)));
        assert!(!recipients.has_room(old));
        assert!(listed.is_empty() && output(&mut connections, 2 << 32 | 5).is_empty());
    }

    #[test]
    fn a_client_that_is_being_closed_has_no_room_but_gets_what_it_asked_for() {
        let (mut connections, mut delivery, [subscriber]) = connected([1], 100);
        let mut listed = Vec::new();
        let connection = connections.get(ConnectionId::from_u64(1)).unwrap();
        connection.session.closing = Closing::AfterReplies;
        connection.session.subscriptions = 2;
        let mut recipients = delivery.to(&mut connections, &mut listed);
        assert!(!recipients.has_room(subscriber));
        recipients.push(subscriber, 1, Push::Dropped(Reason::Unsubscribed, Position(3)));
        assert_eq!(output(&mut connections, 1), "*4 $11 cdc.dropped :1 $12 unsubscribed :3 ");
        let connection = connections.get(ConnectionId::from_u64(1)).unwrap();
        assert_eq!((connection.session.subscriptions, connection.output.wants_room), (1, false));
        connection.is_closed = true;
        let mut recipients = delivery.to(&mut connections, &mut listed);
        recipients.push(subscriber, 1, Push::CaughtUp(Position(3)));
        assert_eq!(output(&mut connections, 1), "");
    }
}
