//! The connections of one core.

use super::Connection;
use crate::net_ring::ConnectionId;

/// The connections of one core, by their index in the net ring.
#[derive(Default)]
pub struct Connections {
    places: Vec<Option<Box<Connection>>>,
}

impl Connections {
    /// Adds a connection. Answers the one that had its place and is closed, though the net ring has not said so yet:
    /// places are given anew at once.
    #[must_use]
    pub fn insert(&mut self, connection: Connection) -> Option<Box<Connection>> {
        let index = connection.id.index() as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        self.places[index].replace(Box::new(connection))
    }

    /// The connection of an id, if it is still that one.
    #[inline]
    pub fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.places.get_mut(id.index() as usize)?;
        place.as_deref_mut().filter(|connection| connection.id == id)
    }

    /// Takes a connection out, to be put back with [`Connections::put`]: so that it and the rest of the core can be
    /// changed side by side.
    #[inline]
    pub fn take(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        let place = self.places.get_mut(id.index() as usize)?;
        if place.as_ref().is_some_and(|connection| connection.id == id) { place.take() } else { None }
    }

    /// Puts a connection back.
    #[inline]
    pub fn put(&mut self, connection: Box<Connection>) {
        let index = connection.id.index() as usize;
        self.places[index] = Some(connection);
    }

    /// Forgets a connection.
    pub fn remove(&mut self, id: ConnectionId) -> Option<Box<Connection>> {
        self.take(id)
    }

    /// All of them.
    pub fn iter(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.places.iter_mut().filter_map(|place| place.as_deref_mut())
    }
}
