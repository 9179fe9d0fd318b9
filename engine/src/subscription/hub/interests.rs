//! The interests of a hub's members. Members with the same interest share one row, which knows the shards on which the
//! interest is live.

use super::queue::Queue;
use super::watches::WatcherId;
use crate::account::{Account, Share};
use crate::fanout::Ask;
use crate::filter::Pattern;
use crate::interest::Interest;
use crate::limits::MATCHED_ALONE_MAX;
use crate::position::{Position, ShardId};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The interests of one core. The shards know them by the same numbers.
pub(super) struct Interests {
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    by_interest: HashMap<Arc<Interest>, u32>,
    shards: u16,
    /// The memory that all subscriptions of the server may take.
    account: Account,
    /// The memory of the interests, in bytes: see [`Interest::memory_bytes`].
    pub memory_bytes: u64,
    next_token: u64,
    /// The number of live interests by shard.
    pub live_on: Vec<u32>,
    /// The interests with an event in the current chunk, each once.
    pub touched: Vec<u32>,
    /// Requests to the shards that are to be sent.
    pub asks: Vec<(ShardId, Ask)>,
}

/// One interest.
pub(super) struct Row {
    pub interest: Arc<Interest>,
    /// The share of the account for its memory.
    _share: Share,
    /// The shards that can have events that it wants.
    shards: Range<u16>,
    /// The subscriptions that share it, by their indexes in the hub.
    pub members: Vec<u32>,
    /// The watchers that wait for an event that it wants.
    pub watchers: Vec<WatcherId>,
    /// How many members and watchers rely on it being live.
    joined: usize,
    token: u64,
    /// The shards that have answered the request with `token`.
    answered: Vec<ShardId>,
    /// All shards that have answered match records against it from this position on.
    from: Position,
    /// Every event that it wants, from this position on, is noted in `noted` when it is merged. `None` while the interest is
    /// not live on all shards.
    pub sound_from: Option<Position>,
    /// The position of the last noted event.
    pub noted: Option<Position>,
    /// Whether matching it was too expensive for a shard. Its members then always read the history.
    pub is_demoted: bool,
    /// The events of the current chunk that it wants, by their indexes in the chunk.
    pub found: Vec<u32>,
    /// The events that wait for its members.
    pub queue: Queue,
}

impl Row {
    /// Whether the row belongs to this interest.
    pub fn is_of(&self, interest: &Arc<Interest>) -> bool {
        Arc::ptr_eq(&self.interest, interest) || self.interest == *interest
    }
}

impl Interests {
    pub fn new(shards: u16) -> Interests {
        Interests {
            rows: Vec::new(),
            free: Vec::new(),
            by_interest: HashMap::new(),
            shards,
            account: Account::default(),
            memory_bytes: 0,
            next_token: 0,
            live_on: vec![0; shards as usize],
            touched: Vec::new(),
            asks: Vec::new(),
        }
    }

    /// The number of shards.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// The account of all subscriptions' memory.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Counts the memory of later subscriptions on this account.
    pub fn set_account(&mut self, account: Account) {
        self.account = account;
    }

    /// Whether another subscription or watcher has the same interest.
    pub fn is_known(&self, interest: &Interest) -> bool {
        self.by_interest.contains_key(interest)
    }

    /// Whether a shard can have events of an interest.
    pub fn covers(&self, number: u32, shard: ShardId) -> bool {
        self.row(number).shards.contains(&shard.0)
    }

    /// Adds a member to an interest, and the interest if it is new. Returns the interest's number, and the member's place
    /// among its members.
    pub fn enter(&mut self, interest: Interest, member: u32) -> (u32, u32) {
        let number = self.number_of(Arc::new(interest));
        let members = &mut self.row_mut(number).members;
        members.push(member);
        (number, members.len() as u32 - 1)
    }

    /// Whether another pattern may be live that each record's names are matched against alone.
    fn admits_alone(&self, interest: &Interest) -> bool {
        let is_live = |row: &&Row| row.interest.filter.pattern().is_matched_alone() && !row.is_demoted;
        let is_cheap = !matches!(interest.filter.pattern(), Pattern::Lookaround(_));
        is_cheap && self.rows.iter().flatten().filter(is_live).count() < MATCHED_ALONE_MAX
    }

