//! The table of users. A change makes a new table with a new version. A session keeps the old table until it compares versions.

use super::catalogue::Catalogue;
use super::denials::Denials;
use super::failed_logins::FailedLogins;
use super::file::{self, FileError, SaveError};
use super::limits::{Usage, UserLimits};
use super::password::PasswordHash;
use super::rule::{RuleError, UnmatchedParenthesis, merge_selectors};
use super::selector::has_spaces;
use super::user::User;
use crossbeam_utils::CachePadded;
use keytide_engine::account::Limit;
use keytide_engine::clock::steady_millis;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// The name of the user that clients are before they log in, and that a password alone is for.
pub const DEFAULT_USER: &[u8] = b"default";

/// All users at one moment.
#[derive(Clone, Debug)]
pub struct UserTable {
    default: Arc<User>,
    /// The default user too.
    by_name: BTreeMap<Box<[u8]>, Arc<User>>,
}

impl UserTable {
    fn new(default: User) -> UserTable {
        let default = Arc::new(default);
        UserTable { by_name: BTreeMap::from([(default.name().into(), default.clone())]), default }
    }

    /// The user of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// A user as it is now; none where it was deleted, also if there is another one of its name.
    pub fn newest(&self, user: &User) -> Option<&Arc<User>> {
        self.get(user.name()).filter(|newest| newest.serial() == user.serial())
    }

    /// The user that clients are before they log in.
    pub fn default_user(&self) -> &Arc<User> {
        &self.default
    }

    /// All users, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    fn put(&mut self, user: User) {
        let user = Arc::new(user);
        if user.name() == DEFAULT_USER {
            self.default = user.clone();
        }
        self.by_name.insert(user.name().into(), user);
    }
}

/// Why a user is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUserError {
    /// Its name has a space in it.
    Name,
    /// A selector has no end.
    Unmatched(UnmatchedParenthesis),
    /// A rule is wrong.
    Rule(Vec<u8>, RuleError),
}

/// Why somebody is not logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LoginRefused {
    /// There is no such user, it has another password, or it is off.
    #[error("invalid username-password pair or user is disabled.")]
    Wrong,
    /// Too many logins from the address have failed. The server did not check the credentials.
    #[error(
        "too many logins from this address have failed, the limit auth-failures is {max}: try again in {wait_s} seconds, or \
         raise it by CONFIG SET"
    )]
    TooMany {
        /// The limit.
        max: u64,
        /// In how many seconds the address may try again.
        wait_s: u64,
    },
}

/// The default user cannot be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("The 'default' user cannot be removed")]
pub struct DeleteError;

/// The users of a server, and what was denied to them.
#[derive(Debug)]
pub struct Users {
    catalogue: &'static Catalogue,
    state: Mutex<State>,
    /// Every core looks at it whenever it has received something: on a cache line of its own.
    version: CachePadded<AtomicU64>,
    /// What was denied.
    pub denials: Denials,
    /// What each user may have and do.
    pub limits: UserLimits,
    /// Logins that have failed.
    pub failed_logins: FailedLogins,
    file: Option<PathBuf>,
}

#[derive(Debug)]
struct State {
    table: Arc<UserTable>,
    last_serial: u64,
    /// Whether the default user was last given a password as one, for CONFIG GET. The password itself is kept nowhere.
    has_default_password: bool,
}

impl Users {
    /// With the default user only, who may do everything without a password. `file` is where users are loaded from and
    /// saved to, on demand.
    pub fn new(catalogue: &'static Catalogue, file: Option<PathBuf>, denials_max: u64) -> Users {
        let limits = UserLimits::default();
        let usage = Arc::new(Usage::new(DEFAULT_USER, &limits));
        let table = Arc::new(UserTable::new(default_user(catalogue).with_identity(1, usage)));
        let state = Mutex::new(State { table, last_serial: 1, has_default_password: false });
        Users {
            catalogue,
            state,
            version: CachePadded::new(AtomicU64::new(1)),
            denials: Denials::new(denials_max),
            limits,
            failed_logins: FailedLogins::default(),
            file,
        }
    }

