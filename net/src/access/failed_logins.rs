//! Logins that have failed, by the address that they came from, so that nobody tries passwords as fast as the server can
//! hash them. The table has a fixed size: an address that is not known takes the place of one whose window is over, else of
//! the one with the fewest failures among those that it may replace. Addresses of IPv6 count by their first 64 bits, of
//! which a client usually has all the others.

use crate::limits::{AUTH_FAILURE_ADDRESSES, AUTH_FAILURES_WINDOW_MS_DEFAULT};
use crate::paced::Paced;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Among how many places an address may be.
const WAYS: usize = 4;

/// The failed logins of a server.
#[derive(Debug)]
pub struct FailedLogins {
    places: Mutex<Vec<Place>>,
    hasher: RandomState,
    /// How long failures count, milliseconds.
    window_ms: AtomicU64,
    told: Paced,
}

/// The failures of an address.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    address: u128,
    count: u64,
    /// When its window ends, steady milliseconds; 0 in a place that is free.
    ends_ms: u64,
}

impl Default for FailedLogins {
    fn default() -> FailedLogins {
        FailedLogins {
            places: Mutex::default(),
            hasher: RandomState::new(),
            window_ms: AtomicU64::new(AUTH_FAILURES_WINDOW_MS_DEFAULT),
            told: Paced::new(),
        }
    }
}

/// What tells addresses apart. Those of IPv4 may come as mapped ones of IPv6.
fn key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

impl FailedLogins {
    /// How long failures count, milliseconds.
    pub fn window_ms(&self) -> u64 {
        // Relaxed: a number by itself.
        self.window_ms.load(Ordering::Relaxed)
    }

    /// Changes that, for windows that begin from now on.
    pub fn set_window_ms(&self, window_ms: u64) {
        // Relaxed: as above.
        self.window_ms.store(window_ms, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        // Places are plain numbers, right whatever a panic has interrupted.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places where an address may be.
    fn ways<'p>(&self, places: &'p mut [Place], address: u128) -> &'p mut [Place] {
        let sets = places.len() / WAYS;
        let set = self.hasher.hash_one(address) as usize % sets.max(1);
        places.get_mut(set * WAYS..(set + 1) * WAYS).unwrap_or_default()
    }

    /// In how many milliseconds an address may try again that has `max` failures or more; none where it may now.
    /// `now_ms` is steady.
    pub fn blocked_ms(&self, address: IpAddr, max: u64, now_ms: u64) -> Option<u64> {
        let (address, mut places) = (key(address), self.lock());
        let place = self.ways(&mut places, address).iter().find(|place| place.address == address)?;
        (place.count >= max && place.ends_ms > now_ms).then(|| place.ends_ms - now_ms)
    }

    /// Counts a failure of an address.
    pub fn note(&self, address: IpAddr, now_ms: u64) {
        let (address, mut places) = (key(address), self.lock());
        if places.is_empty() {
            // Taken with the first failure: a server without passwords has none.
            places.resize(AUTH_FAILURE_ADDRESSES, Place::default());
        }
        let ways = self.ways(&mut places, address);
        let is_it = |place: &Place| place.ends_ms > 0 && place.address == address;
        let rank = |place: &&mut Place| match place {
            place if is_it(place) => (0, 0),
            place if place.ends_ms <= now_ms => (1, 0),
            place => (2, place.count),
        };
        let Some(place) = ways.iter_mut().min_by_key(rank) else { return };
        if !is_it(place) || place.ends_ms <= now_ms {
            *place = Place { address, count: 0, ends_ms: now_ms.saturating_add(self.window_ms()).max(1) };
        }
        place.count += 1;
    }

    /// Logs, now and then, that logins of an address are refused.
    pub fn tell(&self, address: IpAddr, refused: u64) {
        if self.told.is_due() {
            tracing::warn!(%address, refused, "logins are refused: too many have failed from this address, see --auth-failures");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_with_too_many_failures_waits_until_its_window_is_over() {
        let failed = FailedLogins::default();
        failed.set_window_ms(1_000);
        let (one, other) = (ip("10.0.0.1"), ip("10.0.0.2"));
        assert_eq!(failed.blocked_ms(one, 1, 0), None);
        failed.note(one, 100);
        assert_eq!((failed.blocked_ms(one, 2, 100), failed.blocked_ms(one, 1, 100)), (None, Some(1_000)));
        failed.note(one, 900);
        assert_eq!((failed.blocked_ms(one, 2, 900), failed.blocked_ms(other, 1, 900)), (Some(200), None));
        assert_eq!(failed.blocked_ms(one, 2, 1_100), None);
        failed.note(one, 1_100);
        assert_eq!(failed.blocked_ms(one, 2, 1_100), None, "the new window counts anew");
        // The same machine, however it writes its address; and one network of IPv6.
        assert!(failed.blocked_ms(ip("::ffff:10.0.0.1"), 1, 1_200).is_some());
        failed.note(ip("2001:db8::1"), 0);
        assert!(failed.blocked_ms(ip("2001:db8::2:3"), 1, 0).is_some());
        assert!(failed.blocked_ms(ip("2001:db8:0:1::1"), 1, 0).is_none());
    }

    #[test]
    fn an_address_with_many_failures_is_not_forgotten_for_many_others() {
        let failed = FailedLogins::default();
        let guilty = ip("10.0.0.1");
        (0..100).for_each(|_| failed.note(guilty, 1));
        let others = (0..u32::try_from(AUTH_FAILURE_ADDRESSES).expect("a small number") * 10).map(|n| n | 1 << 31);
        others.for_each(|n| failed.note(IpAddr::V4(n.into()), 1));
        assert!(failed.blocked_ms(guilty, 100, 1).is_some());
        assert_eq!(failed.lock().len(), AUTH_FAILURE_ADDRESSES);
    }
}
