//! Changes over several shards at one instant: their shards are lent to the core that coordinates, which runs the
//! command or the transaction over all of them, commits them together, and gives them back.
//!
//! A shard is lent at the end of a turn, committed, and its core runs nothing on it meanwhile. A coordinator asks for
//! the shards one after the other, in the order of their numbers, its own among them, and has one such change at a
//! time. So a core that waits for a shard holds only lower ones, and no circle of waiting cores can form.

use super::resp::Client;
use super::runner::Runner;
use super::waits::CommandId;
use super::{Core, monitor, note_settings, slow};
use crate::access::User;
use crate::command::RespClient;
use crate::connection::{Connection, Stall};
use crate::mesh::message::{JobFor, Message, ReplyForm, ReplyTo};
use crate::net_ring::ConnectionId;
use crate::resp::{CommandIndex, OwnedArgs, Transaction};
use crate::scripting::Ended;
use crate::streams::{Job, Outcome};
use crate::weight::Weight;
use keytide_engine::position::ShardId;
use keytide_engine::shard::{LentShard, Shard};
use keytide_engine::shards::Shards;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::WaiterId;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// What runs over several shards.
pub(super) enum HoldWork {
    /// Of a client of the Redis protocol, with where its reply goes.
    Resp(RespWork, ReplyTo, ReplyForm),
    /// What a call of gRPC has asked for.
    Job(JobFor, Box<Job>),
}

/// What runs for a client of the Redis protocol.
pub(super) enum RespWork {
    /// A command with its arguments, and the database that its client has selected.
    Command(CommandIndex, Database, OwnedArgs),
    Transaction(Transaction, Arc<User>),
    /// WATCH, with its arguments.
    Watch(OwnedArgs),
    /// A command that may wait for keys of several shards.
    Waiting(CommandId),
}

/// What has come of it.
enum Done {
    /// The connection is put back; none if its client has left.
    Reply {
        connection: Option<Box<Connection>>,
        to: ReplyTo,
        reply: Option<Vec<u8>>,
    },
    Outcome(JobFor, Outcome),
}

/// A change that is gathering its shards.
pub(super) struct Hold {
    work: HoldWork,
    /// The shards that it needs, in ascending order.
    needed: Vec<ShardId>,
    /// Those that have come: the first ones of `needed`.
    #[expect(clippy::vec_box, reason = "shards cross cores by pointer, and stay where they are")]
    held: Vec<Box<Shard>>,
}

/// One queued change.
pub(super) struct HoldRequest {
    pub work: HoldWork,
    /// The shards that it needs, in ascending order.
    pub needed: Vec<ShardId>,
}

/// The loans of shards, of one core.
#[derive(Default)]
pub(super) struct Lending {
    /// The change over several shards that this core coordinates.
    pub hold: Option<Hold>,
    /// The changes that come after it.
    pub queue: VecDeque<HoldRequest>,
    /// Cores that wait for this core's shard, oldest first.
    pub borrowers: VecDeque<ShardId>,
    /// Connections whose commands wait for this core's shard.
    pub waiting: Vec<ConnectionId>,
    /// Waiters to remove from this core's shard when it comes back.
    pub ended_waits: Vec<WaiterId>,
}

impl Core {
    /// Queues a change over these shards, in ascending order; the connection waits for its reply. To be called when all
    /// of its earlier commands are answered: on other cores such commands may wait, and a loan of the shard passes them.
    pub(super) fn hold(&mut self, client: &mut Client<'_>, work: RespWork, needed: Vec<ShardId>) {
        debug_assert_eq!(client.replies.waiting(), 0);
        let to = self.wait_for_reply(client);
        let work = HoldWork::Resp(work, to, client.asker().form);
        self.lending.queue.push_back(HoldRequest { work, needed });
    }

    /// After the commit: lends this core's shard to the core that waits for it, and carries on the change that this core
    /// coordinates.
    pub(super) fn lend_and_hold(&mut self) -> bool {
        let mut work = false;
        loop {
            if self.lending.hold.is_none()
                && let Some(HoldRequest { work, needed }) = self.lending.queue.pop_front()
            {
                self.lending.hold = Some(Hold { work, needed, held: Vec::new() });
                self.ask_for_shard();
            }
            let Some(borrower) = self.lending.borrowers.front().copied() else { break };
            // What waited for the shard may have run since the turn's commit, for the shard came back in this loop.
            self.commit();
            let Some(shard) = self.shard.take() else { break };
            self.lending.borrowers.pop_front();
            work = true;
            if borrower == self.id {
                self.take_lent(shard);
            } else {
                self.lanes.to(borrower).push(Message::Lent(LentShard(shard)));
            }
        }
        // As above: replies leave next.
        self.commit();
        work
    }

    /// Asks for the next shard that the change needs.
    fn ask_for_shard(&mut self) {
        let Some(hold) = &self.lending.hold else { return };
        let next = hold.needed[hold.held.len()];
        if next == self.id {
            self.lending.borrowers.push_back(next);
        } else {
            self.lanes.to(next).push(Message::Lend);
        }
    }

