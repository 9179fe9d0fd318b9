//! Limits the bytes of replies that a core produces for a connection of another core before that core has acknowledged
//! them.
//!
//! Only large replies are counted, so small ones cost nothing: a connection has few enough of these in flight. The
//! connection's core acknowledges a counted reply as soon as the client's unread output is within its limit. Until then
//! the connection's further commands wait here, in order.

use super::message::Request;
use crate::limits::{REMOTE_REPLY_BYTES_MIN, UNACKNOWLEDGED_BYTES_MAX};
use crate::net_ring::ConnectionId;
use keytide_engine::position::ShardId;
use std::collections::{HashMap, VecDeque};

/// A connection of another core.
pub type RemoteConnection = (ShardId, ConnectionId);

/// The accounts of the connections of other cores, of those that need one.
#[derive(Default)]
pub struct Credit {
    accounts: HashMap<RemoteConnection, CreditAccount>,
    /// The number of connections whose commands wait.
    blocked: usize,
    /// Those whose waiting commands may run.
    ready: VecDeque<RemoteConnection>,
}

#[derive(Default)]
struct CreditAccount {
    unacknowledged: usize,
    waiting: VecDeque<Request>,
    /// Whether the connection is closed: nothing is counted any more.
    is_closed: bool,
}

impl CreditAccount {
    fn is_used_up(&self) -> bool {
        self.unacknowledged > UNACKNOWLEDGED_BYTES_MAX
    }

    fn can_run(&self) -> bool {
        !self.is_used_up() && !self.waiting.is_empty()
    }

    fn is_blocked(&self) -> bool {
        self.is_used_up() || !self.waiting.is_empty()
    }
}

impl Credit {
    /// Whether any connection's commands wait.
    #[inline]
    pub fn has_blocked(&self) -> bool {
        self.blocked > 0
    }

    /// Whether this connection's commands have to wait.
    pub fn is_blocked(&self, asker: RemoteConnection) -> bool {
        self.has_blocked() && self.accounts.get(&asker).is_some_and(CreditAccount::is_blocked)
    }

    /// Counts a reply of this many bytes.
    #[inline]
    pub fn note_reply(&mut self, asker: RemoteConnection, bytes: usize) {
        if bytes >= REMOTE_REPLY_BYTES_MIN {
            self.change(asker, |account| account.unacknowledged += if account.is_closed { 0 } else { bytes });
        }
    }

    /// Queues a command of a connection whose commands have to wait.
    pub fn keep(&mut self, asker: RemoteConnection, request: Request) {
        self.change(asker, |account| account.waiting.push_back(request));
    }

    /// Counts this many bytes of replies as acknowledged.
    pub fn acknowledge(&mut self, asker: RemoteConnection, bytes: usize) {
        if self.accounts.contains_key(&asker) {
            self.change(asker, |account| account.unacknowledged = account.unacknowledged.saturating_sub(bytes));
        }
    }

    /// Stops counting for a connection, because it is closed. Of its waiting commands, those for which `is_kept`
    /// returns true remain and will run.
    pub fn close(&mut self, asker: RemoteConnection, is_kept: impl Fn(&Request) -> bool) {
        if self.accounts.contains_key(&asker) {
            self.change(asker, |account| {
                (account.unacknowledged, account.is_closed) = (0, true);
                account.waiting.retain(is_kept);
            });
        }
    }

    /// Whether a waiting command may run.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next waiting command that may run.
    pub fn next_ready(&mut self) -> Option<Request> {
        loop {
            let asker = *self.ready.front()?;
            let account = self.accounts.get(&asker);
            if account.is_some_and(CreditAccount::can_run) {
                // Moved behind the others: one connection's commands do not all run while others wait.
                self.ready.rotate_left(1);
                return self.change(asker, |account| account.waiting.pop_front());
            }
            self.ready.pop_front();
        }
    }

