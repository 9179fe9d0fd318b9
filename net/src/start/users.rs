//! The users that a server starts with: those of flags, or of the file, and the password of the default user.

use super::StartError;
use crate::access::{DEFAULT_USER, FileError, RuleError, SetUserError, UnmatchedParenthesis, Users, shown_rule};
use crate::command::access::CATALOGUE;
use crate::config::Config;
use thiserror::Error;

/// Why the users are not those that were asked for.
#[derive(Debug, Error)]
pub enum UsersError {
    /// A rule of a flag.
    #[error("--user {name}: rule '{rule}': {reason}")]
    Rule {
        /// The user.
        name: String,
        /// The rule, without a password.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A name is given twice.
    #[error("--user {0}: given twice; give all rules of a user together")]
    Twice(String),
    /// The password of the default user.
    #[error("--requirepass: {0}")]
    Requirepass(RuleError),
    /// The file.
    #[error("--acl-file: {0}")]
    File(#[from] FileError),
}

/// The users of this configuration.
///
/// # Errors
/// A rule that is wrong, or a file; or that nobody needs a password although other machines are served.
pub(super) fn load(config: &Config) -> Result<Users, StartError> {
    let sources = &config.users;
    let users = Users::new(&CATALOGUE, sources.file.clone(), sources.acllog_max_len);
    config.user_limits.apply(&users);
    // First, so that rules of the default user are what counts.
    if let Some(password) = &config.requirepass {
        users.set_default_password(password.as_bytes()).map_err(UsersError::Requirepass)?;
    }
    let mut names = Vec::new();
    for line in &sources.given {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        if names.contains(&name) {
            return Err(UsersError::Twice(name.to_owned()).into());
        }
        names.push(name);
        // A user is what its rules make of one that has none. The default user is there already.
        let reset = (name.as_bytes() == DEFAULT_USER).then_some("reset");
        let rules = reset.into_iter().chain(words).map(str::as_bytes);
        users.set(name.as_bytes(), rules).map_err(|error| refused(name, error))?;
    }
    if let Some(loaded) = users.load() {
        loaded.map_err(UsersError::File)?;
    }
    let (table, _) = users.table();
    if table.default_user().is_open() && !config.bind.is_loopback() && !config.insecure {
        return Err(StartError::Unprotected { bind: config.bind });
    }
    for user in table.iter().filter(|user| !user.is_on()) {
        let name = user.name().escape_ascii();
        tracing::info!(%name, "a user is off: nobody can log in as this user");
    }
    Ok(users)
}

fn refused(name: &str, error: SetUserError) -> UsersError {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (rule, reason) = match error {
        SetUserError::Name => (String::new(), "the name has a space in it".to_owned()),
        SetUserError::Unmatched(UnmatchedParenthesis(first)) => (text(&first), "the selector has no end".to_owned()),
        SetUserError::Rule(rule, error) => (text(shown_rule(&rule)), error.to_string()),
    };
    UsersError::Rule { name: name.to_owned(), rule, reason }
}