    /// The version of the table: another one after each change.
    #[inline]
    pub fn version(&self) -> u64 {
        // Acquire: pairs with the release in `publish`. A reader of a version then takes a table that is at least as new, by
        // the lock; and what the change's author did before, as waking a core, came after it.
        self.version.load(Ordering::Acquire)
    }

    /// The table, and a version that is not newer than it.
    pub fn table(&self) -> (Arc<UserTable>, u64) {
        let version = self.version();
        (self.lock().table.clone(), version)
    }

    /// The commands as rules name them.
    pub fn catalogue(&self) -> &'static Catalogue {
        self.catalogue
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change replaces the table as a whole: one that a panic has interrupted has changed nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a table into place.
    fn publish(&self, state: &mut State, table: UserTable) {
        state.table = Arc::new(table);
        // Release: pairs with the acquire in `version`.
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The user that these credentials from an address are of.
    ///
    /// # Errors
    /// They are of nobody who may log in, or too many logins from the address have failed.
    pub fn log_in(&self, from: Option<IpAddr>, name: &[u8], password: &[u8]) -> Result<Arc<User>, LoginRefused> {
        let max = self.limits.auth_failures.max();
        // The time is asked for only where it counts.
        let limited = from.filter(|_| max != Limit::NONE).map(|address| (address, steady_millis()));
        if let Some((address, now_ms)) = limited
            && let Some(wait_ms) = self.failed_logins.blocked_ms(address, max, now_ms)
        {
            self.limits.auth_failures.note_refused();
            self.failed_logins.tell(address, self.limits.auth_failures.refused());
            return Err(LoginRefused::TooMany { max, wait_s: wait_ms.div_ceil(1000) });
        }
        self.authenticate(name, password).ok_or_else(|| {
            if let Some((address, now_ms)) = limited {
                self.failed_logins.note(address, now_ms);
            }
            LoginRefused::Wrong
        })
    }

    /// The user that these credentials are of; none if they are of nobody who may log in.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        let user = self.lock().table.get(name).cloned();
        match user {
            Some(user) => user.accepts(password).then_some(user),
            None => {
                // As long as for a user that there is, so that the time does not tell which there are.
                std::hint::black_box(PasswordHash::of(std::hint::black_box(password)));
                None
            }
        }
    }

