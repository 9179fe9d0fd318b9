//! One limit for the memory of all shards. Each shard claims parts of it, and takes no more than it has claimed: so no
//! write has to ask the others, and together they never take more than the limit.
//!
//! While there is room every shard claims what it needs. When the limit is reached, each has what it was used for, and evicts to
//! make room for more. What a shard no longer needs goes back. With S3-FIFO the shards whose evicted keys come again most
//! often get a little more of the limit at each step, and the others less.
//!
//! The memory that clients take is part of the limit: if it grows, there is a debt, which the shards pay by evicting.

use super::Policy;
use crate::sync::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// A shard may always have this part of an equal share, even if the others have to give it back.
const FLOOR_PART: u64 = 10;

/// A shard claims an equal share's part of this at a time, so that it seldom has to.
const CLAIM_PART: u64 = 64;
const CLAIM_MIN: u64 = 4 << 10;
const CLAIM_MAX: u64 = 1 << 20;

/// A shard pays a debt in parts: so the others pay theirs.
const DEBT_PART: u64 = 16;

/// A step of the steering comes after this part of as many uses as there are keys.
const STEP_USES_PART: u64 = 2;
/// What counts of the regrets before a step.
const REGRET_KEPT: f64 = 0.7;
/// How strongly regrets change a share, and the most that one step does.
const STEP_GAIN: f64 = 0.1;
const STEP_MAX: f64 = 0.05;
/// With fewer keys than this to a shard, regrets are chance.
const STEER_KEYS_MIN: u64 = 1_000;

/// While less than all but this part is claimed, no shard has too much.
const ROOM_PART: u64 = 16;

/// No limit.
const NONE: u64 = u64::MAX;

/// What a shard shows the others.
#[derive(Default)]
struct Share {
    /// Bytes of the limit.
    claimed: AtomicU64,
    /// How much it should have; 0 if that is not decided.
    target: AtomicU64,
    /// Its keys.
    keys: AtomicU64,
    /// The uses of its keys so far.
    uses: AtomicU64,
    /// Its evicted keys that came again soon, so far.
    regrets: AtomicU64,
    /// The same at the last step.
    regrets_before: AtomicU64,
    /// Regrets for each byte, smoothed, as the bits of an `f64`.
    regret: AtomicU64,
}

/// See the description of this file.
pub struct Pool {
    /// Bytes; [`NONE`] without a limit.
    limit: AtomicU64,
    /// A place of [`Policy::NAMED`].
    policy: AtomicU64,
    /// How often limit or policy were changed.
    version: AtomicU64,
    /// The bytes that clients take.
    clients: AtomicU64,
    /// The sum of what the shards have claimed.
    claimed: AtomicU64,
    /// The uses at the last step of the steering.
    stepped_at: AtomicU64,
    shares: Box<[CachePadded<Share>]>,
}

// Every access is relaxed: each number is by itself, and what it is about is the memory's amount, which orders nothing.
const RELAXED: Ordering = Ordering::Relaxed;

impl Pool {
    /// A pool for so many shards, without a limit.
    pub fn new(shards: u16) -> Pool {
        Pool {
            limit: AtomicU64::new(NONE),
            policy: AtomicU64::new(0),
            version: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            stepped_at: AtomicU64::new(0),
            shares: (0..shards).map(|_| CachePadded::default()).collect(),
        }
    }

    /// The limit in bytes; 0 if there is none.
    pub fn limit(&self) -> u64 {
        // Relaxed: see `RELAXED`.
        match self.limit.load(RELAXED) {
            NONE => 0,
            bytes => bytes,
        }
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        // Relaxed: as above.
        Policy::NAMED[self.policy.load(RELAXED) as usize % Policy::NAMED.len()].1
    }

    /// Sets the limit in bytes, 0 for none.
    pub fn set_limit(&self, bytes: u64) {
        // Relaxed: as above.
        self.limit.store(if bytes == 0 { NONE } else { bytes }, RELAXED);
        self.version.fetch_add(1, RELAXED);
    }

    /// Sets the policy.
    pub fn set_policy(&self, policy: Policy) {
        let place = Policy::NAMED.iter().position(|(_, named)| *named == policy).unwrap_or(0);
        // Relaxed: as above.
        self.policy.store(place as u64, RELAXED);
        self.version.fetch_add(1, RELAXED);
    }

