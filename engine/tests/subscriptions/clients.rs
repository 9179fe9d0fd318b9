//! The clients of one core of a small server: the room that each has, and the messages that it got.

use crate::model::Sent;
use keytide_engine::subscription::{ClientId, Outlet, Push};
use std::collections::{HashMap, HashSet};

/// The clients of one core.
#[derive(Default)]
pub struct Clients {
    /// The number of events that each client has room for.
    pub room: HashMap<ClientId, u64>,
    pub had_no_room: HashSet<ClientId>,
    pub sent: HashMap<(ClientId, u64), Vec<Sent>>,
    /// The credit of each subscription with a window.
    pub credits: HashMap<(ClientId, u64), u64>,
    pub pushes: u64,
    shared: Option<(Vec<ClientId>, u64)>,
    pub shared_pushes: u64,
}

impl Outlet for Clients {
    fn has_room(&mut self, client: ClientId) -> bool {
        let has_room = self.room.get(&client).is_none_or(|room| *room > 0);
        if !has_room {
            self.had_no_room.insert(client);
        }
        has_room
    }

    fn push(&mut self, client: ClientId, id: u64, push: Push<'_>) {
        self.pushes += 1;
        if let (Push::Event(..), Some(credit)) = (&push, self.credits.get_mut(&(client, id))) {
            *credit = credit.checked_sub(1).expect("events come only where there is credit");
        }
        if let (Push::Event(..), Some(room)) = (&push, self.room.get_mut(&client)) {
            *room = room.checked_sub(1).expect("events come only where there is room");
        }
        self.sent.entry((client, id)).or_default().push(Sent::new(push));
    }

    fn begin_shared(&mut self, clients: &[ClientId], id: u64) {
        assert!(self.shared.is_none());
        self.shared = Some((clients.to_vec(), id));
    }

    fn push_shared(&mut self, push: Push<'_>) {
        let (clients, id) = self.shared.as_ref().expect("it was begun").clone();
        for client in clients {
            // All clients had room when the shared delivery began.
            if let (Push::Event(..), Some(room)) = (&push, self.room.get_mut(&client)) {
                *room = room.saturating_sub(1);
            }
            self.sent.entry((client, id)).or_default().push(Sent::new(push));
        }
        self.shared_pushes += 1;
    }

    fn end_shared(&mut self) {
        assert!(self.shared.take().is_some());
    }
}
