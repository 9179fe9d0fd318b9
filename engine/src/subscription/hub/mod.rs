//! The subscriptions of one core: each from the history to what happens now, and back when it is too slow.
//!
//! ```text
//!            reads pages of the history          the shards look for its interest
//!   asked ─► reading ───────────────► joining ───────────────► live
//!              ▲                         │ queue full             │ queue full, or the shards have lost something
//!              └─────────────────────────┴────────────────────────┘
//! ```
//!
//! What has been merged is one position for all of the core, `merged`: everything before it was told to those who are
//! live. A subscription reads the history up to there at the most. Reaching it, it has its interest looked for by the
//! shards; from the position on from which all of them do, events wait in its queue, and once it has read up to that
//! position it is live. So there is neither a gap nor an event twice, whenever the answers come.
//!
//! | file | what is in it |
//! |---|---|
//! | `clients` | what clients ask for |
//! | `member` | one subscription |
//! | `begin` | where a subscription starts |
//! | `queue` | what waits for those who share an interest |
//! | `interests` | what is wanted, and on which shards it is live |
//! | `feeds` | the shards' batches, merged |
//! | `reading`, `page`, `together` | a slice of catching up, for one or for several alike |
//! | `live` | telling what the shards have found |
//! | `checkpoints` | how far nothing was found |
//! | `watches` | those who are only told that there is something to read |

mod begin;
mod checkpoints;
mod clients;
mod feeds;
mod interests;
mod live;
mod member;
mod page;
mod queue;
mod reading;
mod slab;
mod together;
mod watches;

use super::{ClientId, OnSlow, Outlet, Push, Reason};
use crate::account::Account;
use crate::fanout::{Ask, Fanned, Notice};
use crate::history::History;
use crate::limits::{CLOSED_PER_TURN, SUBSCRIPTION_BYTES, SubscriptionLimits};
use crate::position::{Position, ShardId};
use crate::ring::{Ring, RingLookup};
use checkpoints::Checkpoints;
use clients::Client;
pub use clients::{NoSubscription, TooMany};
use feeds::Feeds;
use interests::Interests;
use live::{Chunk, Flush};
use member::{Phase, Place, before};
use slab::{Members, Slot};
use std::collections::{HashMap, VecDeque};
pub use watches::WatcherId;
use watches::Watches;

/// The subscriptions of the clients of one core.
pub struct Hub {
    limits: SubscriptionLimits,
    members: Members,
    clients: HashMap<ClientId, Client>,
    interests: Interests,
    feeds: Feeds,
    /// Everything before this was told to those who are live.
    merged: Position,
    /// Those that have something to do.
    line: VecDeque<Slot>,
    /// Those of them whose interests cost too much: they read the history for good, with less of a turn's time.
    demoted_line: VecDeque<Slot>,
    /// Those that look again when more is merged.
    pollers: Vec<Slot>,
    watches: Watches,
    checkpoints: Checkpoints,
    /// Each ring, for what is told at once.
    live_lookups: Vec<RingLookup>,
    /// Each ring, for what has waited.
    queue_lookups: Vec<RingLookup>,
    /// What is told at the moment.
    chunk: Chunk,
    /// Subscriptions of clients that are gone, to be removed, and how many the turn may still remove.
    closed: VecDeque<Slot>,
    may_remove: usize,
    /// The flush that members are being told, over as many turns as that takes.
    flush: Option<Flush>,
    /// How many members the turn may still tell of a flush.
    may_flush: usize,
    counts: HubCounts,
}

/// Who reads the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A subscription that is catching up, or tells what has waited.
    CatchUp,
    /// One whose interest costs too much to be looked for by the shards.
    Demoted,
}

/// What a hub counts, since it began where it is no present number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Subscriptions there are.
    pub subscriptions: u64,
    /// Those of them that are live.
    pub live: u64,
    /// Those of them that never are, for matching what they want costs the shards too much: they read the history.
    pub demoted: u64,
    /// Events told.
    pub events: u64,
    /// Times a subscription has fallen behind.
    pub fell_behind: u64,
    /// Subscriptions dropped for another reason than that the client ended them.
    pub dropped: u64,
}

