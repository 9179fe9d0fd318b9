//! What the members of a hub want, each interest once however many share it, and on which shards it is live.

use super::queue::Queue;
use super::watches::WatcherId;
use crate::account::{Account, Share};
use crate::fanout::Ask;
use crate::interest::Interest;
use crate::position::{Position, ShardId};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The interests of one core. The numbers are those by which the shards know them.
pub(super) struct Interests {
    rows: Vec<Option<Row>>,
    free: Vec<u32>,
    by_interest: HashMap<Arc<Interest>, u32>,
    shards: u16,
    /// What all subscriptions of the server may take.
    account: Account,
    /// What the interests take, in bytes: see [`Interest::memory_bytes`].
    pub memory_bytes: u64,
    next_token: u64,
    /// On how many interests' answers the merge relies, for each shard.
    pub live_on: Vec<u32>,
    /// The interests that want an event of the chunk that is told, each once.
    pub touched: Vec<u32>,
    /// What is to be asked of the shards.
    pub asks: Vec<(ShardId, Ask)>,
}

/// One interest.
pub(super) struct Row {
    pub interest: Arc<Interest>,
    /// The memory that it takes.
    _share: Share,
    /// The shards that can have something for it.
    shards: Range<u16>,
    /// The subscriptions that want it, by their places in the hub.
    pub members: Vec<u32>,
    /// Those who wait for one of its events.
    pub watchers: Vec<WatcherId>,
    /// How many of both rely on it being live.
    joined: usize,
    token: u64,
    /// The shards that have answered the token.
    answered: Vec<ShardId>,
    /// From which position on all that have answered look for it.
    from: Position,
    /// From which position on every event that it wants is noted when it is merged; none where it is not live on all
    /// shards.
    pub sound_from: Option<Position>,
    /// The last event that was noted.
    pub noted: Option<Position>,
    /// Whether a shard found it too expensive: its members then read the history for good.
    pub is_demoted: bool,
    /// The events that it wants of the chunk that is told, by their places in it.
    pub found: Vec<u32>,
    /// What waits for its members.
    pub queue: Queue,
}

impl Row {
    /// Whether it is this interest.
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

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// What all subscriptions may take.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Counts what is wanted from now on on this account.
    pub fn set_account(&mut self, account: Account) {
        self.account = account;
    }

    /// Whether somebody wants the same.
    pub fn is_known(&self, interest: &Interest) -> bool {
        self.by_interest.contains_key(interest)
    }

    /// Whether a shard can have something for an interest.
    pub fn looks_on(&self, number: u32, shard: ShardId) -> bool {
        self.row(number).shards.contains(&shard.0)
    }

    /// Adds a member to an interest, which is made where nobody shares it; answers its number, and the member's place
    /// in it.
    pub fn enter(&mut self, interest: Interest, member: u32) -> (u32, u32) {
        let number = self.number_of(Arc::new(interest));
        let members = &mut self.row_mut(number).members;
        members.push(member);
        (number, members.len() as u32 - 1)
    }

    /// The number of an interest, which is made where nobody shares it.
    pub fn number_of(&mut self, interest: Arc<Interest>) -> u32 {
        if let Some(&number) = self.by_interest.get(&interest) {
            return number;
        }
        let mut share = self.account.share();
        let bytes = interest.memory_bytes();
        share.set(bytes);
        self.memory_bytes += bytes;
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
            is_demoted: false,
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

    /// Takes the member at a place out. It has not joined, or has left before. Answers the member that is at this place
    /// now, if one is.
    pub fn leave(&mut self, number: u32, place: u32) -> Option<u32> {
        let row = self.row_mut(number);
        row.members.swap_remove(place as usize);
        let moved = row.members.get(place as usize).copied();
        self.free_unused(number);
        moved
    }

    /// Forgets an interest that nobody shares any more.
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

    /// The interest that a shard has found something for; none where it is gone.
    ///
    /// The number may be that of a later interest by now. What a shard has found for the earlier one came before its
    /// answer to the later one, so it is below the position from which that one is told anything; and a shard that the
    /// later one did not ask has nothing for it.
    #[inline]
    pub fn row_on(&mut self, number: u32, shard: ShardId) -> Option<&mut Row> {
        self.get_mut(number).filter(|row| row.shards.contains(&shard.0))
    }

    /// The members of an interest.
    pub fn members(&self, number: u32) -> &[u32] {
        &self.row(number).members
    }

    /// A member relies on the interest being live from now on; the first one has the shards asked.
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

    /// A member relies on it no longer; with the last one the shards are told.
    pub fn part(&mut self, number: u32) {
        let row = self.row_mut(number);
        row.joined -= 1;
        if row.joined > 0 {
            return;
        }
        row.queue.shrink();
        row.sound_from = None;
        // No answer that is still on its way is for anyone now.
        row.token = 0;
        let shards = row.shards.clone();
        for shard in std::mem::take(&mut row.answered) {
            self.live_on[shard.0 as usize] -= 1;
        }
        for shard in shards {
            self.asks.push((ShardId(shard), Ask::Remove { number }));
        }
    }

    /// From which position on it is live on all shards that can have something for it; none as long as it is not.
    pub fn live_from(&self, number: u32) -> Option<Position> {
        let row = self.row(number);
        (row.joined > 0 && row.answered.len() == row.shards.len()).then_some(row.from)
    }

    /// Takes a shard's answer; tells whether the interest is now live on all shards.
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

    /// A shard has given the interest up; tells whether there is anyone to be told.
    pub fn demote(&mut self, shard: ShardId, number: u32) -> bool {
        let Some(row) = self.get_mut(number) else { return false };
        // What was given up may have been an earlier one of the same number.
        let Some(place) = row.answered.iter().position(|one| *one == shard) else { return false };
        row.answered.swap_remove(place);
        row.is_demoted = true;
        row.sound_from = None;
        self.live_on[shard.0 as usize] -= 1;
        true
    }
}
