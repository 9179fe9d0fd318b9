//! The connections of one net ring: places that are used again, and ids that are not.

use super::pages::SharedBytes;
use std::net::TcpStream;
use std::ops::Deref;
use std::rc::Rc;

/// Names one connection of one net ring; never names another one later (until 2^32 later users of the same place).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

impl ConnectionId {
    /// Connections that one net ring can hold: the place has 24 bits of an operation's user data.
    pub const INDEX_MAX: u32 = (1 << 24) - 1;

    pub(super) fn new(index: u32, generation: u32) -> ConnectionId {
        ConnectionId { index, generation }
    }

    /// The place: small, dense, and used again. Fit for indexing a table of what is known about each connection.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Which user of the place this is.
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// Packed into a word: generation above, place below.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`ConnectionId::to_u64`]. Any word is an id; one that names no connection is just not known.
    pub fn from_u64(word: u64) -> ConnectionId {
        ConnectionId { index: word as u32, generation: (word >> 32) as u32 }
    }
}

/// Bytes to be sent.
#[derive(Debug)]
pub enum SendBuffer {
    /// One connection's own.
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
    /// The memory, for another use, unless another connection still sends it.
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
    /// Bytes that the kernel has taken already.
    pub(super) done: usize,
    pub(super) way: Way,
}

impl Sending {
    /// The send's number, as long as the kernel says nothing of it.
    pub(super) fn silent(&self) -> Option<u64> {
        match self.way {
            Way::Silent(number) => Some(number),
            Way::Loud | Way::Room => None,
        }
    }
}

/// How what is left of a send goes; see [`super::op::send`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// The kernel says nothing of it unless it fails. With the send's number.
    Silent(u64),
    /// It waits for room, and for its completion.
    Loud,
    /// Pages are handed on when there is room, which a completion tells.
    Room,
}

/// One connection, with what the kernel holds of it.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The multishot receive is with the kernel (or queued for it).
    pub(super) receive_armed: bool,
    /// A cancellation of the receive is on its way.
    pub(super) receive_cancelling: bool,
    /// The owner wants to receive: not paused.
    pub(super) receive_wanted: bool,
    /// The peer sends no more, or receiving failed.
    pub(super) receive_ended: bool,
    pub(super) sending: Option<Sending>,
    /// `close` was called: only waits for the kernel to let go.
    pub(super) closing: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Connection {
        Connection {
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

struct Place {
    generation: u32,
    connection: Option<Connection>,
}

#[derive(Default)]
pub(super) struct Slab {
    places: Vec<Place>,
    free: Vec<u32>,
    used: usize,
}

impl Slab {
    pub(super) fn insert(&mut self, connection: Connection) -> ConnectionId {
        self.used += 1;
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.connection = Some(connection);
            return ConnectionId::new(index, place.generation);
        }
        // Fits: the net ring stops accepting at `connections_max`, which is at most INDEX_MAX.
        let index = self.places.len() as u32;
        self.places.push(Place { generation: 1, connection: Some(connection) });
        ConnectionId::new(index, 1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.places.get_mut(id.index as usize)?;
        if place.generation == id.generation { place.connection.as_mut() } else { None }
    }

    #[inline]
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let place = self.places.get(id.index as usize)?;
        if place.generation == id.generation { place.connection.as_ref() } else { None }
    }

    /// Frees the place and makes the id unknown. Dropping what comes back closes the socket.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?;
        let place = &mut self.places[id.index as usize];
        place.generation = place.generation.wrapping_add(1);
        self.free.push(id.index);
        self.used -= 1;
        place.connection.take()
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn ids(&self) -> Vec<ConnectionId> {
        let used = |(index, place): (usize, &Place)| {
            place.connection.is_some().then_some(ConnectionId::new(index as u32, place.generation))
        };
        self.places.iter().enumerate().filter_map(used).collect()
    }

    /// Forgets everything without closing or freeing anything.
    pub(super) fn leak(&mut self) {
        std::mem::forget(std::mem::take(&mut self.places));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_id_outlives_its_connection_without_naming_the_next_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || Connection::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
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