    /// A number that every change of limit and policy increases.
    #[inline]
    pub fn version(&self) -> u64 {
        // Relaxed: as above.
        self.version.load(RELAXED)
    }

    /// Sets the bytes that clients take.
    pub fn set_clients(&self, bytes: u64) {
        // Relaxed: as above.
        self.clients.store(bytes, RELAXED);
    }

    /// What all shards may claim together, in bytes.
    fn for_keys(&self) -> u64 {
        // Relaxed, both: as above.
        match self.limit.load(RELAXED) {
            NONE => NONE,
            limit => limit.saturating_sub(self.clients.load(RELAXED)),
        }
    }

    /// Whether the shards have claimed more than they may: those that have most give some back.
    #[inline]
    pub fn has_debt(&self) -> bool {
        // Relaxed: as above.
        self.claimed.load(RELAXED) > self.for_keys()
    }

    /// How much a shard claims at a time.
    pub(crate) fn claim_bytes(&self) -> u64 {
        (self.for_keys() / CLAIM_PART / self.shares.len().max(1) as u64).clamp(CLAIM_MIN, CLAIM_MAX)
    }

    /// What a shard may always have.
    fn floor(&self) -> u64 {
        self.for_keys() / FLOOR_PART / self.shares.len().max(1) as u64
    }

    /// Claims bytes for a shard that has `own`; returns whether that was possible.
    pub(crate) fn claim(&self, own: u64, bytes: u64) -> bool {
        let most = self.for_keys();
        if own.saturating_add(bytes) <= self.floor() {
            // Relaxed: as above.
            self.claimed.fetch_add(bytes, RELAXED);
            return true;
        }
        let claim = |claimed: u64| claimed.checked_add(bytes).filter(|sum| *sum <= most);
        // Relaxed, both: as above.
        self.claimed.fetch_update(RELAXED, RELAXED, claim).is_ok()
    }

    /// Claims bytes, even beyond the limit: memory that is in use already.
    pub(crate) fn claim_all(&self, bytes: u64) {
        // Relaxed: as above.
        self.claimed.fetch_add(bytes, RELAXED);
    }

    /// Whether a good part of the limit is not claimed.
    pub(crate) fn has_room(&self) -> bool {
        let most = self.for_keys();
        // Relaxed: as above.
        self.claimed.load(RELAXED) < most - most / ROOM_PART
    }

    /// Gives bytes back.
    pub(crate) fn release(&self, bytes: u64) {
        // Relaxed: as above.
        self.claimed.fetch_sub(bytes, RELAXED);
    }

    /// The part of the debt, if there is one, that a shard with `own` bytes gives back next.
    pub(crate) fn share_of_debt(&self, own: u64) -> u64 {
        // Relaxed: as above.
        let debt = self.claimed.load(RELAXED).saturating_sub(self.for_keys());
        debt.min(own.saturating_sub(self.floor())).min((own / DEBT_PART).max(CLAIM_MIN))
    }

    /// Shows what a shard has: bytes claimed, keys, uses of keys so far, and keys that have come again since the last call.
    pub(crate) fn show(&self, shard: usize, claimed: u64, keys: u64, uses: u64, regrets: u64) {
        let Some(share) = self.shares.get(shard) else { return };
        // Relaxed, all: as above.
        share.claimed.store(claimed, RELAXED);
        share.keys.store(keys, RELAXED);
        share.uses.store(uses, RELAXED);
        share.regrets.fetch_add(regrets, RELAXED);
    }

    /// How many bytes a shard should have; `None` if that is not decided.
    pub(crate) fn target(&self, shard: usize) -> Option<u64> {
        // Relaxed: as above.
        self.shares.get(shard).map(|share| share.target.load(RELAXED)).filter(|target| *target > 0)
    }

    /// Forgets what each shard should have.
    fn forget_targets(&self) {
        // Relaxed: as above.
        self.shares.iter().for_each(|share| share.target.store(0, RELAXED));
    }

