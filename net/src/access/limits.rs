//! The limits of users: what one user may have and do, and how often one address may try passwords. Each limit has the name
//! of its flag, may be changed while the server runs, and counts what it has refused.

use crate::limits::PASSWORD_CHANGE_MS;
use keytide_engine::account::{Account, Limit, OverLimit, Owner, Share, Whose};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limits, the same for all users; [`Limit::NONE`] is none.
#[derive(Debug)]
pub struct UserLimits {
    /// Logins from one address that fail within a window.
    pub auth_failures: Limit,
    /// Connections that are logged in as one user.
    pub connections: Arc<Limit>,
    /// Commands of one user in one second.
    pub commands: Limit,
    /// Subscriptions of one user.
    pub subscriptions: Arc<Limit>,
    /// The bytes that these take.
    pub subscriptions_bytes: Arc<Limit>,
    /// Consumer groups that one user has created.
    pub groups: Arc<Limit>,
    /// The bytes that these take.
    pub groups_bytes: Arc<Limit>,
}

impl Default for UserLimits {
    /// Without any limit.
    fn default() -> UserLimits {
        let limit = |name, unit, remedy| Limit::new(name, unit, remedy, Limit::NONE);
        let shared = |name, unit, remedy| Arc::new(limit(name, unit, remedy));
        UserLimits {
            auth_failures: limit("auth-failures", "failed logins", ""),
            connections: shared("user-connections", "connections", "close some, or raise it by CONFIG SET"),
            commands: limit("user-commands", "commands a second", "send fewer, or raise it by CONFIG SET"),
            subscriptions: shared("user-subscriptions", "subscriptions", "end some, or raise it by CONFIG SET"),
            subscriptions_bytes: shared("user-subscriptions-bytes", "bytes", "end some, or raise it by CONFIG SET"),
            groups: shared("user-groups", "groups", "destroy some, or raise it by CONFIG SET"),
            groups_bytes: shared("user-groups-bytes", "bytes", "destroy some groups, or raise it by CONFIG SET"),
        }
    }
}

impl UserLimits {
    /// All of them.
    pub fn all(&self) -> [&Limit; 7] {
        [
            &self.auth_failures,
            &self.connections,
            &self.commands,
            &self.subscriptions,
            &self.subscriptions_bytes,
            &self.groups,
            &self.groups_bytes,
        ]
    }

    /// Counts a command that a user may not run in this second; answers the error.
    #[cold]
    pub fn refuse_command(&self) -> OverLimit {
        self.commands.note_refused();
        self.commands.error(self.commands.max(), Whose::User)
    }
}

/// What one user has in use. A change of its rules leaves it as it is.
#[derive(Debug, Default)]
pub struct Usage {
    connections: Account,
    /// Its subscriptions.
    pub subscriptions: Owner,
    /// The groups that it has created.
    pub groups: Owner,
    commands: CommandsOfSecond,
    /// When it changed its own password last, steady milliseconds.
    password_changed_ms: AtomicU64,
}

impl Usage {
    /// Nothing in use of a user of this name, with these limits.
    pub fn new(name: &[u8], limits: &UserLimits) -> Usage {
        let name: Arc<[u8]> = name.into();
        let owner = |count, bytes| {
            let (count, bytes) = (Account::of_user(count), Account::of_user(bytes));
            Owner { name: name.clone(), count, bytes }
        };
        Usage {
            connections: Account::of_user(&limits.connections),
            subscriptions: owner(&limits.subscriptions, &limits.subscriptions_bytes),
            groups: owner(&limits.groups, &limits.groups_bytes),
            commands: CommandsOfSecond::default(),
            password_changed_ms: AtomicU64::new(0),
        }
    }

    /// Notes that it changes its own password, unless it has just done so: the file of users is written each time.
    pub fn note_password_change(&self, now_ms: u64) -> bool {
        // Relaxed, both: a figure by itself. Two at one moment may both be taken.
        let last_ms = self.password_changed_ms.load(Ordering::Relaxed);
        let may = last_ms == 0 || now_ms.saturating_sub(last_ms) >= PASSWORD_CHANGE_MS;
        if may {
            self.password_changed_ms.store(now_ms.max(1), Ordering::Relaxed);
        }
        may
    }

    /// A share of its connections, of none yet.
    pub fn connection(&self) -> Share {
        self.connections.share()
    }

    /// Whether a share is one of its connections.
    pub fn has_connection(&self, share: &Share) -> bool {
        self.connections.is_same(share.account())
    }

    /// Takes so many of the commands that it may run in a second, `max`, or as many as are left; 0 where none is.
    pub fn take_commands(&self, second: u32, count: u32, max: u64) -> u32 {
        self.commands.take(second, count, max)
    }
}

/// How many commands were taken in a second: the second in the upper half of the word, the number in the lower.
#[derive(Debug, Default)]
struct CommandsOfSecond(AtomicU64);

impl CommandsOfSecond {
    fn take(&self, second: u32, count: u32, max: u64) -> u32 {
        let mut taken = 0;
        let next = |word: u64| {
            let before = if (word >> 32) as u32 == second { word as u32 } else { 0 };
            let left = max.saturating_sub(u64::from(before)).min(u64::from(u32::MAX - before));
            taken = count.min(left as u32);
            (taken > 0).then(|| u64::from(second) << 32 | u64::from(before + taken))
        };
        // Relaxed, both: the number is exact by itself, and orders nothing. An error means that nothing was left.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_commands_and_the_next_one_as_many_again() {
        let usage = Usage::default();
        assert_eq!([4, 4, 4, 1].map(|count| usage.take_commands(7, count, 10)), [4, 4, 2, 0]);
        assert_eq!(usage.take_commands(8, 4, 10), 4);
        // A limit that has become smaller leaves nothing of this second, and a larger one something.
        assert_eq!((usage.take_commands(8, 4, 3), usage.take_commands(8, 4, 6)), (0, 2));
        assert_eq!(usage.take_commands(9, u32::MAX, u64::MAX), u32::MAX);
        assert_eq!(usage.take_commands(9, 1, u64::MAX), 0, "a second ends at the number's end");
    }

    #[test]
    fn a_password_changes_once_in_a_second() {
        let usage = Usage::default();
        let changes = [5, 900, 1_004, 1_005, 1_500, 2_005].map(|now_ms| usage.note_password_change(now_ms));
        assert_eq!(changes, [true, false, false, true, false, true]);
    }

    #[test]
    fn each_limit_has_a_name_a_remedy_and_a_counter() {
        let limits = UserLimits::default();
        for limit in limits.all() {
            assert_eq!((limit.max(), limit.refused()), (Limit::NONE, 0), "{}", limit.name());
        }
        limits.commands.set_max(5);
        let text = "this would exceed the limit user-commands of 5 commands a second for one user: send fewer, or raise it by \
                    CONFIG SET";
        assert_eq!((limits.refuse_command().to_string(), limits.commands.refused()), (text.to_owned(), 1));
    }
}