    /// Creates a user, or changes one: all rules are applied, or none.
    ///
    /// # Errors
    /// What is wrong with the name, or with the first rule that is wrong.
    pub fn set<'a>(&self, name: &[u8], words: impl IntoIterator<Item = &'a [u8]>) -> Result<(), SetUserError> {
        self.set_where(name, words, |_| true).map(|_| ())
    }

    /// The same where the user of this name, or that there is none, is as `may` wants it. Returns whether it was.
    ///
    /// # Errors
    /// As [`Users::set`].
    pub fn set_where<'a>(
        &self,
        name: &[u8],
        words: impl IntoIterator<Item = &'a [u8]>,
        may: impl FnOnce(Option<&User>) -> bool,
    ) -> Result<bool, SetUserError> {
        if has_spaces(name) {
            return Err(SetUserError::Name);
        }
        let rules = merge_selectors(words).map_err(SetUserError::Unmatched)?;
        let mut state = self.lock();
        if !may(state.table.get(name).map(|user| &**user)) {
            return Ok(false);
        }
        let mut user = match state.table.get(name) {
            Some(user) => User::clone(user),
            None => User::new(name, 0).with_identity(state.last_serial + 1, Arc::new(Usage::new(name, &self.limits))),
        };
        for rule in rules {
            user.apply(&rule, self.catalogue).map_err(|error| SetUserError::Rule(rule, error))?;
        }
        state.last_serial = state.last_serial.max(user.serial());
        let mut table = UserTable::clone(&state.table);
        table.put(user);
        self.publish(&mut state, table);
        Ok(true)
    }

    /// Deletes users; tells which of the names there were.
    ///
    /// # Errors
    /// If the default user is among them; then none is deleted.
    pub fn delete<'a>(&self, names: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Vec<&'a [u8]>, DeleteError> {
        if names.clone().any(|name| name == DEFAULT_USER) {
            return Err(DeleteError);
        }
        let mut state = self.lock();
        let mut table = UserTable::clone(&state.table);
        let deleted: Vec<&[u8]> = names.filter(|name| table.by_name.remove(*name).is_some()).collect();
        if !deleted.is_empty() {
            self.publish(&mut state, table);
        }
        Ok(deleted)
    }

    /// Gives the default user one password; an empty one takes all away, and then it needs none.
    ///
    /// # Errors
    /// It is too long.
    pub fn set_default_password(&self, password: &[u8]) -> Result<(), RuleError> {
        let mut state = self.lock();
        let mut user = User::clone(&state.table.default);
        user.reset_passwords();
        let rule = if password.is_empty() { b"nopass".to_vec() } else { [b">", password].concat() };
        user.apply(&rule, self.catalogue)?;
        state.has_default_password = !password.is_empty();
        let mut table = UserTable::clone(&state.table);
        table.put(user);
        self.publish(&mut state, table);
        Ok(())
    }

    /// Whether [`Users::set_default_password`] was last given one.
    pub fn has_default_password(&self) -> bool {
        self.lock().has_default_password
    }

    /// The file of users.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Replaces all users by those of the file. A user whose rules are the same stays who it is; others are new users,
    /// though they have the name of one that there was. The default user stays as it is if it is not in the file.
    ///
    /// # Errors
    /// Why the file cannot be read, or what is wrong in it; then nothing has changed. None if there is no file.
    pub fn load(&self) -> Option<Result<(), FileError>> {
        let path = self.file.as_deref()?;
        Some(file::read(path, self.catalogue).map(|users| self.replace(users)))
    }

    fn replace(&self, users: Vec<User>) {
        let mut state = self.lock();
        let mut table = UserTable::new(User::clone(&state.table.default));
        for user in users {
            let before = state.table.get(user.name());
            let is_kept = |before: &Arc<User>| user.name() == DEFAULT_USER || before.describe() == user.describe();
            let (serial, usage) = match before.filter(|before| is_kept(before)) {
                Some(before) => (before.serial(), before.usage().clone()),
                None => {
                    state.last_serial += 1;
                    (state.last_serial, Arc::new(Usage::new(user.name(), &self.limits)))
                }
            };
            table.put(user.with_identity(serial, usage));
        }
        self.publish(&mut state, table);
    }

    /// Writes all users to the file.
    ///
    /// # Errors
    /// Why that fails; the file is as it was then. None if there is no file.
    pub fn save(&self) -> Option<Result<(), SaveError>> {
        let path = self.file.as_deref()?;
        let (table, _) = self.table();
        Some(file::write(path, table.iter().map(|user| user.line())))
    }
}