    /// Decides anew how much each shard should have, if it is time.
    pub(crate) fn steer(&self) {
        if self.shares.len() < 2 {
            return;
        }
        // Relaxed, here and below: as above.
        let sum = |of: fn(&Share) -> &AtomicU64| self.shares.iter().map(|share| of(share).load(RELAXED)).sum::<u64>();
        let (uses, keys) = (sum(|share| &share.uses), sum(|share| &share.keys));
        let before = self.stepped_at.load(RELAXED);
        let is_due = uses < before || uses - before >= keys / STEP_USES_PART;
        if !is_due || self.stepped_at.compare_exchange(before, uses, RELAXED, RELAXED).is_err() {
            return;
        }
        let (most, shards) = (self.for_keys(), self.shares.len() as u64);
        let claimed = self.claimed.load(RELAXED);
        let is_full = most != NONE && claimed >= most - most / ROOM_PART;
        if !is_full || keys < STEER_KEYS_MIN * shards {
            return self.forget_targets();
        }
        let shares: Vec<(&Share, f64, f64)> = self
            .shares
            .iter()
            .map(|share| &**share)
            .map(|share| {
                let regrets = share.regrets.load(RELAXED);
                let new = regrets.saturating_sub(share.regrets_before.swap(regrets, RELAXED));
                let bytes = share.claimed.load(RELAXED).max(1) as f64;
                let regret = REGRET_KEPT * f64::from_bits(share.regret.load(RELAXED)) + new as f64 / bytes;
                share.regret.store(regret.to_bits(), RELAXED);
                (share, bytes, regret)
            })
            .collect();
        let total: f64 = shares.iter().map(|(_, bytes, _)| bytes).sum();
        let mean = shares.iter().map(|(_, bytes, regret)| bytes * regret).sum::<f64>() / total;
        if mean <= 0.0 {
            return;
        }
        let floor = self.floor() as f64;
        let wanted = |bytes: f64, regret: f64| {
            let step = (STEP_GAIN * (regret / mean - 1.0)).clamp(-STEP_MAX, STEP_MAX);
            (bytes * (1.0 + step)).max(floor)
        };
        let sum: f64 = shares.iter().map(|(_, bytes, regret)| wanted(*bytes, *regret)).sum();
        for (share, bytes, regret) in shares {
            share.target.store((wanted(bytes, regret) * most as f64 / sum) as u64, RELAXED);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn together_the_shards_claim_no_more_than_the_limit() {
        let pool = Pool::new(2);
        assert!(pool.claim(0, 1 << 40), "there is no limit");
        pool.release(1 << 40);
        pool.set_limit(1_000_000);
        assert!(pool.claim(0, 600_000) && !pool.claim(100_000, 500_000) && pool.claim(0, 400_000));
        assert!(!pool.claim(600_000, 1) && !pool.has_debt());
        pool.set_clients(100_000);
        assert!(pool.has_debt());
        let (mut one, mut other) = (600_000, 400_000);
        while pool.has_debt() {
            for own in [&mut one, &mut other] {
                let paid = pool.share_of_debt(*own);
                pool.release(paid);
                *own -= paid;
            }
        }
        assert_eq!(one + other, 900_000);
        assert!(one > 500_000 && other > 300_000, "each has paid some");
        assert_eq!(pool.share_of_debt(one), 0);
    }

    #[test]
    fn a_shard_gets_its_floor_from_the_others() {
        let pool = Pool::new(2);
        pool.set_limit(1_000_000);
        assert!(pool.claim(0, 1_000_000));
        assert!(pool.claim(0, 50_000) && !pool.claim(50_000, 1), "a tenth of an equal share");
        assert!(pool.has_debt());
    }

    #[test]
    fn a_shard_whose_evicted_keys_come_again_gets_more() {
        let pool = Pool::new(2);
        pool.set_limit(1_000_000);
        assert!(pool.claim(0, 1_000_000));
        let mut claimed = [500_000, 500_000];
        for step in 1..=20 {
            for (shard, regrets) in [(0, 300), (1, 100)] {
                pool.show(shard, claimed[shard], 5_000, step * 5_000, regrets);
            }
            pool.steer();
            claimed = [0, 1].map(|shard| pool.target(shard).expect("it is full"));
            assert!(claimed.iter().sum::<u64>() <= 1_000_000);
        }
        // Three times the regrets: it has three times the memory, when each byte is regretted alike.
        assert!((650_000..=780_000).contains(&claimed[0]), "{claimed:?}");
        pool.set_limit(0);
        pool.show(0, 1, 5_000, 1 << 30, 0);
        pool.steer();
        assert_eq!(pool.target(0), None);
    }
}
