//! The flags of users, and their values.

use super::ConfigError;
use super::values::refused;
use crate::limits::ACLLOG_MAX_LEN_DEFAULT;
use clap::Parser;
use serde::Deserialize;
use std::path::PathBuf;

/// The given flags of users.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Users")]
pub(super) struct UserFlags {
    /// A user and its rules, as "anna on #<hash> ~app:* +@read"; repeatable, in the variable one a line
    #[arg(long, env = "KEYTIDE_USER", value_name = "NAME RULES", value_delimiter = '\n', hide_env_values = true)]
    user: Option<Vec<String>>,
    /// File of users, one a line, as `user anna on #<hash> ~app:* +@read`; ACL LOAD reads it, ACL SAVE writes it
    #[arg(long, env = "KEYTIDE_ACL_FILE", value_name = "FILE")]
    acl_file: Option<PathBuf>,
    /// Entries that ACL LOG keeps [default: 128]
    #[arg(long, env = "KEYTIDE_ACLLOG_MAX_LEN", value_name = "N")]
    acllog_max_len: Option<u64>,
}

/// The sources of users. The start parses their rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSources {
    /// Users with their rules, separated by spaces.
    pub given: Vec<String>,
    /// The file of users.
    pub file: Option<PathBuf>,
    /// The most entries of ACL LOG.
    pub acllog_max_len: u64,
}

impl UserFlags {
    /// Whether a rule of a user is a password that is no hash.
    pub(super) fn has_passwords(&self) -> bool {
        let mut words = self.user.iter().flatten().flat_map(|line| line.split(|c: char| c.is_whitespace() || c == '('));
        words.any(|word| word.starts_with(['>', '<']))
    }

    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: UserFlags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(user acl_file acllog_max_len);
    }

    /// The sources.
    pub(super) fn decide(self) -> Result<UserSources, ConfigError> {
        let given: Vec<String> =
            self.user.unwrap_or_default().into_iter().filter(|line| !line.trim().is_empty()).collect();
        match &self.acl_file {
            Some(path) if !given.is_empty() => {
                let reason = "users are in the file or with --user, not both: ACL LOAD would lose those of --user";
                Err(refused("acl-file", &path.display().to_string(), reason))
            }
            _ => Ok(UserSources {
                given,
                file: self.acl_file,
                acllog_max_len: self.acllog_max_len.unwrap_or(ACLLOG_MAX_LEN_DEFAULT),
            }),
        }
    }
}

impl UserSources {
    /// Whether any user is named.
    pub fn has_users(&self) -> bool {
        !self.given.is_empty() || self.file.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::decide;

    #[test]
    fn users_come_from_flags_or_from_a_file() {
        let sources = |words: &[&str]| decide(words).map(|config| config.users);
        let given = sources(&["--user", "a on", "--user", "b off ~x"]).expect("two users");
        assert_eq!((&given.given[..], given.has_users()), (&["a on".to_owned(), "b off ~x".to_owned()][..], true));
        assert!(!sources(&[]).expect("none").has_users());
        let file = sources(&["--acl-file", "/users", "--acllog-max-len", "0"]).expect("a file");
        assert_eq!((file.file, file.acllog_max_len), (Some("/users".into()), 0));
        assert!(sources(&["--acl-file", "/users", "--user", "a on"]).unwrap_err().contains("not both"));
    }

    #[test]
    fn users_are_protection_enough_to_serve_other_machines() {
        // Whether a password is needed then is known only with the rules: the start looks at that.
        assert!(decide(&["--bind", "0.0.0.0", "--user", "a on"]).is_ok());
        assert!(decide(&["--bind", "0.0.0.0", "--acl-file", "/users"]).is_ok());
    }
}
