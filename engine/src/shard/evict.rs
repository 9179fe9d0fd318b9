//! Eviction: keys are removed so that the memory of the shard's keys is within the part of the limit that the shard has
//! claimed. Each removal is an `Evict` event of the key's stream.

use super::Shard;
use crate::event::EventType;
use crate::eviction::{HAND_KEYS_MAX, HAND_SKIPS_MAX, PROBATION, Policy, Pool, Way};
use crate::keyspace::{Block, Entry, EntryMut, Footprint, Found, Keys, Seen, Word};
use crate::limits::{EVICT_COMMAND_MAX, EVICT_LOOKS, EVICT_SLICE, SLOT_BYTES};
use crate::turn::Turn;
use std::sync::Arc;

/// The part of the limit that a shard has.
#[derive(Default)]
pub(super) struct Quota {
    pool: Option<Arc<Pool>>,
    /// The version of the pool's settings that the shard has.
    version: u64,
    /// The bytes that are claimed.
    claimed: u64,
}

/// Whether a key was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evicted {
    Yes,
    /// None may go.
    No,
    /// The search goes on another time.
    Later,
}

/// What came of the search for a key to evict.
#[derive(Clone, Copy, Debug)]
enum Victim {
    This(Found),
    /// None may go.
    None,
    /// None was found by a look at so many: the search goes on another time.
    Later,
}

/// Whether there is memory for a command that may use more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// There is.
    Enough,
    /// There is none, and no key may be evicted.
    Full,
}

impl Shard {
    /// Shares a limit with the shards that have the same pool.
    pub fn set_pool(&mut self, pool: Arc<Pool>) {
        self.quota = Quota { pool: Some(pool), version: u64::MAX, claimed: 0 };
        self.take_settings();
    }

