//! Memory that clients have the server keep, counted against a limit for all of them together.
//!
//! Whoever keeps something holds a [`Share`] of the account, which gives back what it has when it is dropped. So nothing
//! is counted that has gone, whichever way it went.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// One client, or one user once there are users, may have this part of an account: a quarter.
pub const ACCOUNT_PART: u64 = 4;

/// An account of bytes, which all cores share.
#[derive(Clone, Debug)]
pub struct Account(Arc<State>);

#[derive(Debug)]
struct State {
    name: &'static str,
    limit: u64,
    used: AtomicU64,
    refused: AtomicU64,
}

/// More would be kept than the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this would exceed the limit {name} of {limit} bytes for {}", if *.is_own { "one client" } else { "all clients together" })]
pub struct OverLimit {
    /// The limit's name, that of the flag which sets it.
    pub name: &'static str,
    /// The limit, in bytes.
    pub limit: u64,
    /// Whether it is one client's part of the account.
    pub is_own: bool,
}

impl Default for Account {
    /// One that refuses nothing.
    fn default() -> Account {
        Account::new("", u64::MAX)
    }
}

impl Account {
    /// An account of this name, that of the flag which sets its limit, in bytes.
    pub fn new(name: &'static str, limit: u64) -> Account {
        Account(Arc::new(State { name, limit, used: AtomicU64::new(0), refused: AtomicU64::new(0) }))
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Its limit, in bytes.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// How much one client may have of it, in bytes.
    pub fn part(&self) -> u64 {
        self.0.limit / ACCOUNT_PART
    }

    /// How much is in use, in bytes. May be above the limit: see [`Share::set`].
    pub fn used(&self) -> u64 {
        // Relaxed: a figure by itself, nothing is reached through it.
        self.0.used.load(Ordering::Relaxed)
    }

    /// How often something was refused.
    pub fn refused(&self) -> u64 {
        // Relaxed: as above.
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Whether no more fits.
    pub fn is_full(&self) -> bool {
        self.used() >= self.0.limit
    }

    /// The error that more bytes would be, where they do not fit.
    pub fn over(&self, bytes: u64) -> Option<OverLimit> {
        let State { name, limit, .. } = *self.0;
        (self.used().saturating_add(bytes) > limit).then_some(OverLimit { name, limit, is_own: false })
    }

    /// A share of nothing yet.
    pub fn share(&self) -> Share {
        Share { account: self.clone(), bytes: 0 }
    }

    /// Counts a refusal; answers the error. `is_own`: it was one client's part that was exceeded.
    pub fn refuse(&self, is_own: bool) -> OverLimit {
        // Relaxed: as above.
        self.0.refused.fetch_add(1, Ordering::Relaxed);
        let limit = if is_own { self.part() } else { self.0.limit };
        OverLimit { name: self.0.name, limit, is_own }
    }
}

/// What somebody has of an account. Given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    account: Account,
    bytes: u64,
}

impl Share {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// Where they would exceed the account's limit; nothing is taken then.
    pub fn take(&mut self, bytes: u64) -> Result<(), OverLimit> {
        let State { used, limit, .. } = &*self.account.0;
        // Relaxed: the sum is exact by itself, and orders nothing else.
        let before = used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > *limit {
            // Relaxed: as above. Meanwhile others may have been refused what would have fit: they were as close to it.
            used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(self.account.refuse(false));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// As [`Share::take`], where one client has no other share of the account: up to its part of it.
    ///
    /// # Errors
    /// As there, and where its part would be exceeded.
    pub fn take_own(&mut self, bytes: u64) -> Result<(), OverLimit> {
        if self.bytes.saturating_add(bytes) > self.account.part() {
            return Err(self.account.refuse(true));
        }
        self.take(bytes)
    }

    /// Has the share be so many bytes, whatever the limit: for what is there already.
    #[inline]
    pub fn set(&mut self, bytes: u64) {
        let used = &self.account.0.used;
        // Relaxed, both: as above.
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => _ = used.fetch_add(more, Ordering::Relaxed),
            None => _ = used.fetch_sub(self.bytes - bytes, Ordering::Relaxed),
        }
        self.bytes = bytes;
    }

    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The account.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_not_counted_and_what_has_gone_is_given_back() {
        let account = Account::new("test-bytes", 100);
        let (mut one, mut other) = (account.share(), account.share());
        assert_eq!((one.take(60), other.take(40)), (Ok(()), Ok(())));
        let over = OverLimit { name: "test-bytes", limit: 100, is_own: false };
        assert_eq!((other.take(1), other.bytes(), account.used()), (Err(over), 40, 100));
        assert!(account.is_full() && account.refused() == 1);
        drop(one);
        assert_eq!((account.used(), other.take(60)), (40, Ok(())));
        other.set(150);
        assert_eq!(account.used(), 150);
        other.set(10);
        assert_eq!((account.used(), account.is_full()), (10, false));
    }

    #[test]
    fn one_client_has_a_part_at_the_most() {
        let account = Account::new("test-bytes", 100);
        let mut own = account.share();
        assert_eq!(own.take_own(25), Ok(()));
        let text = own.take_own(1).unwrap_err().to_string();
        assert_eq!(text, "this would exceed the limit test-bytes of 25 bytes for one client");
    }
}
