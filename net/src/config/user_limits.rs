//! The flags that limit what one user may have and do, and their values. A limit of 0 is none.

use super::ConfigError;
use super::values::{bytes_from, span_ms};
use crate::access::Users;
use crate::limits::{AUTH_FAILURES_DEFAULT, AUTH_FAILURES_WINDOW_MS_DEFAULT};
use clap::Parser;
use keytide_engine::account::Limit;
use serde::Deserialize;

/// The given flags.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Limits of one user")]
pub(super) struct UserLimitFlags {
    /// Logins from one address that may fail within --auth-failures-window; then none is tried until that is over; 0 =
    /// unlimited [default: 10000]
    #[arg(long, env = "KEYTIDE_AUTH_FAILURES", value_name = "N")]
    auth_failures: Option<u64>,
    /// How long failed logins count, as 60s or 1m [default: 60s]
    #[arg(long, env = "KEYTIDE_AUTH_FAILURES_WINDOW", value_name = "SPAN")]
    auth_failures_window: Option<String>,
    /// Connections of one user; 0 = unlimited [default: 0]
    #[arg(long, env = "KEYTIDE_USER_CONNECTIONS", value_name = "N")]
    user_connections: Option<u64>,
    /// Commands of one user in a second, by all its connections; 0 = unlimited [default: 0]
    #[arg(long, env = "KEYTIDE_USER_COMMANDS", value_name = "N")]
    user_commands: Option<u64>,
    /// Subscriptions of one user; 0 = unlimited [default: 0]
    #[arg(long, env = "KEYTIDE_USER_SUBSCRIPTIONS", value_name = "N")]
    user_subscriptions: Option<u64>,
    /// Bytes that the subscriptions of one user may take; suffixes k, m, g; 0 = unlimited [default: 0]
    #[arg(long, env = "KEYTIDE_USER_SUBSCRIPTIONS_BYTES", value_name = "BYTES")]
    user_subscriptions_bytes: Option<String>,
    /// Consumer groups that one user may create; 0 = unlimited [default: 0]
    #[arg(long, env = "KEYTIDE_USER_GROUPS", value_name = "N")]
    user_groups: Option<u64>,
    /// Bytes that the consumer groups of one user may take; suffixes k, m, g; 0 = unlimited [default: 0]
    #[arg(long, env = "KEYTIDE_USER_GROUPS_BYTES", value_name = "BYTES")]
    user_groups_bytes: Option<String>,
}

/// The limits of users at the start; [`Limit::NONE`] is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserLimitValues {
    /// Logins from one address that may fail within the window.
    pub auth_failures: u64,
    /// The window, milliseconds.
    pub auth_failures_window_ms: u64,
    /// Connections.
    pub connections: u64,
    /// Commands in a second.
    pub commands: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Their bytes.
    pub subscriptions_bytes: u64,
    /// Consumer groups.
    pub groups: u64,
    /// Their bytes.
    pub groups_bytes: u64,
}

/// The limit that a number is.
fn limit(number: u64) -> u64 {
    if number == 0 { Limit::NONE } else { number }
}

impl UserLimitFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: UserLimitFlags) {
        macro_rules! fill {
            ($($field:ident)*) => { $(self.$field = self.$field.take().or(file.$field);)* };
        }
        fill!(auth_failures auth_failures_window user_connections user_commands user_subscriptions);
        fill!(user_subscriptions_bytes user_groups user_groups_bytes);
    }

    /// The values.
    pub(super) fn decide(self) -> Result<UserLimitValues, ConfigError> {
        let window = self.auth_failures_window.as_deref().map(|text| span_ms("auth-failures-window", text));
        let bytes = |flag, text: &Option<String>| bytes_from(flag, text.as_deref(), (0, 0)).map(limit);
        Ok(UserLimitValues {
            auth_failures: limit(self.auth_failures.unwrap_or(AUTH_FAILURES_DEFAULT)),
            auth_failures_window_ms: window.transpose()?.unwrap_or(AUTH_FAILURES_WINDOW_MS_DEFAULT),
            connections: limit(self.user_connections.unwrap_or(0)),
            commands: limit(self.user_commands.unwrap_or(0)),
            subscriptions: limit(self.user_subscriptions.unwrap_or(0)),
            subscriptions_bytes: bytes("user-subscriptions-bytes", &self.user_subscriptions_bytes)?,
            groups: limit(self.user_groups.unwrap_or(0)),
            groups_bytes: bytes("user-groups-bytes", &self.user_groups_bytes)?,
        })
    }
}

impl UserLimitValues {
    /// Has users be limited by these.
    pub fn apply(&self, users: &Users) {
        let limits = &users.limits;
        users.failed_logins.set_window_ms(self.auth_failures_window_ms);
        for (limit, max) in [
            (&limits.auth_failures, self.auth_failures),
            (&*limits.connections, self.connections),
            (&limits.commands, self.commands),
            (&*limits.subscriptions, self.subscriptions),
            (&*limits.subscriptions_bytes, self.subscriptions_bytes),
            (&*limits.groups, self.groups),
            (&*limits.groups_bytes, self.groups_bytes),
        ] {
            limit.set_max(max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::decide;
    use super::*;

    #[test]
    fn users_are_not_limited_unless_it_is_said_and_failed_logins_are() {
        let limits = |words: &[&str]| decide(words).map(|config| config.user_limits);
        let default = limits(&[]).expect("the defaults are a configuration");
        assert_eq!((default.auth_failures, default.auth_failures_window_ms), (10_000, 60_000));
        assert_eq!(
            (default.connections, default.commands, default.groups_bytes),
            (Limit::NONE, Limit::NONE, Limit::NONE)
        );
        let flags = ["--user-commands", "5", "--user-groups-bytes", "1m", "--auth-failures", "0", "--user-groups", "0"];
        let given = limits(&flags).expect("values");
        assert_eq!((given.commands, given.groups_bytes), (5, 1 << 20));
        assert_eq!((given.auth_failures, given.groups), (Limit::NONE, Limit::NONE));
        assert!(limits(&["--user-groups-bytes", "x"]).unwrap_err().starts_with("--user-groups-bytes x: "));
        assert!(limits(&["--auth-failures-window", "60"]).unwrap_err().contains("as 7d, 12h"));
    }
}