    /// The limit's pool.
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        self.quota.pool.as_ref()
    }

    /// The keys that were evicted since the shard began.
    pub fn evicted(&self) -> u64 {
        self.counts.evicted
    }

    /// The memory that eviction itself takes, in bytes.
    pub fn eviction_bytes(&self) -> usize {
        self.turn.evictor.bytes()
    }

    /// Takes over limit and policy, if they were changed.
    fn take_settings(&mut self) {
        let Some(pool) = self.quota.pool.clone() else { return };
        let version = pool.version();
        if self.quota.version == version {
            return;
        }
        self.quota.version = version;
        let is_limited = pool.limit() > 0;
        self.turn.evictor.set(pool.policy(), is_limited);
        if !is_limited {
            pool.release(std::mem::take(&mut self.quota.claimed));
            self.turn.footprint.set_allowed(u64::MAX);
            return;
        }
        // What there is already is claimed, even beyond the limit: the debt is paid by evicting.
        let used = self.turn.footprint.used_bytes();
        pool.claim_all(used.saturating_sub(self.quota.claimed));
        self.set_claimed(used.max(self.quota.claimed));
    }

    fn set_claimed(&mut self, bytes: u64) {
        self.quota.claimed = bytes;
        self.turn.footprint.set_allowed(bytes);
    }

    /// Keeps the shard's part of the limit right, and evicts a slice if the keys have more. To be called in each turn.
    /// Returns whether there is more to evict.
    pub fn evict_some(&mut self) -> bool {
        if self.quota.pool.as_ref().is_some_and(|pool| pool.version() != self.quota.version) {
            self.take_settings();
        }
        if self.turn.footprint.allowed() == u64::MAX {
            return false;
        }
        let Some(pool) = self.quota.pool.clone() else { return false };
        self.tidy_probation();
        let has_more = self.settle_claim(&pool);
        let keys = self.turn.live_keys as u64;
        let (uses, regrets) = (self.turn.evictor.uses(), self.turn.evictor.take_regretted());
        pool.show(self.id.0.into(), self.quota.claimed, keys, uses, regrets);
        pool.steer();
        has_more && !self.turn.is_full()
    }

    /// Evicts what is above the claim, gives back what is not used, pays debts, and moves towards what the shard should
    /// have, all of it by a slice at most. Returns whether there is more to evict.
    fn settle_claim(&mut self, pool: &Pool) -> bool {
        self.set_claimed(self.quota.claimed);
        // What the last command has added is not claimed yet.
        self.claim_for(pool, self.turn.footprint.used_bytes());
        let (claimed, step) = (self.quota.claimed, pool.claim_bytes());
        let is_above = |target| !pool.has_room() && claimed > target + step;
        let goal = match pool.share_of_debt(claimed) {
            0 if pool.target(self.id.0.into()).is_some_and(is_above) => claimed - step,
            0 => claimed,
            debt => claimed - debt,
        };
        let mut looks = EVICT_LOOKS;
        for _ in 0..EVICT_SLICE {
            if self.turn.footprint.used_bytes() <= goal {
                break;
            }
            self.make_room();
            // What is given up is not replaced: what is left is moved together once it was much.
            match if self.turn.is_full() { Evicted::No } else { self.evict_one(&mut looks, false) } {
                Evicted::Yes => {}
                Evicted::Later => break,
                Evicted::No => {
                    // Nothing more can be given up; memory that is in use stays claimed. While all shards have more than the
                    // limit, nothing may be added.
                    self.release_to(pool, goal);
                    let owed = pool.share_of_debt(self.quota.claimed);
                    self.turn.footprint.set_allowed(self.quota.claimed - owed);
                    return false;
                }
            }
        }
        let used = self.turn.footprint.used_bytes();
        let kept = if claimed > used + 4 * step { used + 2 * step } else { claimed };
        self.release_to(pool, goal.min(kept));
        used > goal || pool.share_of_debt(self.quota.claimed) > 0
    }

    /// Gives back what is claimed above `goal`, but nothing that is in use.
    fn release_to(&mut self, pool: &Pool, goal: u64) {
        let kept = goal.max(self.turn.footprint.used_bytes());
        if kept < self.quota.claimed {
            pool.release(self.quota.claimed - kept);
            self.set_claimed(kept);
        }
    }

    /// Makes room for a command that may use more memory, `more` bytes perhaps: claims a part of the limit, or evicts keys.
    /// To be called before the command, if [`Shard::is_over`].
    #[cold]
    pub fn make_memory(&mut self, more: u64) -> Memory {
        let Some(pool) = self.quota.pool.clone() else { return Memory::Enough };
        self.evict_until(&pool, more, EVICT_COMMAND_MAX, true)
    }

    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.turn.footprint.allowed() != u64::MAX
    }

    /// Whether the keys have more memory than the shard has claimed, or would with so many bytes more.
    #[inline]
    pub fn is_over(&self, more: u64) -> bool {
        self.turn.footprint.used_bytes().saturating_add(more) > self.turn.footprint.allowed()
    }

    /// Claims as much as `wanted` bytes need, if there is as much and the shard may have it; returns whether anything was claimed.
    fn claim_for(&mut self, pool: &Pool, wanted: u64) -> bool {
        let (claimed, step) = (self.quota.claimed, pool.claim_bytes());
        let Some(missing) = wanted.checked_sub(claimed).filter(|missing| *missing > 0) else { return false };
        let is_within = |target| claimed + missing <= target + step;
        if !pool.has_room() && !pool.target(self.id.0.into()).is_none_or(is_within) {
            return false;
        }
        let claim = |bytes| pool.claim(claimed, bytes).then_some(claimed + bytes);
        let claimed = claim(missing.max(step)).or_else(|| claim(missing));
        claimed.map(|claimed| self.set_claimed(claimed)).is_some()
    }

    /// Evicts at most `most` keys, until there is room.
    fn evict_until(&mut self, pool: &Pool, more: u64, most: usize, is_replaced: bool) -> Memory {
        // A value that is as large as all others is not worth all of them.
        let more = more.min(self.quota.claimed / 2);
        let mut looks = EVICT_LOOKS;
        for _ in 0..=most {
            let used = self.turn.footprint.used_bytes();
            if used + more <= self.turn.footprint.allowed() {
                return Memory::Enough;
            }
            if self.claim_for(pool, used + more) {
                continue;
            }
            self.make_room();
            match if self.turn.is_full() { Evicted::No } else { self.evict_one(&mut looks, is_replaced) } {
                Evicted::Yes => {}
                Evicted::Later => return Memory::Enough,
                // Commands that are admitted may exceed the limit by what they add.
                Evicted::No if self.turn.footprint.is_over() => return Memory::Full,
                Evicted::No => return Memory::Enough,
            }
        }
        Memory::Enough
    }

    /// Evicts a key. `is_replaced` says that others will take its memory; `looks` are the keys that may still be looked at.
    fn evict_one(&mut self, looks: &mut usize, is_replaced: bool) -> Evicted {
        let policy = self.turn.evictor.policy();
        if policy == Policy::NoEviction || policy.is_volatile() && self.turn.expiries.count == 0 {
            return Evicted::No;
        }
        if policy.is_volatile() {
            self.note_expiries();
        }
        let found = match self.find_victim(policy, looks) {
            Victim::This(found) => found,
            Victim::None => return Evicted::No,
            Victim::Later => return Evicted::Later,
        };
        let hash = self.table.hash_of(found);
        let Some(word) = self.table.word_of(found) else { return Evicted::No };
        let access = word.get().access();
        // One key's eviction is not chained to another's.
        self.turn.begin_command();
        let (entry, now_ms) = (word.get(), self.turn.now_ms());
        let has_ended = !entry.is_live(now_ms);
        if has_ended {
            self.counts.note_ended(entry, now_ms);
        }
        let mut entry = EntryMut::new(word, &mut self.turn, hash);
        let was_there = entry.remove(EventType::Evict);
        drop(entry);
        if !has_ended && was_there {
            self.counts.evicted += 1;
            let keys = self.turn.live_keys;
            self.turn.evictor.note_evicted(hash, access, keys);
        }
        if is_replaced {
            self.turn.dropped.forgive();
        }
        Evicted::Yes
    }

    fn find_victim(&mut self, policy: Policy, looks: &mut usize) -> Victim {
        let is_volatile = policy.is_volatile();
        let may_go = move |entry: Entry<'_>| entry.has_value() && (!is_volatile || entry.expires());
        let Shard { table, turn, hand, .. } = self;
        let mean_bytes = turn.footprint.used_bytes() / turn.live_keys.max(1) as u64;
        let found = |found: Option<Found>, looks: usize| match found {
            Some(found) => Victim::This(found),
            None if looks == 0 => Victim::Later,
            None => Victim::None,
        };
        while *looks > 0 {
            *looks -= 1;
            let way = turn.evictor.way(turn.footprint.probation_bytes(), turn.footprint.used_bytes());
            let bits = match way {
                Way::Hand => break,
                Way::Random => {
                    let hash = turn.evictor.random_hash();
                    let near = table.find_near(hash, is_volatile, looks, |below| turn.evictor.random(below), may_go);
                    return found(near, *looks);
                }
                Way::Expiry => {
                    let first = table.find_first_to_expire(turn.evictor.random_hash(), looks, may_go);
                    return found(first, *looks);
                }
                Way::Probation(bits) => bits,
            };
            if let Some(oldest) = Shard::try_oldest(table, turn, (bits, mean_bytes), may_go) {
                return Victim::This(oldest);
            }
        }
        let (mut lowest, mut seen, mut skipped) = (u8::MAX, 0, 0);
        let chosen = table.turn_hand(hand, is_volatile, looks, |word| {
            if !may_go(word.get()) {
                return Seen::Pass;
            }
            let bytes = (word.get().taken().bytes + SLOT_BYTES) as u64;
            let verdict = turn.evictor.judge(word.get().access(), bytes, mean_bytes);
            if verdict.rank == u8::MAX {
                skipped += 1;
                return if seen == 0 && skipped >= HAND_SKIPS_MAX { Seen::Stop } else { Seen::Pass };
            }
            if verdict.rank == 0 {
                return Seen::Take;
            }
            set_access(&mut turn.footprint, word, verdict.access);
            seen += 1;
            let is_lower = verdict.rank < lowest;
            lowest = lowest.min(verdict.rank);
            match (is_lower, seen >= HAND_KEYS_MAX) {
                (true, true) => Seen::Take,
                (true, false) => Seen::Choose,
                (false, true) => Seen::Stop,
                (false, false) => Seen::Pass,
            }
        });
        if chosen.is_some() {
            return found(chosen, *looks);
        }
        // Those that may go are all on probation, though that has no more than its share: one of them goes.
        while *looks > 0 {
            *looks -= 1;
            let Some(bits) = turn.evictor.oldest_on_probation() else { break };
            if let Some(oldest) = Shard::try_oldest(table, turn, (bits, mean_bytes), may_go) {
                return Victim::This(oldest);
            }
        }
        found(None, *looks)
    }

    /// The oldest key on probation, by the first bits of its hash, if it is to go. If it stays, it is on probation no longer.
    fn try_oldest(
        table: &mut Keys,
        turn: &mut Turn,
        (bits, mean_bytes): (u32, u64),
        may_go: impl Fn(Entry<'_>) -> bool,
    ) -> Option<Found> {
        let on_probation = |entry: Entry<'_>| entry.has_value() && entry.access() & PROBATION != 0;
        let oldest = table.find_by_first_bits(bits, on_probation)?;
        let word = table.word_of(oldest)?;
        let taken = word.get().taken();
        let stays = match may_go(word.get()) {
            true => turn.evictor.judge_probation(taken.access, (taken.bytes + SLOT_BYTES) as u64, mean_bytes),
            false => Some(0),
        };
        let Some(access) = stays else { return Some(oldest) };
        set_access(&mut turn.footprint, word, access);
        None
    }

    /// Lets hashes go that the order of probation no longer needs.
    pub(super) fn tidy_probation(&mut self) {
        let Shard { table, turn, .. } = self;
        for _ in 0..EVICT_SLICE {
            let Some(bits) = turn.evictor.excess(turn.live_keys) else { break };
            let on_probation = |entry: Entry<'_>| entry.has_value() && entry.access() & PROBATION != 0;
            if let Some(found) = table.find_by_first_bits(bits, on_probation)
                && let Some(word) = table.word_of(found)
            {
                set_access(&mut turn.footprint, word, 0);
            }
        }
    }
}

/// Sets what eviction knows of a key.
fn set_access(footprint: &mut Footprint, word: &mut Word<Block>, access: u8) {
    let before = word.get().taken();
    if (before.access ^ access) & PROBATION != 0 {
        footprint.remove(before);
        word.lend().set_access(access);
        footprint.add(word.get().taken());
    } else if before.access != access {
        word.lend().set_access(access);
    }
}
