//! The commands that users may run in a second, `--user-commands`. A core takes some of a user's for itself and counts them
//! down, so commands touch nothing that cores share; where there is no limit they cost one branch.

use super::Core;
use super::resp::Client;
use crate::access::User;
use crate::command::{Command, Flag};
use crate::limits::USER_COMMANDS_TAKEN_PART;
use crate::resp::{Args, error_text};
use keytide_engine::account::Limit;
use std::collections::HashMap;

/// The paces of the users of one core's clients.
#[derive(Debug)]
pub(super) struct Paces {
    /// Commands of one user in a second; [`Limit::NONE`] without a limit.
    max: u64,
    /// How many are taken at a time.
    step: u32,
    shards: u16,
    /// The second in which the turn began, steady.
    second: u32,
    /// How many commands that were taken in this second each user has left, by its serial number.
    left: HashMap<u64, u32>,
}

impl Paces {
    /// Those of one of so many cores.
    pub fn new(shards: u16) -> Paces {
        Paces { max: Limit::NONE, step: 0, shards, second: 0, left: HashMap::new() }
    }

    /// Whether there is a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.max != Limit::NONE
    }

    /// Begins a turn with this limit, at this time.
    #[inline]
    pub fn begin_turn(&mut self, max: u64, steady_ms: u64) {
        if max != Limit::NONE || self.is_limited() {
            self.renew(max, (steady_ms / 1000) as u32);
        }
    }

    #[cold]
    fn renew(&mut self, max: u64, second: u32) {
        // What another core takes and does not use nobody else may: so cores take little at a time, and where the limit is
        // low, one by one.
        let step = max / (u64::from(self.shards) * USER_COMMANDS_TAKEN_PART);
        self.step = u32::try_from(step).unwrap_or(u32::MAX).max(1);
        if (max, second) != (self.max, self.second) {
            (self.max, self.second) = (max, second);
            self.left.clear();
        }
    }

    /// Counts a command of a user. Returns whether it may run.
    fn count(&mut self, user: &User) -> bool {
        let left = self.left.entry(user.serial()).or_default();
        if *left == 0 {
            *left = user.usage().take_commands(self.second, self.step, self.max);
        }
        match left.checked_sub(1) {
            Some(fewer) => {
                *left = fewer;
                true
            }
            None => false,
        }
    }

    /// Counts a command out that has to wait and will be counted again.
    #[cold]
    pub fn uncount(&mut self, user: &User) {
        if let Some(left) = self.left.get_mut(&user.serial()) {
            *left += 1;
        }
    }
}

impl Core {
    /// Whether a client's user has run as many commands in this second as it may. The client has its error then. Commands
    /// that may be sent before a login are for everybody, and those for administrators always for who may do everything:
    /// one of them changes the limit. `command` is none where there is no such command.
    #[cold]
    pub(super) fn refuse_pace(&mut self, client: &mut Client<'_>, command: Option<&Command>, args: Args<'_>) -> bool {
        let session = &client.session;
        let is_free = |command: &Command| command.is(Flag::NoAuth) || command.is(Flag::Admin) && session.is_unlimited;
        if command.is_some_and(is_free) || !session.authenticated || self.paces.count(session.user()) {
            return false;
        }
        let over = self.server.users.limits.refuse_command();
        if self.pace_told.is_due() {
            let user = client.session.user().name().escape_ascii();
            tracing::warn!(%user, client = client.session.client, "commands are refused: {over}");
        }
        self.reject(client, args, error_text::err(&over).as_bytes());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Catalogue, Users};

    #[test]
    fn cores_together_run_as_many_as_the_limit_says() {
        let users = Users::new(Box::leak(Box::new(Catalogue::new(Vec::new()))), None, 0);
        let (table, _) = users.table();
        let user = table.default_user();
        let mut cores = [Paces::new(2), Paces::new(2)];
        assert!(!cores[0].is_limited());
        for (second, max) in [(1, 100), (2, 100), (3, 5), (3, 7)] {
            cores.iter_mut().for_each(|core| core.begin_turn(max, second * 1000));
            let before = if (second, max) == (3, 7) { 5 } else { 0 };
            let run = (0..300).filter(|n| cores[n % 2].count(user)).count();
            assert_eq!(run as u64, max - before, "{max} in second {second}");
        }
        cores[0].begin_turn(Limit::NONE, 4_000);
        assert!(!cores[0].is_limited());
    }

    #[test]
    fn what_one_core_takes_and_does_not_use_is_an_eighth_of_its_share_at_the_most() {
        let users = Users::new(Box::leak(Box::new(Catalogue::new(Vec::new()))), None, 0);
        let (table, _) = users.table();
        let mut cores = [Paces::new(2), Paces::new(2)];
        cores.iter_mut().for_each(|core| core.begin_turn(1600, 0));
        assert!(cores[0].count(table.default_user()));
        let run = (0..2000).filter(|_| cores[1].count(table.default_user())).count();
        assert_eq!(run, 1500);
    }
}
