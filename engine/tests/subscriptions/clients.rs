//! The clients of one core of a small server: how much each takes, and what it was told.

use crate::model::Told;
use keytide_engine::subscription::{ClientId, Outlet, Push};
use std::collections::{HashMap, HashSet};

/// The clients of one core.
#[derive(Default)]
pub struct Clients {
    /// How many more events each takes before it has no room.
    pub room: HashMap<ClientId, u64>,
    pub had_no_room: HashSet<ClientId>,
    pub told: HashMap<(ClientId, u64), Vec<Told>>,
    /// How many more events each subscription with a window may be told.
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
        self.told.entry((client, id)).or_default().push(Told::new(push));
    }

    fn begin_shared(&mut self, clients: &[ClientId], id: u64) {
        assert!(self.shared.is_none());
        self.shared = Some((clients.to_vec(), id));
    }

    fn push_shared(&mut self, push: Push<'_>) {
        let (clients, id) = self.shared.as_ref().expect("it was begun").clone();
        for client in clients {
            // They had room when it began.
            if let (Push::Event(..), Some(room)) = (&push, self.room.get_mut(&client)) {
                *room = room.saturating_sub(1);
            }
            self.told.entry((client, id)).or_default().push(Told::new(push));
        }
        self.shared_pushes += 1;
    }

    fn end_shared(&mut self) {
        assert!(self.shared.take().is_some());
    }
}