    /// The number of an interest, which is added if it is new.
    pub fn number_of(&mut self, interest: Arc<Interest>) -> u32 {
        if let Some(&number) = self.by_interest.get(&interest) {
            return number;
        }
        let mut share = self.account.share();
        let bytes = interest.memory_bytes();
        share.set(bytes);
        self.memory_bytes += bytes;
        let is_alone = interest.filter.pattern().is_matched_alone();
        let row = Row {
            shards: interest.source.shards(self.shards),
            interest: interest.clone(),
            _share: share,
            members: Vec::new(),
            watchers: Vec::new(),
            joined: 0,
            token: 0,
            answered: Vec::new(),
            from: Position(0),
            sound_from: None,
            noted: None,
            is_demoted: is_alone && !self.admits_alone(&interest),
            found: Vec::new(),
            queue: Queue::new(self.account.share()),
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            self.rows.len() as u32 - 1
        });
        self.rows[number as usize] = Some(row);
        self.by_interest.insert(interest, number);
        number
    }

    /// Removes the member at a place. The member must have parted from the interest ([`Interests::part`]). Returns the member
    /// that moves to its place, if one does.
    pub fn leave(&mut self, number: u32, place: u32) -> Option<u32> {
        let row = self.row_mut(number);
        row.members.swap_remove(place as usize);
        let moved = row.members.get(place as usize).copied();
        self.free_unused(number);
        moved
    }

    /// Removes an interest without members and watchers.
    pub fn free_unused(&mut self, number: u32) {
        let row = self.row(number);
        if row.members.is_empty() && row.watchers.is_empty() {
            let interest = row.interest.clone();
            self.by_interest.remove(&interest);
            self.memory_bytes -= interest.memory_bytes();
            self.rows[number as usize] = None;
            self.free.push(number);
        }
    }

    pub fn row(&self, number: u32) -> &Row {
        match &self.rows[number as usize] {
            Some(row) => row,
            None => unreachable!("a member's interest is there as long as the member"),
        }
    }

    pub fn row_mut(&mut self, number: u32) -> &mut Row {
        match &mut self.rows[number as usize] {
            Some(row) => row,
            None => unreachable!("a member's interest is there as long as the member"),
        }
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut Row> {
        self.rows.get_mut(number as usize)?.as_mut()
    }

    /// The interest for which a shard has found an event; `None` if it was removed.
    ///
    /// The number may meanwhile belong to a later interest. That does no harm: events that a shard found for the earlier
    /// interest lie below its answer to the later one, and no member of the later one is sent those. A shard that was not
    /// asked about the later interest is filtered out here.
    #[inline]
    pub fn row_on(&mut self, number: u32, shard: ShardId) -> Option<&mut Row> {
        self.get_mut(number).filter(|row| row.shards.contains(&shard.0))
    }

    /// The members of an interest.
    pub fn members(&self, number: u32) -> &[u32] {
        &self.row(number).members
    }

    /// Notes that one more member relies on the interest being live. For the first one, the shards are asked.
    pub fn join(&mut self, number: u32) {
        let row = self.row_mut(number);
        row.joined += 1;
        if row.joined > 1 {
            return;
        }
        self.next_token += 1;
        let token = self.next_token;
        let row = self.row_mut(number);
        (row.token, row.from) = (token, Position(0));
        row.answered.clear();
        let (shards, interest) = (row.shards.clone(), row.interest.clone());
        for shard in shards {
            self.asks.push((ShardId(shard), Ask::Add { number, token, interest: interest.clone() }));
        }
    }

    /// Notes that one member fewer relies on the interest being live. After the last one, the shards are asked to remove
    /// it.
    pub fn part(&mut self, number: u32) {
        let row = self.row_mut(number);
        row.joined -= 1;
        if row.joined > 0 {
            return;
        }
        row.queue.shrink();
        row.sound_from = None;
        // Answers that are still under way no longer count.
        row.token = 0;
        let shards = row.shards.clone();
        for shard in std::mem::take(&mut row.answered) {
            self.live_on[shard.0 as usize] -= 1;
        }
        for shard in shards {
            self.asks.push((ShardId(shard), Ask::Remove { number }));
        }
    }

    /// The position from which on the interest is live on all of its shards; `None` while it is not.
    pub fn live_from(&self, number: u32) -> Option<Position> {
        let row = self.row(number);
        (row.joined > 0 && row.answered.len() == row.shards.len()).then_some(row.from)
    }

    /// Takes a shard's answer. Returns whether the interest is now live on all shards.
    pub fn answer(&mut self, shard: ShardId, number: u32, token: u64, from: Position) -> bool {
        let Some(row) = self.get_mut(number) else { return false };
        if row.token != token || row.answered.contains(&shard) {
            return false;
        }
        row.answered.push(shard);
        row.from = row.from.max(from);
        self.live_on[shard.0 as usize] += 1;
        self.live_from(number).is_some()
    }

    /// Notes that a shard has demoted the interest. Returns false if the notice was for an earlier interest of the same
    /// number.
    pub fn demote(&mut self, shard: ShardId, number: u32) -> bool {
        let Some(row) = self.get_mut(number) else { return false };
        let Some(place) = row.answered.iter().position(|one| *one == shard) else { return false };
        row.answered.swap_remove(place);
        row.is_demoted = true;
        row.sound_from = None;
        self.live_on[shard.0 as usize] -= 1;
        true
    }
}
