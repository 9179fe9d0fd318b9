//! Commands that read the recorded history, or are about a consumer group or a subscription: they run after the turn's
//! commit, once the frontier has passed every write that was acknowledged before them, and some of them wait for more.

use super::Core;
use crate::command::table::{CommandIndex, TABLE};
use crate::command::{DeferredState, Flag, GroupContext, HistoryContext, Progress, Run, SubscriptionContext};
use crate::mesh::message::{Message, ReplyTo};
use crate::net_ring::ConnectionId;
use crate::push::client_of;
use crate::resp::{OwnedArgs, Protocol, Reply};
use keytide_engine::position::{Position, ShardId};

/// A command that runs after the commit.
pub(super) struct Deferred {
    from: ShardId,
    command: CommandIndex,
    protocol: Protocol,
    to: ReplyTo,
    args: OwnedArgs,
    /// What the frontier must have reached: everything handed out when the command came to its turn. None before.
    after: Option<Position>,
    waits: bool,
    state: DeferredState,
}

impl Deferred {
    /// When it gives up waiting.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.state.deadline_ms.filter(|at_ms| self.waits && *at_ms != u64::MAX)
    }

    /// Whether its reply tells of something that a group has come to.
    fn changes_groups(&self) -> bool {
        let command = TABLE.get(self.command);
        matches!(command.run, Run::Group { .. }) && command.is(Flag::Write)
    }
}

impl Core {
    /// Keeps a command until the turn has committed.
    pub(super) fn defer(
        &mut self,
        from: ShardId,
        command: CommandIndex,
        protocol: Protocol,
        to: ReplyTo,
        args: OwnedArgs,
    ) {
        let state = DeferredState::default();
        self.deferred.push(Deferred { from, command, protocol, to, args, after: None, waits: false, state });
    }

    /// Runs those whose time has come. Tells whether there is more to do at once.
    pub(super) fn run_deferred(&mut self) -> bool {
        if self.deferred.is_empty() {
            return false;
        }
        // What is published from here on is news.
        let frontier = self.history.frontier();
        let next = self.server.sequencer.next();
        let moved = frontier != self.tried_frontier || self.groups.take_change(self.now_ms);
        self.tried_frontier = frontier;
        let mut work = false;
        let mut answers = Vec::new();
        for mut deferred in std::mem::take(&mut self.deferred) {
            let after = *deferred.after.get_or_insert(next);
            let is_due = deferred.state.deadline_ms.is_some_and(|at_ms| at_ms <= self.now_ms);
            if frontier < after {
                // Another core is about to publish: there is nothing to sleep for. If it runs on the same processor,
                // the loop lets it.
                work = true;
            } else if !deferred.waits || moved || is_due {
                let mut out = Vec::new();
                match self.run_one(&mut deferred, &mut out) {
                    Progress::Done => {
                        answers.push((deferred, out));
                        work = true;
                        continue;
                    }
                    Progress::More => {
                        deferred.waits = false;
                        work = true;
                    }
                    Progress::Wait => deferred.waits = true,
                }
            }
            self.deferred.push(deferred);
        }
        // What groups have come to is on disk before anyone is told.
        let refusal = self.groups.write();
        if refusal.is_some() {
            // Who waits for a group is told in the next turn.
            for deferred in self.deferred.iter_mut().filter(|deferred| deferred.changes_groups()) {
                deferred.waits = false;
                work = true;
            }
        }
        for (deferred, mut out) in answers {
            if let Some(refusal) = refusal.as_deref().filter(|_| deferred.changes_groups()) {
                out.clear();
                Reply::new(&mut out, deferred.protocol).error(refusal);
            }
            self.deliver(deferred.from, deferred.to, &out);
        }
        work
    }

    fn run_one(&mut self, deferred: &mut Deferred, out: &mut Vec<u8>) -> Progress {
        let Core { history, groups, hub, pushes, connections, listed, server, now_ms, .. } = self;
        let mut reply = Reply::new(out, deferred.protocol);
        let changes_groups = deferred.changes_groups();
        let (args, state, now_ms) = (deferred.args.as_args(), &mut deferred.state, *now_ms);
        match TABLE.get(deferred.command).run {
            Run::History(run) => run(&mut HistoryContext { history, state, server, now_ms }, args, &mut reply),
            Run::Subscription(run) => {
                let mut outlet = pushes.to(connections, listed);
                let client = client_of(deferred.to.connection);
                // Of a client that has gone meanwhile nobody would end the subscription.
                if !outlet.is_open(client) {
                    return Progress::Done;
                }
                run(
                    &mut SubscriptionContext { hub, history, outlet: &mut outlet, client, state, server },
                    args,
                    &mut reply,
                )
            }
            Run::Group { run, .. } => {
                if let Some(refusal) = groups.refusal().filter(|_| changes_groups) {
                    reply.error(refusal);
                    return Progress::Done;
                }
                run(&mut GroupContext { groups, history, state, server, now_ms }, args, &mut reply)
            }
            Run::Container(_)
            | Run::Session(_)
            | Run::Keys { .. }
            | Run::Shards { .. }
            | Run::EachShard { .. }
            | Run::AllShards(_)
            | Run::EachCore { .. }
            | Run::Transaction(_) => unreachable!("only what runs after the commit is deferred"),
        }
    }

    /// Ends the waits of a connection whose client listens no more, here and on the other cores.
    pub(super) fn give_up_waiting(&mut self, connection: ConnectionId) {
        self.end_waits(self.id, connection);
        for core in (0..self.server.shards()).map(ShardId) {
            if core != self.id {
                self.outbound(core).push(Message::Gone(connection));
            }
        }
    }

    /// Lets what waits here for a connection of a core reply at once with what there is.
    pub(super) fn end_waits(&mut self, from: ShardId, connection: ConnectionId) {
        for deferred in &mut self.deferred {
            if deferred.from == from && deferred.to.connection == connection {
                deferred.state.deadline_ms = Some(0);
            }
        }
    }
}
