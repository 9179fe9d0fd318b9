//! The subscribers of one core: each is a stream of messages within a connection. A connection of the Redis protocol has
//! one at the most; a protocol with several calls on a connection has one for each.

use crate::grpc::CallId;
use crate::net_ring::ConnectionId;
use keytide_engine::subscription::ClientId;

/// The subscribers of one core, by the ids under which the hub knows them.
#[derive(Default)]
pub struct Subscribers {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    /// Changes with each use of the slot, so that an id is never another subscriber's.
    generation: u32,
    place: Option<Place>,
}

/// Where the messages of a subscriber go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its call, where the protocol has several on a connection.
    pub call: Option<CallId>,
}

impl Subscribers {
    /// Adds a subscriber of this connection, and of this call where it has several.
    pub fn add(&mut self, connection: ConnectionId, call: Option<CallId>) -> ClientId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, place: None });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.place = Some(Place { connection, call });
        ClientId(u64::from(slot.generation) << 32 | u64::from(index))
    }

    /// The place of a subscriber; none once that was removed.
    #[inline]
    pub fn place(&self, subscriber: ClientId) -> Option<Place> {
        let slot = self.slots.get(subscriber.0 as u32 as usize)?;
        if slot.generation == (subscriber.0 >> 32) as u32 { slot.place } else { None }
    }

    /// Removes a subscriber.
    pub fn remove(&mut self, subscriber: ClientId) {
        if self.place(subscriber).is_some() {
            let index = subscriber.0 as u32;
            let slot = &mut self.slots[index as usize];
            (slot.generation, slot.place) = (slot.generation.wrapping_add(1), None);
            self.free.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_subscriber_in_the_same_slot_has_another_id() {
        let mut subscribers = Subscribers::default();
        let [first, second] = [1, 2].map(ConnectionId::from_u64);
        let old = subscribers.add(first, None);
        let other = subscribers.add(first, None);
        assert_ne!(old, other, "a connection may have several");
        subscribers.remove(old);
        subscribers.remove(old);
        let new = subscribers.add(second, None);
        let place = |connection| Some(Place { connection, call: None });
        assert_eq!(subscribers.place(old), None);
        assert_eq!((subscribers.place(new), subscribers.place(other)), (place(second), place(first)));
        assert_eq!(subscribers.slots.len(), 2, "the slot serves again");
        assert_eq!(subscribers.place(ClientId::NOBODY), None);
    }
}
