//! Accounts of what the server holds for clients. An account has one limit: for all clients, or for one user.
//!
//! The owner of such memory holds a [`Share`] of the account. A share returns its units when it is dropped, so freed memory
//! is never counted, whatever freed it.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// One client may have this part of an account: a quarter.
pub const ACCOUNT_PART: u64 = 4;

/// A limit with its name. Several accounts may share one, as the accounts of all users do.
#[derive(Debug)]
pub struct Limit {
    name: &'static str,
    unit: &'static str,
    /// The advice in the error; may be empty.
    remedy: &'static str,
    max: AtomicU64,
    refused: AtomicU64,
}

impl Limit {
    /// No limit.
    pub const NONE: u64 = u64::MAX;

    /// A limit of `max` units. `name` is that of the flag for it.
    pub const fn new(name: &'static str, unit: &'static str, remedy: &'static str, max: u64) -> Limit {
        Limit { name, unit, remedy, max: AtomicU64::new(max), refused: AtomicU64::new(0) }
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The unit, such as bytes.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// The most units that may be in use.
    #[inline]
    pub fn max(&self) -> u64 {
        // Relaxed: a number by itself. During a change a reader may see the old or the new limit.
        self.max.load(Ordering::Relaxed)
    }

    /// Changes the limit. Units in use stay in use.
    pub fn set_max(&self, max: u64) {
        // Relaxed: as above.
        self.max.store(max, Ordering::Relaxed);
    }

    /// The number of refusals since the counter was last reset.
    pub fn refused(&self) -> u64 {
        // Relaxed: a figure by itself.
        self.refused.load(Ordering::Relaxed)
    }

    /// Resets the counter of refusals.
    pub fn reset_refused(&self) {
        // Relaxed: as above.
        self.refused.store(0, Ordering::Relaxed);
    }

    /// Counts a refusal.
    pub fn note_refused(&self) {
        // Relaxed: as above.
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The error of a request beyond `max` units.
    pub fn error(&self, max: u64, whose: Whose) -> OverLimit {
        OverLimit { name: self.name, limit: max, unit: self.unit, remedy: self.remedy, whose }
    }
}

/// An account of bytes, or of other units, shared by all cores.
#[derive(Clone, Debug)]
pub struct Account(Arc<State>);

#[derive(Debug)]
struct State {
    limit: Arc<Limit>,
    whose: Whose,
    used: AtomicU64,
}

/// The holders to whom a limit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// All clients together.
    AllClients,
    /// One client.
    Client,
    /// All clients of one user.
    User,
}

impl Display for Whose {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Whose::AllClients => "all clients together",
            Whose::Client => "one client",
            Whose::User => "one user",
        })
    }
}

/// A request that exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this would exceed the limit {name} of {limit} {unit} for {whose}{}{remedy}", if .remedy.is_empty() { "" } else { ": " })]
pub struct OverLimit {
    /// The name of the limit, which is that of its flag.
    pub name: &'static str,
    /// The limit.
    pub limit: u64,
    /// The unit.
    pub unit: &'static str,
    /// Advice; may be empty.
    pub remedy: &'static str,
    /// The holders to whom the limit applies.
    pub whose: Whose,
}

impl Default for Account {
    /// An account without a limit.
    fn default() -> Account {
        Account::new("", Limit::NONE)
    }
}

impl Account {
    /// An account of bytes for all clients. `name` is that of the flag for its limit.
    pub fn new(name: &'static str, limit: u64) -> Account {
        Account::with(Arc::new(Limit::new(name, "bytes", "", limit)), Whose::AllClients)
    }

    /// An account of one user. The limit is shared with other users, and may change.
    pub fn of_user(limit: &Arc<Limit>) -> Account {
        Account::with(limit.clone(), Whose::User)
    }

    fn with(limit: Arc<Limit>, whose: Whose) -> Account {
        Account(Arc::new(State { limit, whose, used: AtomicU64::new(0) }))
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        self.0.limit.name
    }

    /// The limit.
    pub fn limit(&self) -> u64 {
        self.0.limit.max()
    }

    /// The most that one client may hold.
    pub fn part(&self) -> u64 {
        self.limit() / ACCOUNT_PART
    }

    /// The units in use. They may exceed the limit: see [`Share::set`].
    pub fn used(&self) -> u64 {
        // Relaxed: a figure by itself, nothing is reached through it.
        self.0.used.load(Ordering::Relaxed)
    }

    /// The number of refused requests.
    pub fn refused(&self) -> u64 {
        self.0.limit.refused()
    }

    /// Whether the limit is reached.
    pub fn is_full(&self) -> bool {
        self.used() >= self.limit()
    }

    /// Whether both are the same account.
    pub fn is_same(&self, other: &Account) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The error of a request for `bytes` more, if it would exceed the limit.
    pub fn over(&self, more: u64) -> Option<OverLimit> {
        let max = self.limit();
        (self.used().saturating_add(more) > max).then(|| self.0.limit.error(max, self.0.whose))
    }

