//! The subscriptions of one core: each reads the history until it has caught up, then gets live events, and reads again
//! when it is too slow.
//!
//! ```text
//!            reads pages of the history        the shards match records against its interest
//!   asked ─► reading ───────────────► joining ───────────────► live
//!              ▲                         │ queue full             │ queue full, or a shard has skipped records
//!              └─────────────────────────┴────────────────────────┘
//! ```
//!
//! The core has one position up to which it has merged the shards' events, `merged`: live subscriptions were sent
//! everything before it. Others read the history up to there at the most. A subscription that reaches it has its interest
//! made live on the shards, each of which answers from which position on it matches records against the interest. Events
//! from the highest of these positions on wait in the subscription's queue, and once it has read up to that position, it is
//! live. So it misses no event and gets none twice, whenever the answers come.
//!
//! | file | what is in it |
//! |---|---|
//! | `clients` | the requests of clients |
//! | `member` | one subscription |
//! | `begin` | where a subscription starts |
//! | `queue` | the events that wait for the members of an interest |
//! | `interests` | the interests of the members, and on which shards they are live |
//! | `feeds` | the shards' batches, merged |
//! | `reading`, `page`, `shared_catch_up` | a slice of catching up, for one member or for several together |
//! | `live` | delivery of the events that the shards have found |
//! | `checkpoints` | checkpoints of members that get no events |
//! | `watches` | commands that wait for an event |

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
mod shared_catch_up;
mod slab;
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
use member::{Phase, Schedule, before};
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
    /// Live members were sent everything before this position.
    merged: Position,
    /// The members with work to do.
    ready: VecDeque<Slot>,
    /// Those of demoted interests. They always read the history, and get less of a turn's time.
    demoted_ready: VecDeque<Slot>,
    /// The members that become ready when more is merged.
    pollers: Vec<Slot>,
    watches: Watches,
    checkpoints: Checkpoints,
    /// Lookups in each ring for events that are delivered at once.
    live_lookups: Vec<RingLookup>,
    /// Lookups in each ring for events that have waited.
    queue_lookups: Vec<RingLookup>,
    /// The events that are being delivered.
    chunk: Chunk,
    /// Subscriptions of clients that are gone, to be removed, and how many the turn may still remove.
    closed: VecDeque<Slot>,
    may_remove: usize,
    /// The flush that is being delivered, in as many turns as that takes.
    flush: Option<Flush>,
    /// To how many members the turn may still deliver a flush.
    may_flush: usize,
    counts: HubCounts,
}

/// The kinds of slices that read the history, each with a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A subscription that is catching up, or is sent events that have waited.
    CatchUp,
    /// A subscription or watcher whose interest is too expensive for the shards to match.
    Demoted,
}

/// The figures of a hub: present numbers, and totals since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// Present subscriptions.
    pub subscriptions: u64,
    /// Present subscriptions that are live.
    pub live: u64,
    /// Present subscriptions of demoted interests: matching is too expensive for the shards, so they read the history.
    pub demoted: u64,
    /// Events delivered, in total.
    pub events: u64,
    /// How often a subscription has fallen behind, in total.
    pub fell_behind: u64,
    /// Subscriptions that the server has ended, in total.
    pub dropped: u64,
}

