//! The policies of `maxmemory-policy`: which keys may go, and which of them goes first.

/// Which key goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The one that was not used for the longest time, approximately.
    Lru,
    /// The one that is used most rarely, approximately.
    Lfu,
    /// Any.
    Random,
    /// The one that expires first.
    Ttl,
    /// S3-FIFO: keys that were used once only go soon, the others in turn.
    S3Fifo,
}

/// A policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None goes: commands that may use more memory are refused.
    #[default]
    NoEviction,
    /// Any key may go.
    AllKeys(Order),
    /// Keys with a TTL may go.
    Volatile(Order),
}

impl Policy {
    /// All policies with their names, in the order of Redis's documentation; Redis does not have the last two.
    pub const NAMED: [(&'static str, Policy); 10] = [
        ("noeviction", Policy::NoEviction),
        ("allkeys-lru", Policy::AllKeys(Order::Lru)),
        ("allkeys-lfu", Policy::AllKeys(Order::Lfu)),
        ("allkeys-random", Policy::AllKeys(Order::Random)),
        ("volatile-lru", Policy::Volatile(Order::Lru)),
        ("volatile-lfu", Policy::Volatile(Order::Lfu)),
        ("volatile-random", Policy::Volatile(Order::Random)),
        ("volatile-ttl", Policy::Volatile(Order::Ttl)),
        ("allkeys-s3fifo", Policy::AllKeys(Order::S3Fifo)),
        ("volatile-s3fifo", Policy::Volatile(Order::S3Fifo)),
    ];

    /// The policy with a name, in any case of letters.
    pub fn from_name(name: &[u8]) -> Option<Policy> {
        Policy::NAMED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes())).map(|(_, policy)| *policy)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Policy::NAMED.iter().find(|(_, policy)| *policy == self).map_or("noeviction", |(name, _)| name)
    }

    /// Which key goes first; `None` if none goes.
    #[inline]
    pub fn order(self) -> Option<Order> {
        match self {
            Policy::NoEviction => None,
            Policy::AllKeys(order) | Policy::Volatile(order) => Some(order),
        }
    }

    /// Whether only keys with a TTL may go.
    #[inline]
    pub fn is_volatile(self) -> bool {
        matches!(self, Policy::Volatile(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_has_its_name() {
        for (name, policy) in Policy::NAMED {
            assert_eq!((Policy::from_name(name.to_uppercase().as_bytes()), policy.name()), (Some(policy), name));
        }
        assert_eq!(Policy::from_name(b"allkeys"), None);
    }
}
