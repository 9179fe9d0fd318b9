//! Who may do what: users with their passwords and permissions, whatever protocol they speak.
//!
//! The rules are those of Redis's ACLs. A [`User`] has one or more selectors, each a set of commands with the keys and
//! channels that it is for; a command is permitted where one of them permits all of it. Users are never changed in place:
//! a change makes a new [`User`] under the same name, and a new version of the table. Sessions hold the user that they
//! have, so a check takes no lock; they compare versions to learn of a change.
//!
//! | module | what is in it |
//! |---|---|
//! | `category`, `catalogue` | the categories of commands; the commands, as rules name them |
//! | `command_set` | a set of commands, as bits |
//! | `password` | the hash of a password |
//! | `pattern` | patterns of keys and channels |
//! | `selector` | one set of permissions |
//! | `rule` | rules in words, and what is wrong with one |
//! | `user` | a user, and its description in rules |
//! | `check` | the check of a request |
//! | `words` | texts as words of rules |
//! | `users` | the table of users |
//! | `file` | the file of users |
//! | `denials` | what was denied: ACL LOG |
//! | `limits` | what one user may have and do, and what it has in use |
//! | `failed_logins` | logins that have failed, by address |

mod catalogue;
mod category;
mod check;
mod command_set;
mod denials;
mod failed_logins;
mod file;
mod limits;
mod password;
mod pattern;
mod rule;
mod selector;
mod user;
mod users;
mod words;

pub use catalogue::{Catalogue, CatalogueEntry};
pub use category::{Categories, Category};
pub use check::{Denial, Need, Object, Reason};
pub use denials::{Context, Denials, DeniedRequest, Entry};
pub use failed_logins::FailedLogins;
pub use file::{FileError, SaveError};
pub use limits::{Usage, UserLimits};
pub use password::PasswordHash;
pub use rule::{RuleError, UnmatchedParenthesis, merge_selectors, shown_rule};
pub use selector::Selector;
pub use user::{About, User, about_rules};
pub use users::{DEFAULT_USER, DeleteError, LoginRefused, SetUserError, UserTable, Users};