    /// Takes a shard that was lent to this core; with the last one the change runs.
    pub(super) fn take_lent(&mut self, shard: Box<Shard>) {
        let Some(hold) = &mut self.lending.hold else { unreachable!("a shard is lent to who asked for it") };
        debug_assert_eq!(shard.id(), hold.needed[hold.held.len()]);
        hold.held.push(shard);
        if hold.held.len() < hold.needed.len() {
            self.ask_for_shard();
        } else if let Some(hold) = self.lending.hold.take() {
            self.run_hold(hold);
        }
    }

    fn run_hold(&mut self, hold: Hold) {
        let Hold { work, mut held, .. } = hold;
        // One time for all of them, whenever each has come.
        held.iter_mut().for_each(|shard| shard.set_now_ms(self.now_ms));
        let shards = Shards::Several { shards: &mut held, total: self.server.shards() };
        let done = match work {
            HoldWork::Resp(work, to, form) => self.run_resp_hold(&work, (to, form), shards),
            HoldWork::Job(to, job) => Done::Outcome(to, self.run_job(&job, shards)),
        };
        // All of them commit before any goes back, and before the reply leaves.
        let mut published = false;
        for shard in &mut held {
            published |= shard.commit();
            note_settings(&self.server, shard);
        }
        if published {
            self.server.wake_waiting(self.id);
        }
        // Before the shard is back: what has waited for it may have replies for the same connection.
        match done {
            Done::Reply { connection: Some(mut connection), to, reply } => {
                if let Some(reply) = reply {
                    connection.deliver(to.number, to.part, reply);
                }
                connection.list(&mut self.listed);
                self.connections.put(connection);
            }
            Done::Reply { connection: None, .. } => {}
            Done::Outcome(to, outcome) => self.take_outcome(to, outcome),
        }
        for shard in held {
            if shard.id() == self.id {
                self.take_back(shard);
            } else {
                let owner = shard.id();
                self.lanes.to(owner).push(Message::Return(LentShard(shard)));
            }
        }
    }

    /// Runs what a client of the Redis protocol has asked for.
    fn run_resp_hold(&mut self, work: &RespWork, (to, form): (ReplyTo, ReplyForm), shards: Shards<'_>) -> Done {
        let mut out = Vec::new();
        let mut connection = self.connections.take(to.connection);
        let runner = Runner::new(&self.server, &self.channels, &self.scripts, self.id, self.now_ms);
        let has_replied = match work {
            RespWork::Command(index, database, args) => {
                let user = connection.as_ref().map(|connection| connection.session.user().clone());
                let caller = connection.as_mut().and_then(|connection| RespClient::of(connection).resp.caller());
                let (runner, reply) = (runner.in_database(*database).for_caller(caller), &mut form.reply(&mut out));
                let started = Instant::now();
                let ended = runner.run_over(shards, user.as_deref(), *index, args.as_args(), reply);
                if let Some(connection) = connection.as_ref().filter(|_| ended == Ended::Replied) {
                    slow::note(&self.server, &connection.session, (*index, args.as_args()), started.elapsed());
                }
                if ended == Ended::Elsewhere {
                    let needed = (0..self.server.shards()).map(ShardId).collect();
                    let work = RespWork::Command(*index, *database, args.clone());
                    let work = HoldWork::Resp(work, to, form);
                    self.lending.queue.push_front(HoldRequest { work, needed });
                }
                ended == Ended::Replied
            }
            // Of a user that was deleted meanwhile nothing runs; its connections are closed.
            RespWork::Transaction(transaction, user) => {
                // If the client has left, its commands run all the same, with the rights that its user has now.
                let client = connection.as_mut().map(|connection| RespClient::of(connection));
                let users = self.server.users.table().0;
                if let Some(user) = users.newest(user)
                    && !runner.run_transaction(shards, (user, client), transaction, &mut form.reply(&mut out))
                    && let Some(connection) = &mut connection
                {
                    self.close_for_reply(&mut connection.session);
                }
                if let Some(connection) = connection.as_mut().filter(|_| self.channels.has_monitors()) {
                    monitor::tell_exec(&self.channels, &RespClient::of(connection));
                }
                true
            }
            RespWork::Watch(args) => {
                if let Some(connection) = &mut connection {
                    runner.watch(shards, RespClient::of(connection), args.as_args(), &mut form.reply(&mut out));
                }
                true
            }
            RespWork::Waiting(id) => self.run_held(*id, shards, &mut out),
        };
        Done::Reply { connection, to, reply: Some(out).filter(|_| has_replied) }
    }

    /// Takes this core's own shard back. What has waited for it goes on in this turn or the next, before the shard can be
    /// lent again.
    pub(super) fn take_back(&mut self, mut shard: Box<Shard>) {
        shard.set_now_ms(self.now_ms);
        for waiter in std::mem::take(&mut self.lending.ended_waits) {
            shard.waiters_mut().remove(waiter);
        }
        self.shard = Some(shard);
        // The change may have made keys ready, and those who wait for them come first.
        self.serve_ready();
        for id in std::mem::take(&mut self.lending.waiting) {
            let Some(connection) = self.connections.get(id) else { continue };
            connection.stall = Some(Stall::Turn);
            connection.has_turn = true;
            // Before all others: the shard may be lent again.
            self.left.of(Weight::Light).push_back(id);
        }
    }
}