    /// An empty share.
    pub fn share(&self) -> Share {
        Share { account: self.clone(), bytes: 0 }
    }

    /// Counts a refusal and returns its error. `is_own` says that one client's part was exceeded.
    pub fn refuse(&self, is_own: bool) -> OverLimit {
        self.0.limit.note_refused();
        match is_own {
            true => self.0.limit.error(self.part(), Whose::Client),
            false => self.0.limit.error(self.limit(), self.0.whose),
        }
    }
}

/// The units that one owner holds of an account; returned when the share is dropped.
#[derive(Debug)]
pub struct Share {
    account: Account,
    bytes: u64,
}

impl Share {
    /// Takes more bytes, or other units.
    ///
    /// # Errors
    /// If they would exceed the account's limit. Then nothing is taken.
    pub fn take(&mut self, bytes: u64) -> Result<(), OverLimit> {
        let State { used, limit, .. } = &*self.account.0;
        // Relaxed: the sum is exact by itself, and orders nothing else.
        let before = used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > limit.max() {
            // Relaxed: as above. Meanwhile others may have been refused what would have fit: they were as close to it.
            used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(self.account.refuse(false));
        }
        self.bytes += bytes;
        Ok(())
    }

    /// As [`Share::take`], for the only share of a client: it may hold one client's part of the account.
    ///
    /// # Errors
    /// As [`Share::take`], and if the client's part would be exceeded.
    pub fn take_own(&mut self, bytes: u64) -> Result<(), OverLimit> {
        if self.bytes.saturating_add(bytes) > self.account.part() {
            return Err(self.account.refuse(true));
        }
        self.take(bytes)
    }

    /// Sets the size of the share, whatever the limit: for memory that is in use already.
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

    /// The size of the share.
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

/// The accounts of one user for things such as subscriptions: their number, and the bytes that they take.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// The user's name.
    pub name: Arc<[u8]>,
    /// The number.
    pub count: Account,
    /// The bytes.
    pub bytes: Account,
}

impl Owner {
    /// Counts one more thing of `bytes` bytes.
    ///
    /// # Errors
    /// If a limit of the user would be exceeded. Then nothing is counted.
    pub fn take(&self, bytes: u64) -> Result<Owned, OverLimit> {
        let mut owned = Owned { count: self.count.share(), bytes: self.bytes.share() };
        owned.count.take(1)?;
        owned.bytes.take(bytes)?;
        Ok(owned)
    }

    /// Counts one more thing of `bytes` bytes that is there already, whatever the limits.
    pub fn hold(&self, bytes: u64) -> Owned {
        let mut owned = Owned { count: self.count.share(), bytes: self.bytes.share() };
        owned.count.set(1);
        owned.bytes.set(bytes);
        owned
    }
}

/// One thing of a user, as its accounts count it; counted out when it is dropped.
#[derive(Debug)]
pub struct Owned {
    count: Share,
    bytes: Share,
}

impl Owned {
    /// Sets its bytes, whatever the limit.
    pub fn set_bytes(&mut self, bytes: u64) {
        self.bytes.set(bytes);
    }

    /// The error if its user has no bytes left, so that it may not grow.
    pub fn over(&self) -> Option<OverLimit> {
        self.bytes.account.over(1)
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
        let (name, unit, remedy, whose) = ("test-bytes", "bytes", "", Whose::AllClients);
        let over = OverLimit { name, limit: 100, unit, remedy, whose };
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
    #[test]
    fn a_users_limit_may_change_and_is_for_each_user_by_itself() {
        let limit = Arc::new(Limit::new("user-things", "things", "end some", Limit::NONE));
        let owner = || Owner { name: Arc::default(), count: Account::of_user(&limit), bytes: Account::default() };
        let (anna, bert) = (owner(), owner());
        let first: Vec<Owned> = (0..3).map(|_| anna.take(10).expect("there is no limit")).collect();
        limit.set_max(2);
        let text = anna.take(10).expect_err("three are more than two").to_string();
        assert_eq!(text, "this would exceed the limit user-things of 2 things for one user: end some");
        assert!(bert.take(1).is_ok() && limit.refused() == 1);
        assert_eq!((anna.count.used(), anna.bytes.used()), (3, 30));
        drop(first);
        assert_eq!((anna.count.used(), anna.bytes.used(), bert.count.used()), (0, 0, 0));
    }

    #[test]
    fn what_has_no_bytes_left_is_not_counted_either() {
        let limit = Arc::new(Limit::new("user-things-bytes", "bytes", "", 100));
        let owner = Owner { name: Arc::default(), count: Account::default(), bytes: Account::of_user(&limit) };
        let mut owned = owner.take(60).expect("it fits");
        assert!(owner.take(50).is_err() && owned.over().is_none());
        assert_eq!(owner.count.used(), 1);
        owned.set_bytes(150);
        assert!(owned.over().is_some_and(|over| over.limit == 100));
    }
}