    fn change<R>(&mut self, asker: RemoteConnection, change: impl FnOnce(&mut CreditAccount) -> R) -> R {
        let account = self.accounts.entry(asker).or_default();
        let was_blocked = account.is_blocked();
        let could_go_on = account.can_run();
        let result = change(account);
        let is_blocked = account.is_blocked();
        let can_run = account.can_run();
        self.blocked = self.blocked + usize::from(is_blocked) - usize::from(was_blocked);
        if account.unacknowledged == 0 && !is_blocked {
            self.accounts.remove(&asker);
        }
        if can_run && !could_go_on && !self.ready.contains(&asker) {
            self.ready.push_back(asker);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::TABLE;
    use crate::mesh::message::{ReplyForm, ReplyTo};
    use crate::resp::OwnedArgs;
    use keytide_engine::stream_name::Database;
    use proptest::prelude::*;

    fn asker(connection: u64) -> RemoteConnection {
        (ShardId(1), ConnectionId::from_u64(connection))
    }

    fn request(connection: u64, number: u64) -> Request {
        let args: OwnedArgs = ["get", "k"].into_iter().collect();
        let Ok(command) = TABLE.resolve(args.as_args()) else { panic!("GET is a command") };
        let to = ReplyTo { connection: ConnectionId::from_u64(connection), number, part: 0 };
        Request {
            from: ShardId(1),
            command,
            form: ReplyForm::Part,
            client: connection,
            database: Database::FIRST,
            caching: Default::default(),
            to,
            args,
        }
    }

    #[test]
    fn small_replies_are_not_counted() {
        let mut credit = Credit::default();
        (0..10_000).for_each(|_| credit.note_reply(asker(1), REMOTE_REPLY_BYTES_MIN - 1));
        assert!(credit.accounts.is_empty() && !credit.has_blocked());
    }

    #[test]
    fn a_closed_connections_kept_commands_run_uncounted() {
        let mut credit = Credit::default();
        credit.note_reply(asker(1), 2 * UNACKNOWLEDGED_BYTES_MAX);
        (0..4).for_each(|number| credit.keep(asker(1), request(1, number)));
        assert!(credit.next_ready().is_none() && credit.is_blocked(asker(1)));
        credit.close(asker(1), |request| request.to.number % 2 == 1);
        let mut numbers = Vec::new();
        while let Some(request) = credit.next_ready() {
            numbers.push(request.to.number);
            credit.note_reply(asker(1), 2 * UNACKNOWLEDGED_BYTES_MAX);
        }
        assert_eq!(numbers, [1, 3]);
        credit.close(asker(1), |_| false);
        assert!(credit.accounts.is_empty() && !credit.has_blocked());
    }

    #[derive(Clone, Debug)]
    enum CreditStep {
        Command { connection: u64, reply: usize },
        Acknowledge { connection: u64 },
        RunWaiting,
        Close { connection: u64 },
    }

    fn step() -> impl Strategy<Value = CreditStep> {
        let connection = 0u64..3;
        prop_oneof![
            6 => (connection.clone(), prop_oneof![Just(10usize), Just(50_000), Just(400_000)])
                .prop_map(|(connection, reply)| CreditStep::Command { connection, reply }),
            3 => connection.clone().prop_map(|connection| CreditStep::Acknowledge { connection }),
            3 => Just(CreditStep::RunWaiting),
            1 => connection.prop_map(|connection| CreditStep::Close { connection }),
        ]
    }

    proptest! {
        /// Against a model that tracks for each connection which commands ran, which wait and what is not acknowledged.
        #[test]
        fn commands_run_in_their_order_and_only_within_the_bound(steps in proptest::collection::vec(step(), 0..120)) {
            let mut credit = Credit::default();
            let (mut sent, mut run, mut open) = ([0u64; 3], [0u64; 3], [0usize; 3]);
            let mut replies: Vec<(u64, u64, usize)> = Vec::new();
            let size = |replies: &[(u64, u64, usize)], connection: u64, number: u64| {
                replies.iter().find(|reply| (reply.0, reply.1) == (connection, number)).expect("it was sent").2
            };
            for step in steps {
                match step {
                    CreditStep::Command { connection, reply } => {
                        let at = connection as usize;
                        replies.push((connection, sent[at], reply));
                        let must_wait = open[at] > UNACKNOWLEDGED_BYTES_MAX || run[at] < sent[at];
                        prop_assert_eq!(credit.is_blocked(asker(connection)), must_wait);
                        if must_wait {
                            credit.keep(asker(connection), request(connection, sent[at]));
                        } else {
                            run[at] += 1;
                            credit.note_reply(asker(connection), reply);
                            open[at] += if reply >= REMOTE_REPLY_BYTES_MIN { reply } else { 0 };
                        }
                        sent[at] += 1;
                    }
                    CreditStep::Acknowledge { connection } => {
                        credit.acknowledge(asker(connection), open[connection as usize]);
                        open[connection as usize] = 0;
                    }
                    CreditStep::RunWaiting => {
                        let may = (0..3).any(|at| open[at] <= UNACKNOWLEDGED_BYTES_MAX && run[at] < sent[at]);
                        let next = credit.next_ready();
                        prop_assert_eq!(next.is_some(), may);
                        let Some(next) = next else { continue };
                        let at = next.client as usize;
                        prop_assert!(open[at] <= UNACKNOWLEDGED_BYTES_MAX);
                        prop_assert_eq!(next.to.number, run[at]);
                        run[at] += 1;
                        let reply = size(&replies, next.client, next.to.number);
                        credit.note_reply(asker(next.client), reply);
                        open[at] += if reply >= REMOTE_REPLY_BYTES_MIN { reply } else { 0 };
                    }
                    CreditStep::Close { connection } => {
                        let at = connection as usize;
                        credit.close(asker(connection), |_| false);
                        (run[at], open[at]) = (sent[at], 0);
                    }
                }
                let blocked = (0..3).filter(|&at| open[at] > UNACKNOWLEDGED_BYTES_MAX || run[at] < sent[at]).count();
                prop_assert_eq!(credit.blocked, blocked);
                prop_assert_eq!(credit.accounts.len(), (0..3).filter(|&at| open[at] > 0 || run[at] < sent[at]).count());
            }
        }
    }
}
