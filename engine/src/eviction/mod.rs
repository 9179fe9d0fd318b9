//! Which key goes when memory is full: the policies, what they know of a key, and how one limit is divided over the shards.
//! Nothing here sees a key: what a policy knows of one is 4 bits in its block, and a walk over the table asks for a verdict.
//!
//! | file | what is in it |
//! |---|---|
//! | [`policy`] | the policies, with Redis's names |
//! | [`pool`] | the limit of the process, of which shards claim parts |
//! | [`s3fifo`] | probation, ghosts, and the share between them |
//! | [`ghosts`] | what was evicted lately, in 2 bytes each |
//! | [`probation`] | the order in which keys came |

mod ghosts;
mod policy;
mod pool;
mod probation;
mod s3fifo;

pub use policy::{Order, Policy};
pub use pool::Pool;

use s3fifo::S3Fifo;

/// The keys with this bit of what eviction knows are on probation.
pub(crate) const PROBATION: u8 = 1 << 3;

/// The other bits: how often, or how lately, a key was used.
const USE: u8 = PROBATION - 1;

/// What a key that was just used has with LRU: so often the hand passes before the key goes.
const LATELY: u8 = USE;

/// With LFU, what a new key has, so that it is not the first to go before it could be used again.
const FREQUENCY_FIRST: u8 = 1;

/// With LFU, one in so many passes of the hand takes one off.
const FREQUENCY_DECAY: u8 = 64;

/// The hand looks at so many keys at most before the one with the lowest rank goes.
pub(crate) const HAND_KEYS_MAX: usize = 16;

/// The hand passes over so many keys on probation, if it meets no other; then the oldest of those goes.
pub(crate) const HAND_SKIPS_MAX: usize = 64;

/// How the next key to go is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A hand goes over the table.
    Hand,
    /// At a random place of the table.
    Random,
    /// The one that expires first.
    Expiry,
    /// The one that came first of those on probation, by its hash.
    Probation(u32),
}

/// What becomes of a key that the hand has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The lowest goes; 0 at once.
    pub rank: u8,
    /// What is known of it from now on, if it stays.
    pub access: u8,
}

/// The eviction of one shard.
pub(crate) struct Evictor {
    policy: Policy,
    /// Whether what is known of keys changes when they are used.
    is_watching: bool,
    /// Whether use is not noted for the present command.
    leaves_use: bool,
    s3fifo: S3Fifo,
    rng: fastrand::Rng,
    /// The uses of keys that were seen.
    uses: u64,
}

impl Default for Evictor {
    fn default() -> Evictor {
        Evictor {
            policy: Policy::NoEviction,
            is_watching: false,
            leaves_use: false,
            s3fifo: S3Fifo::default(),
            rng: fastrand::Rng::new(),
            uses: 0,
        }
    }
}

impl Evictor {
    /// The policy, which has an effect while there is a limit.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Sets the policy, and whether there is a limit.
    pub fn set(&mut self, policy: Policy, is_limited: bool) {
        self.policy = policy;
        let order = policy.order();
        self.is_watching = is_limited && matches!(order, Some(Order::Lru | Order::Lfu | Order::S3Fifo));
        if !(is_limited && order == Some(Order::S3Fifo)) {
            self.s3fifo = S3Fifo::default();
        }
    }

    /// Whether what is known of keys changes when they are used.
    #[inline]
    pub fn is_watching(&self) -> bool {
        self.is_watching && !self.leaves_use
    }

    /// Has the use of keys noted no more, or again.
    pub fn leave_use(&mut self, leaves_use: bool) {
        self.leaves_use = leaves_use;
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.s3fifo.bytes()
    }

    /// The uses of keys since the shard began, while any were watched.
    pub fn uses(&self) -> u64 {
        self.uses
    }

    /// The keys that came again soon after they had been evicted, since the last call.
    pub fn take_regretted(&mut self) -> u64 {
        self.s3fifo.take_regretted()
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.s3fifo.clear();
    }

