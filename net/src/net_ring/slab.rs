//! The connections of one net ring: slots that are reused, and ids that are not.

use super::pages::SharedBytes;
use std::net::TcpStream;
use std::ops::Deref;
use std::rc::Rc;

/// Identifies one connection of one net ring; never reused for a later one (until 2^32 later connections in the same
/// slot).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

impl ConnectionId {
    /// The most connections of one net ring: the slot has 24 bits of an operation's user data.
    pub const INDEX_MAX: u32 = (1 << 24) - 1;

    pub(super) fn new(index: u32, generation: u32) -> ConnectionId {
        ConnectionId { index, generation }
    }

    /// The slot: small, dense, and reused. Suitable as the index of a table of connections.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Distinguishes the slot's connections.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// Packed into a word: the generation above, the slot below.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`ConnectionId::to_u64`]. Any word is an id; most are just unknown.
    pub fn from_u64(word: u64) -> ConnectionId {
        ConnectionId { index: word as u32, generation: (word >> 32) as u32 }
    }
}

/// Bytes to send.
#[derive(Debug)]
pub enum SendBuffer {
    /// For one connection.
    Own(Vec<u8>),
    /// The same for several connections.
    Shared(Rc<SharedBytes>),
}

impl Deref for SendBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            SendBuffer::Own(bytes) => bytes,
            SendBuffer::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for SendBuffer {
    fn from(bytes: Vec<u8>) -> SendBuffer {
        SendBuffer::Own(bytes)
    }
}

impl From<Rc<SharedBytes>> for SendBuffer {
    fn from(bytes: Rc<SharedBytes>) -> SendBuffer {
        SendBuffer::Shared(bytes)
    }
}

impl SendBuffer {
    /// The memory, for reuse, unless another connection still sends it.
    pub fn into_vec(self) -> Option<Vec<u8>> {
        match self {
            SendBuffer::Own(bytes) => Some(bytes),
            SendBuffer::Shared(bytes) => Rc::into_inner(bytes).map(SharedBytes::into_vec),
        }
    }
}

/// A send in flight: the kernel reads from `buffer` until the completion.
pub(super) struct Sending {
    pub(super) buffer: SendBuffer,
    /// Bytes that the kernel has accepted already.
    pub(super) done: usize,
    pub(super) mode: SendMode,
}

impl Sending {
    /// The number of a silent send.
    pub(super) fn silent(&self) -> Option<u64> {
        match self.mode {
            SendMode::Silent(number) => Some(number),
            SendMode::Loud | SendMode::Room => None,
        }
    }
}

/// How the rest of a send is sent; see [`super::op::send`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SendMode {
    /// Without a completion unless it fails. With the send's number.
    Silent(u64),
    /// Waiting for room, with a completion.
    Loud,
    /// As pages, when a completion reports room.
    Room,
}

/// One connection and its operations in the kernel.
pub(super) struct RingConnection {
    pub(super) stream: TcpStream,
    /// The multishot receive is in the kernel (or queued for it).
    pub(super) receive_armed: bool,
    /// A cancellation of the receive is in flight.
    pub(super) receive_cancelling: bool,
    /// The owner wants to receive: not paused.
    pub(super) receive_wanted: bool,
    /// The peer sends no more, or receiving failed.
    pub(super) receive_ended: bool,
    pub(super) sending: Option<Sending>,
    /// `close` was called: waiting for the kernel's operations to end.
    pub(super) closing: bool,
}

impl RingConnection {
    pub(super) fn new(stream: TcpStream) -> RingConnection {
        RingConnection {
            stream,
            receive_armed: false,
            receive_cancelling: false,
            receive_wanted: true,
            receive_ended: false,
            sending: None,
            closing: false,
        }
    }
}

struct SlabSlot {
    generation: u32,
    connection: Option<RingConnection>,
}

#[derive(Default)]
pub(super) struct Slab {
    slots: Vec<SlabSlot>,
    free: Vec<u32>,
    used: usize,
}

impl Slab {
    pub(super) fn insert(&mut self, connection: RingConnection) -> ConnectionId {
        self.used += 1;
        if let Some(index) = self.free.pop() {
            let place = &mut self.slots[index as usize];
            place.connection = Some(connection);
            return ConnectionId::new(index, place.generation);
        }
        // Fits: the net ring stops accepting at `connections_max`, which is at most INDEX_MAX.
        let index = self.slots.len() as u32;
        self.slots.push(SlabSlot { generation: 1, connection: Some(connection) });
        ConnectionId::new(index, 1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut RingConnection> {
        let place = self.slots.get_mut(id.index as usize)?;
        if place.generation == id.generation { place.connection.as_mut() } else { None }
    }

    #[inline]
    pub(super) fn get(&self, id: ConnectionId) -> Option<&RingConnection> {
        let place = self.slots.get(id.index as usize)?;
        if place.generation == id.generation { place.connection.as_ref() } else { None }
    }

    /// Frees the slot and invalidates the id. Dropping the result closes the socket.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<RingConnection> {
        self.get(id)?;
        let place = &mut self.slots[id.index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        self.used -= 1;
        place.connection.take()
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        let used = |(index, place): (usize, &SlabSlot)| {
            place.connection.is_some().then_some(ConnectionId::new(index as u32, place.generation))
        };
        self.slots.iter().enumerate().filter_map(used).collect()
    }

    /// Forgets everything without closing or freeing anything.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.slots));
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_id_outlives_its_connection_without_naming_the_next_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || RingConnection::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let mut slab = Slab::default();
        let first = slab.insert(connect());
        slab.remove(first);
        let second = slab.insert(connect());
        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert!(slab.get(first).is_none() && slab.get(second).is_some());
        assert_eq!(slab.len(), 1);
        assert_eq!(ConnectionId::from_u64(second.to_u64()), second);
    }
}