impl Hub {
    /// A hub without subscriptions. `rings` are those of all shards.
    pub fn new(rings: &[Ring], limits: SubscriptionLimits) -> Hub {
        let shards = rings.len() as u16;
        Hub {
            limits,
            members: Members::default(),
            clients: HashMap::new(),
            interests: Interests::new(shards),
            feeds: Feeds::new(shards),
            merged: Position(0),
            ready: VecDeque::new(),
            demoted_ready: VecDeque::new(),
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

    /// Counts the memory of the hub's subscriptions on this account, which all hubs of a server share.
    pub fn with_account(mut self, account: Account) -> Hub {
        self.interests.set_account(account);
        self
    }

    /// Drops all subscriptions because the server stops.
    pub fn shut_down(&mut self, outlet: &mut impl Outlet) {
        for index in self.members.indexes() {
            self.drop_member(index, Reason::ShuttingDown, before(self.progress(index)), outlet);
        }
    }

    /// The hub's figures.
    pub fn counts(&self) -> HubCounts {
        self.counts
    }

    /// The memory of all interests, in bytes: see [`Interest::memory_bytes`](crate::interest::Interest).
    #[inline]
    pub fn memory_bytes(&self) -> u64 {
        self.interests.memory_bytes
    }

    /// Takes the requests to the shards, in order.
    pub fn take_asks(&mut self) -> Vec<(ShardId, Ask)> {
        std::mem::take(&mut self.interests.asks)
    }

    /// Takes a batch that is used up, for its memory: see [`Fanout::keep`](crate::fanout::Fanout::keep).
    pub fn take_spent(&mut self) -> Option<Box<Fanned>> {
        self.feeds.take_spent()
    }

    /// Whether the hub has nothing to do, whatever the shards publish.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.watches.is_empty() && self.interests.asks.is_empty()
    }

    /// Whether the hub waits for publications that no shard will send it a batch for.
    pub fn waits_for_publication(&self) -> bool {
        !self.pollers.is_empty() || self.watches.has_pollers()
    }

    /// Takes a batch of a shard.
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
                if member.is_joined && self.interests.covers(member.interest, shard) {
                    self.leave_live(index);
                    self.push_fell_behind(index, outlet);
                }
            }
        }
        let is_live = self.interests.live_on[shard.0 as usize] > 0;
        self.feeds.push(shard, batch, is_live);
    }

    /// Runs one turn. If `delivers_live`, merges and delivers the events that the shards have sent, and sends checkpoints;
    /// otherwise they wait for a later turn and leave together. Then lets subscriptions read the history, slice by slice,
    /// while `may_read` allows it. Returns whether there is more to do at once.
    pub fn turn(
        &mut self,
        history: &mut History,
        outlet: &mut impl Outlet,
        delivers_live: bool,
        mut may_read: impl FnMut(Reading) -> bool,
    ) -> bool {
        if self.members.is_empty() && self.watches.is_empty() {
            return false;
        }
        self.may_remove = CLOSED_PER_TURN;
        self.may_flush = self.limits.flush_members;
        self.remove_closed();
        // Without live delivery another turn is needed, and nothing else may cause one.
        let mut again = !delivers_live || !self.closed.is_empty();
        let mut frontier = Position::END;
        if delivers_live {
            frontier = self.merge_all(history, outlet);
            again |= self.flush.is_some();
            again |= self.send_due_checkpoints(outlet);
        }
        while self.has_readers(Reading::CatchUp) && may_read(Reading::CatchUp) {
            self.run_slice(Reading::CatchUp, history, outlet);
        }
        while self.has_readers(Reading::Demoted) && may_read(Reading::Demoted) {
            self.run_slice(Reading::Demoted, history, outlet);
            self.run_watcher(history);
        }
        // An event at or behind the frontier waits until another core has published, which may send this core nothing. An
        // event below the frontier waits for another shard's batch, which causes a turn.
        let waits = |first: Position| first >= frontier;
        let has_readers = self.has_readers(Reading::CatchUp) || self.has_readers(Reading::Demoted);
        again || has_readers || self.feeds.first().is_some_and(waits)
    }

    /// Delivers all events that are complete, and makes the polling members ready if there were any. Returns the frontier
    /// that it has read.
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
                    self.make_ready(index);
                }
            }
        }
        frontier
    }

    /// Runs a slice of the first ready member.
    fn run_slice(&mut self, reading: Reading, history: &mut History, outlet: &mut impl Outlet) {
        let queue = match reading {
            Reading::CatchUp => &mut self.ready,
            Reading::Demoted => &mut self.demoted_ready,
        };
        let Some(slot) = queue.pop_front() else { return };
        let Some(index) = self.members.at(slot) else { return };
        self.members[index].schedule = Schedule::Idle;
        match self.slice(index, history, outlet) {
            Schedule::Ready => self.make_ready(index),
            Schedule::Polling => {
                if let Some(member) = self.members.get_mut(index) {
                    member.schedule = Schedule::Polling;
                    self.pollers.push(slot);
                }
            }
            Schedule::Idle => {}
        }
    }

    /// The position before which a member was sent all events that it wants.
    fn progress(&self, index: u32) -> Position {
        let member = &self.members[index];
        match member.phase {
            Phase::Asked | Phase::Reading | Phase::Joining(_) => member.cursor,
            Phase::Live => {
                let waiting = self.interests.row(member.interest).queue.first(&member.waiting);
                waiting.map_or(self.merged.max(member.cursor), |waiting| waiting.position)
            }
        }
    }

    fn make_ready(&mut self, index: u32) {
        let member = &mut self.members[index];
        if member.schedule != Schedule::Ready {
            member.schedule = Schedule::Ready;
            let slot = Slot { index, serial: member.serial };
            if self.interests.row(member.interest).is_demoted {
                self.demoted_ready.push_back(slot);
            } else {
                self.ready.push_back(slot);
            }
        }
    }

    /// Makes a member ready if it has work to do, after it got room or credit.
    fn wake(&mut self, index: u32) {
        let member = &self.members[index];
        let has_work = match member.phase {
            // It waits for publications.
            _ if member.schedule == Schedule::Polling => false,
            Phase::Asked => false,
            Phase::Reading | Phase::Joining(_) => true,
            Phase::Live => !member.waiting.is_empty() || member.checkpoint_due().is_some_and(|due| due <= self.merged),
        };
        if has_work {
            self.make_ready(index);
        }
    }

    /// Lets the members of an interest join that is now live on all its shards.
    fn start_joining(&mut self, number: u32) {
        let from = self.interests.live_from(number);
        self.interests.row_mut(number).sound_from = from.map(|from| from.max(self.merged));
        for index in self.interests.members(number).to_vec() {
            self.join(index);
        }
        self.settle_watchers(number);
    }

    /// Lets a reading member join if its interest is live on all its shards: it reads up to the position from which on it
    /// is.
    fn join(&mut self, index: u32) {
        let member = &mut self.members[index];
        if member.phase == Phase::Reading
            && member.is_joined
            && let Some(from) = self.interests.live_from(member.interest)
        {
            // A member that joins while a flush is being delivered reads that flush from the history.
            let merging = self.flush.as_ref().map_or(self.merged, |flush| flush.position().next());
            member.phase = Phase::Joining(from.max(merging).max(member.cursor));
            self.make_ready(index);
        }
    }

    /// Takes a shard's answer to [`Ask::Revision`].
    fn take_revision(&mut self, subscription: u64, next: u64, from: Position) {
        let Some(index) = self.members.at(Slot::from_token(subscription)) else { return };
        let member = &mut self.members[index];
        member.phase = Phase::Reading;
        member.begin = member.begin.answer(next, from);
        self.make_ready(index);
    }

    /// Handles a full queue of a member: it reads the history again, or is dropped, as its client chose.
    fn fall_behind(&mut self, index: u32, outlet: &mut impl Outlet) {
        if self.members[index].on_slow == OnSlow::Drop {
            self.drop_member(index, Reason::TooSlow, before(self.progress(index)), outlet);
        } else {
            self.leave_live(index);
            self.push_fell_behind(index, outlet);
        }
    }

    /// Sends [`Push::FellBehind`] to a member that was caught up.
    fn push_fell_behind(&mut self, index: u32, outlet: &mut impl Outlet) {
        let member = &mut self.members[index];
        if std::mem::take(&mut member.is_caught_up) {
            self.counts.fell_behind += 1;
            outlet.push(member.client, member.id, Push::FellBehind(before(member.cursor)));
        }
    }

    /// Ends a subscription for another reason than its client's request.
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
            // What is left in these queues is of members that are gone.
            self.ready.clear();
            self.demoted_ready.clear();
            self.pollers.clear();
            self.closed.clear();
        }
    }

    /// Returns a member to reading the history, from its progress on. Events that waited for it are read again.
    fn leave_live(&mut self, index: u32) {
        let progress = self.progress(index);
        let member = &mut self.members[index];
        if member.phase == Phase::Live {
            self.counts.live -= 1;
            member.cursor = progress;
        }
        if !matches!(member.phase, Phase::Asked) {
            member.phase = Phase::Reading;
        }
        self.interests.row_mut(member.interest).queue.clear(&mut member.waiting);
        if std::mem::take(&mut member.is_joined) {
            let number = member.interest;
            self.interests.part(number);
            self.make_ready(index);
        }
    }
}