    /// What is known of a key from its use on; `None` if that is nothing new.
    #[inline]
    pub fn used(&mut self, access: u8) -> Option<u8> {
        let uses = access & USE;
        self.uses += 1;
        let now = match self.policy.order() {
            Some(Order::Lru) => LATELY,
            // Twice as rarely with each step: the number is a logarithm.
            Some(Order::Lfu) if uses < USE && self.rng.u8(..) & ((1u8 << uses.saturating_sub(1)) - 1) == 0 => uses + 1,
            Some(Order::S3Fifo) => (uses + 1).min(s3fifo::USES_MAX),
            _ => uses,
        };
        (now != uses).then_some(access & !USE | now)
    }

    /// What is known of a key that gets a value. Of keys, the shard has so many.
    pub fn added(&mut self, hash: u64, keys: usize) -> u8 {
        self.uses += 1;
        match self.policy.order() {
            Some(Order::Lru) => LATELY,
            Some(Order::Lfu) => FREQUENCY_FIRST,
            Some(Order::S3Fifo) if self.s3fifo.add(hash, keys) => PROBATION,
            _ => 0,
        }
    }

    /// How the next key to go is found. Those on probation have `probation_bytes` of all `used_bytes`.
    pub fn way(&mut self, probation_bytes: u64, used_bytes: u64) -> Way {
        match self.policy.order() {
            None | Some(Order::Lru | Order::Lfu) => Way::Hand,
            Some(Order::Random) => Way::Random,
            Some(Order::Ttl) => Way::Expiry,
            Some(Order::S3Fifo) => self.s3fifo.next(probation_bytes, used_bytes).map_or(Way::Hand, Way::Probation),
        }
    }

    /// The hash of the oldest key on probation, whatever the share of those.
    pub fn oldest_on_probation(&mut self) -> Option<u32> {
        self.s3fifo.oldest()
    }

    /// The hash of a key that has to leave the order of probation, if that has too many.
    #[inline]
    pub fn excess(&mut self, keys: usize) -> Option<u32> {
        self.s3fifo.excess(keys)
    }

    /// What becomes of a key of `bytes` that the hand has come to, where keys have `mean_bytes` on average.
    pub fn judge(&mut self, access: u8, bytes: u64, mean_bytes: u64) -> Verdict {
        let uses = access & USE;
        match self.policy.order() {
            Some(Order::Lfu) => {
                let less = u8::from(self.rng.u8(..FREQUENCY_DECAY) == 0);
                Verdict { rank: uses, access: access & !USE | uses.saturating_sub(less) }
            }
            // Those on probation come in their own order, while the ring knows them.
            Some(Order::S3Fifo) if access & PROBATION != 0 && !self.s3fifo.is_ring_empty() => {
                Verdict { rank: u8::MAX, access }
            }
            Some(Order::S3Fifo) => {
                let less = s3fifo::size_class(bytes, mean_bytes);
                Verdict { rank: uses, access: uses.saturating_sub(less) }
            }
            _ => Verdict { rank: uses, access: access & !USE | uses.saturating_sub(1) },
        }
    }

    /// What is known from now on of a key that is the oldest on probation, if it stays; `None` if it goes.
    pub fn judge_probation(&mut self, access: u8, bytes: u64, mean_bytes: u64) -> Option<u8> {
        (access & USE > s3fifo::size_class(bytes, mean_bytes) / 2).then_some(0)
    }

    /// Notes that a key was evicted. Of keys, the shard has so many.
    pub fn note_evicted(&mut self, hash: u64, access: u8, keys: usize) {
        if self.policy.order() == Some(Order::S3Fifo) {
            self.s3fifo.note_evicted(hash, access & PROBATION != 0, keys);
        }
    }

    /// A random number below a bound.
    pub fn random(&mut self, below: usize) -> usize {
        self.rng.usize(..below.max(1))
    }

    /// A random hash.
    pub fn random_hash(&mut self) -> u64 {
        self.rng.u64(..)
    }
}