impl Hub {
    /// Without a subscription. `rings` are those of all shards.
    pub fn new(rings: &[Ring], limits: SubscriptionLimits) -> Hub {
        let shards = rings.len() as u16;
        Hub {
            limits,
            members: Members::default(),
            clients: HashMap::new(),
            interests: Interests::new(shards),
            feeds: Feeds::new(shards),
            merged: Position(0),
            line: VecDeque::new(),
            demoted_line: VecDeque::new(),
            pollers: Vec::new(),
            watches: Watches::default(),
            checkpoints: Checkpoints::default(),
            live_lookups: rings.iter().map(RingLookup::new).collect(),
            queue_lookups: rings.iter().map(RingLookup::new).collect(),
            chunk: Chunk::default(),
            closed: VecDeque::new(),
            may_remove: CLOSED_PER_TURN,
            flush: None,
            may_flush: 0,
            counts: HubCounts::default(),
        }
    }

    /// Counts the memory of its subscriptions on this account, which all hubs of a server share.
    pub fn with_account(mut self, account: Account) -> Hub {
        self.interests.set_account(account);
        self
    }

    /// Drops all subscriptions because the server stops.
    pub fn shut_down(&mut self, outlet: &mut impl Outlet) {
        for index in self.members.indexes() {
            self.drop_member(index, Reason::ShuttingDown, before(self.stands_at(index)), outlet);
        }
    }

    /// What it has counted.
    pub fn counts(&self) -> HubCounts {
        self.counts
    }

    /// The memory of everything that is wanted, in bytes: see [`Interest::memory_bytes`](crate::interest::Interest).
    #[inline]
    pub fn memory_bytes(&self) -> u64 {
        self.interests.memory_bytes
    }

    /// What is to be asked of the shards, in order.
    pub fn take_asks(&mut self) -> Vec<(ShardId, Ask)> {
        std::mem::take(&mut self.interests.asks)
    }

    /// A batch that is used up, as memory for another one: see [`Fanout::keep`](crate::fanout::Fanout::keep).
    pub fn take_spent(&mut self) -> Option<Box<Fanned>> {
        self.feeds.take_spent()
    }

