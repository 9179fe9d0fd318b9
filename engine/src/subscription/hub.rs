//! The subscriptions of one core.

use super::{ClientId, Outlet, Subscribe};
use crate::limits::SubscriptionLimits;
use thiserror::Error;

/// The subscriptions of the clients of one core.
pub struct Hub {
    limits: SubscriptionLimits,
}

/// A client has as many subscriptions as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a client may have {max} subscriptions")]
pub struct TooMany {
    /// How many it may have.
    pub max: usize,
}

/// The client has no subscription of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such subscription")]
pub struct NoSubscription;

/// What a hub counts, since it began where it is no present number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Subscriptions there are.
    pub subscriptions: u64,
    /// Those of them that are live.
    pub live: u64,
    /// Events told.
    pub events: u64,
    /// Times a subscription has fallen behind.
    pub fell_behind: u64,
    /// Subscriptions dropped for another reason than that the client ended them.
    pub dropped: u64,
}

impl Hub {
    /// Makes a subscription; answers its number, unique within the client's, from 1. Nothing is told before the next
    /// turn of the hub.
    ///
    /// # Errors
    /// Where the client has as many as it may have.
    pub fn subscribe(&mut self, client: ClientId, wanted: Subscribe) -> Result<u64, TooMany> {
        let _ = (client, wanted, &self.limits);
        Ok(1)
    }

    /// Ends a subscription: its client is told that it is dropped, and then nothing more of it.
    ///
    /// # Errors
    /// Where there is none of this number.
    pub fn unsubscribe(&mut self, client: ClientId, id: u64, outlet: &mut impl Outlet) -> Result<(), NoSubscription> {
        let _ = (client, id, outlet);
        Err(NoSubscription)
    }

    /// Acknowledges `count` events of a subscription with a window, so that as many more may be on their way.
    ///
    /// # Errors
    /// Where there is none of this number.
    pub fn credit(&mut self, client: ClientId, id: u64, count: u64) -> Result<(), NoSubscription> {
        let _ = (client, id, count);
        Err(NoSubscription)
    }

    /// Ends all subscriptions of a client that is gone. It is told nothing.
    pub fn close_client(&mut self, client: ClientId) {
        let _ = client;
    }

    /// Notes that a client that had no room has some.
    pub fn note_room(&mut self, client: ClientId) {
        let _ = client;
    }

    /// How many subscriptions a client has.
    pub fn subscriptions_of(&self, client: ClientId) -> usize {
        let _ = client;
        0
    }

    /// Drops all subscriptions because the server stops.
    pub fn shut_down(&mut self, outlet: &mut impl Outlet) {
        let _ = outlet;
    }

    /// What it has counted.
    pub fn counts(&self) -> HubCounts {
        HubCounts::default()
    }
}