/// The default user as it is where nobody has said anything of it.
fn default_user(catalogue: &Catalogue) -> User {
    let mut user = User::new(DEFAULT_USER, 0);
    for rule in ["+@all", "~*", "&*", "on", "nopass"] {
        if user.apply(rule.as_bytes(), catalogue).is_err() {
            unreachable!("{rule} is a rule");
        }
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::catalogue::small;

    fn users() -> Users {
        Users::new(Box::leak(Box::new(small())), None, 128)
    }

    fn set(users: &Users, name: &str, rules: &str) -> Result<(), SetUserError> {
        users.set(name.as_bytes(), rules.split(' ').map(str::as_bytes))
    }

    fn lines(users: &Users) -> Vec<String> {
        let (table, _) = users.table();
        table.iter().map(|user| String::from_utf8(user.line()).expect("text")).collect()
    }

    #[test]
    fn at_first_there_is_a_default_user_who_may_do_everything() {
        let users = users();
        assert_eq!(lines(&users), ["user default on nopass ~* &* +@all"]);
        let (table, _) = users.table();
        assert!(table.default_user().is_open() && table.default_user().is_unlimited());
        assert!(users.authenticate(b"default", b"whatever").is_some() && users.authenticate(b"x", b"").is_none());
    }

    #[test]
    fn a_change_is_a_new_version_and_an_error_is_none() {
        let users = users();
        let before = users.version();
        set(&users, "a", "on >pw ~a +get").expect("rules");
        let version = users.version();
        assert_ne!(before, version);
        assert_eq!(
            set(&users, "a", "off +nosuch ~b"),
            Err(SetUserError::Rule(b"+nosuch".to_vec(), RuleError::Unknown))
        );
        assert_eq!(set(&users, "a b", "on"), Err(SetUserError::Name));
        assert!(matches!(set(&users, "a", "(+get"), Err(SetUserError::Unmatched(_))));
        assert_eq!(users.version(), version);
        assert!(users.authenticate(b"a", b"pw").is_some());
        assert_eq!(users.delete([&b"a"[..], b"default"].into_iter()), Err(DeleteError));
        assert_eq!(users.delete([&b"nosuch"[..]].into_iter()), Ok(vec![]));
        assert_eq!(users.version(), version);
        assert_eq!(users.delete([&b"a"[..], b"a", b"b"].into_iter()), Ok(vec![&b"a"[..]]));
        assert!(users.version() > version && users.authenticate(b"a", b"pw").is_none());
    }

    #[test]
    fn a_user_created_again_is_another_one_and_a_changed_one_is_not() {
        let users = users();
        let serial = |users: &Users| users.table().0.get(b"a").map(|user| user.serial());
        set(&users, "a", "on").expect("rules");
        let first = serial(&users);
        set(&users, "a", "+get").expect("rules");
        assert_eq!(serial(&users), first);
        users.delete([&b"a"[..]].into_iter()).expect("not the default user");
        set(&users, "a", "on +get").expect("rules");
        assert_ne!(serial(&users), first);
    }

    #[test]
    fn the_default_users_password_is_what_requirepass_says() {
        let users = users();
        users.set_default_password(b"secret").expect("it is short");
        assert!(users.authenticate(b"default", b"secret").is_some() && users.authenticate(b"default", b"").is_none());
        assert!(!users.table().0.default_user().is_open());
        assert!(users.has_default_password());
        users.set_default_password(b"").expect("it is short");
        assert!(users.table().0.default_user().is_open());
    }

    #[test]
    fn a_file_replaces_all_users_and_keeps_those_that_it_does_not_change() {
        let path = std::env::temp_dir().join(format!("keytide-users-{}.acl", std::process::id()));
        let users = Users::new(Box::leak(Box::new(small())), Some(path.clone()), 128);
        for (name, rules) in [("same", "on >pw ~a +get"), ("changed", "on nopass"), ("gone", "on")] {
            set(&users, name, rules).expect("rules");
        }
        let serial = |name: &str| users.table().0.get(name.as_bytes()).map(|user| user.serial());
        let before = ["same", "changed", "default"].map(serial);
        users.save().expect("there is a file").expect("it can be written");
        assert_eq!(std::fs::read_to_string(&path).expect("it was written"), lines(&users).join("\n") + "\n");
        let text = lines(&users).join("\n").replace("user changed on nopass", "user changed on nopass ~b");
        let text = text.lines().filter(|line| !line.starts_with("user gone")).collect::<Vec<_>>().join("\n\n");
        std::fs::write(&path, &text).expect("it can be written");
        users.load().expect("there is a file").expect("it is right");
        let after = ["same", "changed", "default"].map(serial);
        assert_eq!((after[0], after[2], serial("gone")), (before[0], before[2], None));
        assert_ne!(after[1], before[1]);
        // What is wrong changes nothing.
        let (known, version) = (lines(&users), users.version());
        std::fs::write(&path, format!("{text}\nuser x +nosuch\nbad\nuser same\n")).expect("it can be written");
        let error = users.load().expect("there is a file").expect_err("it is wrong").to_string();
        let shown = path.display().to_string();
        for part in [
            &*format!("{shown}:6: Unknown command or category name in ACL. "),
            &*format!("{shown}:7 should start with user keyword followed by the username. "),
            "WARNING: Duplicate user 'same' found on line 8. ",
            "WARNING: ACL errors detected, no change to the previously active ACL rules was performed",
        ] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert_eq!((lines(&users), users.version()), (known, version));
        std::fs::remove_file(&path).expect("it is there");
    }
}