    /// Whether there is nothing to do whatever is published.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.watches.is_empty() && self.interests.asks.is_empty()
    }

    /// Whether it waits for something to be published that no shard will tell it of.
    pub fn waits_for_publication(&self) -> bool {
        !self.pollers.is_empty() || self.watches.has_pollers()
    }

    /// Takes what a shard has sent.
    pub fn receive(&mut self, shard: ShardId, batch: Box<Fanned>, outlet: &mut impl Outlet) {
        for &notice in &batch.notices {
            match notice {
                Notice::Live { number, token, from } => {
                    if self.interests.answer(shard, number, token, from) {
                        self.start_joining(number);
                    }
                }
                Notice::Demoted { number } => {
                    let was_demoted = self.interests.get_mut(number).is_some_and(|row| row.is_demoted);
                    if self.interests.demote(shard, number) {
                        let members = self.interests.members(number).to_vec();
                        self.counts.demoted += if was_demoted { 0 } else { members.len() as u64 };
                        members.into_iter().for_each(|index| self.leave_live(index));
                        self.demote_watchers(number);
                    }
                }
                Notice::Revision { subscription, next, from } => {
                    self.take_revision(subscription, next, from);
                }
            }
        }
        if batch.has_lost {
            self.wake_watchers_on(shard);
            for index in self.members.indexes() {
                let member = &self.members[index];
                if member.is_joined && self.interests.looks_on(member.interest, shard) {
                    self.leave_live(index);
                    self.tell_behind(index, outlet);
                }
            }
        }
        let is_live = self.interests.live_on[shard.0 as usize] > 0;
        self.feeds.push(shard, batch, is_live);
    }

    /// One turn: merges what the shards have sent and tells it, unless `tells_live` says that it is to wait for more;
    /// sends checkpoints; and lets subscriptions read the history a slice at a time, as long as `may_read` says so before
    /// each. Tells whether there is more to do at once.
    pub fn turn(
        &mut self,
        history: &mut History,
        outlet: &mut impl Outlet,
        tells_live: bool,
        mut may_read: impl FnMut(Reading) -> bool,
    ) -> bool {
        if self.members.is_empty() && self.watches.is_empty() {
            return false;
        }
        self.may_remove = CLOSED_PER_TURN;
        self.may_flush = self.limits.flush_members;
        self.remove_closed();
        // What is published now and not merged waits for a turn that nothing else need bring.
        let mut again = !tells_live || !self.closed.is_empty();
        let mut frontier = Position::END;
        if tells_live {
            frontier = self.merge_all(history, outlet);
            again |= self.flush.is_some();
            again |= self.checkpoint_some(outlet);
        }
        while self.has_readers(Reading::CatchUp) && may_read(Reading::CatchUp) {
            self.run_slice(Reading::CatchUp, history, outlet);
        }
        while self.has_readers(Reading::Demoted) && may_read(Reading::Demoted) {
            self.run_slice(Reading::Demoted, history, outlet);
            self.run_watcher(history);
        }
        // What is there and was not below the frontier: another core is about to publish, or has meanwhile, and nothing
        // else need come from it. What is held back by another shard's batch comes with it.
        let waits = |first: Position| first >= frontier;
        let has_readers = self.has_readers(Reading::CatchUp) || self.has_readers(Reading::Demoted);
        again || has_readers || self.feeds.first().is_some_and(waits)
    }

    /// Tells what is complete, and lets those go on who wait for more to be. Answers the frontier that it went by.
    fn merge_all(&mut self, history: &History, outlet: &mut impl Outlet) -> Position {
        let (shards, frontier) = (history.shards(), history.frontier());
        let bound = self.feeds.bound(&self.interests.live_on, frontier, |shard| shards[shard].ring().tail());
        let before = self.merged;
        self.merge(bound, outlet);
        if self.flush.is_none() {
            self.merged = self.merged.max(bound);
        }
        if self.merged > before {
            self.watches.poll();
            for slot in std::mem::take(&mut self.pollers) {
                if let Some(index) = self.members.at(slot) {
                    self.put_in_line(index);
                }
            }
        }
        frontier
    }

    /// Lets the first in a line do a piece of what it has to do.
    fn run_slice(&mut self, reading: Reading, history: &mut History, outlet: &mut impl Outlet) {
        let line = match reading {
            Reading::CatchUp => &mut self.line,
            Reading::Demoted => &mut self.demoted_line,
        };
        let Some(slot) = line.pop_front() else { return };
        let Some(index) = self.members.at(slot) else { return };
        self.members[index].place = Place::Rests;
        match self.slice(index, history, outlet) {
            Place::InLine => self.put_in_line(index),
            Place::Polls => {
                if let Some(member) = self.members.get_mut(index) {
                    member.place = Place::Polls;
                    self.pollers.push(slot);
                }
            }
            Place::Rests => {}
        }
    }

    /// Everything before this was told to a member, where it was wanted.
    fn stands_at(&self, index: u32) -> Position {
        let member = &self.members[index];
        match member.phase {
            Phase::Asked | Phase::Reading | Phase::Joining(_) => member.cursor,
            Phase::Live => {
                let waiting = self.interests.row(member.interest).queue.first(&member.waiting);
                waiting.map_or(self.merged.max(member.cursor), |waiting| waiting.position)
            }
        }
    }

    fn put_in_line(&mut self, index: u32) {
        let member = &mut self.members[index];
        if member.place != Place::InLine {
            member.place = Place::InLine;
            let slot = Slot { index, serial: member.serial };
            if self.interests.row(member.interest).is_demoted {
                self.demoted_line.push_back(slot);
            } else {
                self.line.push_back(slot);
            }
        }
    }

    /// Something has happened to a member: it looks whether it can go on.
    fn wake(&mut self, index: u32) {
        let member = &self.members[index];
        let has_something = match member.phase {
            // Nothing but a publication helps it.
            _ if member.place == Place::Polls => false,
            Phase::Asked => false,
            Phase::Reading | Phase::Joining(_) => true,
            Phase::Live => !member.waiting.is_empty() || member.checkpoint_due().is_some_and(|due| due <= self.merged),
        };
        if has_something {
            self.put_in_line(index);
        }
    }

    /// All shards look for an interest from now on: those that rely on it read up to there.
    fn start_joining(&mut self, number: u32) {
        let from = self.interests.live_from(number);
        self.interests.row_mut(number).sound_from = from.map(|from| from.max(self.merged));
        for index in self.interests.members(number).to_vec() {
            self.join(index);
        }
        self.settle_watchers(number);
    }

    /// Lets a member that relies on its interest read up to where that is looked for on all shards, if it is.
    fn join(&mut self, index: u32) {
        let member = &mut self.members[index];
        if member.phase == Phase::Reading
            && member.is_joined
            && let Some(from) = self.interests.live_from(member.interest)
        {
            // A member that joins while a flush is being told reads that flush from the history.
            let merging = self.flush.as_ref().map_or(self.merged, |flush| flush.position().next());
            member.phase = Phase::Joining(from.max(merging).max(member.cursor));
            self.put_in_line(index);
        }
    }

    /// Takes a shard's answer to [`Ask::Revision`].
    fn take_revision(&mut self, subscription: u64, next: u64, from: Position) {
        let Some(index) = self.members.at(Slot::from_token(subscription)) else { return };
        let member = &mut self.members[index];
        member.phase = Phase::Reading;
        member.begin = member.begin.answer(next, from);
        self.put_in_line(index);
    }

    /// Too much waits for a member: it reads the history again, or is dropped if it wants that.
    fn fall_behind(&mut self, index: u32, outlet: &mut impl Outlet) {
        if self.members[index].on_slow == OnSlow::Drop {
            self.drop_member(index, Reason::TooSlow, before(self.stands_at(index)), outlet);
        } else {
            self.leave_live(index);
            self.tell_behind(index, outlet);
        }
    }

    /// Tells a member that it reads the history again.
    fn tell_behind(&mut self, index: u32, outlet: &mut impl Outlet) {
        let member = &mut self.members[index];
        if std::mem::take(&mut member.is_caught_up) {
            self.counts.fell_behind += 1;
            outlet.push(member.client, member.id, Push::FellBehind(before(member.cursor)));
        }
    }

    /// Ends a subscription for a reason of the server's.
    fn drop_member(&mut self, index: u32, reason: Reason, position: Position, outlet: &mut impl Outlet) {
        let member = &self.members[index];
        outlet.push(member.client, member.id, Push::Dropped(reason, position));
        self.counts.dropped += 1;
        self.remove(index);
    }

    fn remove(&mut self, index: u32) {
        self.leave_live(index);
        let member = &self.members[index];
        let (client, id, place) = (member.client, member.id, member.interest_place);
        let row = self.interests.row(member.interest);
        let bytes = SUBSCRIPTION_BYTES + row.interest.memory_bytes();
        self.counts.demoted -= u64::from(row.is_demoted);
        if let Some(moved) = self.interests.leave(member.interest, place) {
            self.members[moved].interest_place = place;
        }
        self.members.remove(index);
        self.counts.subscriptions -= 1;
        if let Some(owner) = self.clients.get_mut(&client) {
            owner.members.retain(|row| row.0 != id);
            owner.bytes -= bytes;
        }
        if self.members.is_empty() {
            // Nobody is left who would look at these.
            self.line.clear();
            self.demoted_line.clear();
            self.pollers.clear();
            self.closed.clear();
        }
    }

    /// Lets a member go back to reading the history, from where it stands. What waits for it is read again.
    fn leave_live(&mut self, index: u32) {
        let stands_at = self.stands_at(index);
        let member = &mut self.members[index];
        if member.phase == Phase::Live {
            self.counts.live -= 1;
            member.cursor = stands_at;
        }
        if !matches!(member.phase, Phase::Asked) {
            member.phase = Phase::Reading;
        }
        self.interests.row_mut(member.interest).queue.clear(&mut member.waiting);
        if std::mem::take(&mut member.is_joined) {
            let number = member.interest;
            self.interests.part(number);
            self.put_in_line(index);
        }
    }
}
