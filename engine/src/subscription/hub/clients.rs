//! The requests of a hub's clients: subscribe, unsubscribe, credit; and the notes that a client is gone or has room.

use super::Hub;
use super::member::{Member, Phase, before};
use super::slab::Slot;
use crate::account::{OverLimit, Owner};
use crate::fanout::Ask;
use crate::history::History;
use crate::interest::Interest;
use crate::limits::SUBSCRIPTION_BYTES;
use crate::subscription::{ClientId, Outlet, Push, Reason, Start, Subscribe};
use thiserror::Error;

#[derive(Default)]
pub(super) struct Client {
    last_id: u64,
    /// The numbers of its subscriptions, and the indexes of their members.
    pub members: Vec<(u64, u32)>,
    /// The memory of its subscriptions, in bytes.
    pub bytes: u64,
}

/// Why a client gets no further subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TooMany {
    /// The client has the maximum number of subscriptions.
    #[error("a client may have {max} subscriptions")]
    Subscriptions {
        /// The maximum.
        max: usize,
    },
    /// The memory of its subscriptions, or of all clients' subscriptions, is at its limit.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
}

/// The client has no subscription of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such subscription")]
pub struct NoSubscription;

impl Hub {
    /// Makes a subscription. Returns its number: a client's subscriptions are numbered from 1, and a number is never used
    /// again. No message is sent before the hub's next turn.
    ///
    /// # Errors
    /// Where the client has the maximum number of subscriptions, or their memory is at its limit.
    pub fn subscribe(&mut self, client: ClientId, wanted: Subscribe, history: &History) -> Result<u64, TooMany> {
        self.subscribe_for(client, &Owner::default(), wanted, history)
    }

    /// As [`Hub::subscribe`], for a client of a user with these accounts.
    ///
    /// # Errors
    /// As there, and where the user has as many subscriptions as it may, or as many bytes of them.
    pub fn subscribe_for(
        &mut self,
        client: ClientId,
        user: &Owner,
        wanted: Subscribe,
        history: &History,
    ) -> Result<u64, TooMany> {
        let owner = self.clients.entry(client).or_default();
        if owner.members.len() >= self.limits.per_client {
            return Err(TooMany::Subscriptions { max: self.limits.per_client });
        }
        let account = self.interests.account();
        let interest_bytes = wanted.interest.memory_bytes();
        let bytes = SUBSCRIPTION_BYTES + interest_bytes;
        if owner.bytes + bytes > account.part() {
            return Err(account.refuse(true).into());
        }
        let owned = user.take(bytes)?;
        let mut share = account.share();
        // The memory of an interest that other subscriptions share is counted already.
        let is_new = !self.interests.is_known(&wanted.interest);
        share.take(SUBSCRIPTION_BYTES + if is_new { interest_bytes } else { 0 })?;
        share.set(SUBSCRIPTION_BYTES);
        owner.bytes += bytes;
        owner.last_id += 1;
        let id = owner.last_id;
        let (start, interest) = (wanted.start, wanted.interest.clone());
        let shard = interest.source.shard(self.interests.shards());
        let stream: Box<[u8]> = interest.source.name().into();
        let next = history.head().next();
        let index = self.members.insert(|serial| Member::new(client, id, serial, wanted, next, (share, owned)));
        owner.members.push((id, index));
        self.counts.subscriptions += 1;
        let (number, place) = self.interests.enter(interest, index);
        self.counts.demoted += u64::from(self.interests.row(number).is_demoted);
        let member = &mut self.members[index];
        (member.interest, member.interest_place) = (number, place);
        if start == Start::End {
            member.cursor = history.frontier();
            member.checkpointed = member.cursor;
        }
        match (member.phase, shard) {
            (Phase::Asked, Some(shard)) => {
                let subscription = Slot { index, serial: member.serial }.token();
                self.interests.asks.push((shard, Ask::Revision { subscription, stream }));
            }
            _ => self.make_ready(index),
        }
        Ok(id)
    }

    /// Ends a subscription. The last message that its client gets of it is [`Push::Dropped`].
    ///
    /// # Errors
    /// Where the client has no subscription of this number.
    pub fn unsubscribe(&mut self, client: ClientId, id: u64, outlet: &mut impl Outlet) -> Result<(), NoSubscription> {
        let index = self.find(client, id)?;
        let position = before(self.progress(index));
        outlet.push(client, id, Push::Dropped(Reason::Unsubscribed, position));
        self.remove(index);
        Ok(())
    }

    /// Acknowledges `count` events of a subscription with a window, so that as many more may be sent.
    ///
    /// # Errors
    /// Where the client has no subscription of this number.
    pub fn credit(&mut self, client: ClientId, id: u64, count: u64) -> Result<(), NoSubscription> {
        let index = self.find(client, id)?;
        self.members[index].add_credit(count);
        self.wake(index);
        Ok(())
    }

    /// Ends all subscriptions of a client that is gone, without a message. Removes as many at once as a turn may, the
    /// others in later turns.
    pub fn close_client(&mut self, client: ClientId) {
        let Some(gone) = self.clients.remove(&client) else { return };
        for (_, index) in gone.members {
            let member = &mut self.members[index];
            // The connection may still be there, and must get nothing more.
            member.client = ClientId::NOBODY;
            self.closed.push_back(Slot { index, serial: member.serial });
        }
        self.remove_closed();
    }

    /// Removes subscriptions of clients that are gone, as many as this turn may still remove.
    pub(super) fn remove_closed(&mut self) {
        while self.may_remove > 0
            && let Some(slot) = self.closed.pop_front()
        {
            if let Some(index) = self.members.at(slot) {
                self.remove(index);
                self.may_remove -= 1;
            }
        }
    }

    /// Drops the subscriptions of a client that `may_have` no longer allows.
    pub fn revoke(&mut self, client: ClientId, may_have: impl Fn(&Interest) -> bool, outlet: &mut impl Outlet) {
        let Some(owner) = self.clients.get(&client) else { return };
        for (_, index) in owner.members.clone() {
            if !may_have(&self.interests.row(self.members[index].interest).interest) {
                self.drop_member(index, Reason::AccessRevoked, before(self.progress(index)), outlet);
            }
        }
    }

    /// Whether `may_have` allows all subscriptions of a client.
    pub fn may_keep(&self, client: ClientId, may_have: impl Fn(&Interest) -> bool) -> bool {
        let Some(owner) = self.clients.get(&client) else { return true };
        owner.members.iter().all(|&(_, index)| may_have(&self.interests.row(self.members[index].interest).interest))
    }

    /// Notes that a client that had no room has some.
    pub fn note_room(&mut self, client: ClientId) {
        let Some(owner) = self.clients.get_mut(&client) else { return };
        // There may not be room for all of them, so each time another subscription is first.
        if !owner.members.is_empty() {
            owner.members.rotate_left(1);
        }
        for (_, index) in owner.members.clone() {
            self.wake(index);
        }
    }

    fn find(&self, client: ClientId, id: u64) -> Result<u32, NoSubscription> {
        let owner = self.clients.get(&client).ok_or(NoSubscription)?;
        owner.members.iter().find(|row| row.0 == id).map(|row| row.1).ok_or(NoSubscription)
    }
}
