//! Changes over several shards at one instant: their shards are lent to the core that coordinates, which runs the
//! command or the transaction over all of them, commits them together, and gives them back.
//!
//! A shard is lent at the end of a turn, committed, and its core runs nothing on it meanwhile. A coordinator asks for
//! the shards one after the other, in the order of their numbers, its own among them, and has one such change at a
//! time. So whoever waits for a shard holds only lower ones, and no circle of waiting cores can form.

use super::Core;
use super::input::Client;
use super::room::are_refused;
use crate::command::table::{CommandIndex, TABLE};
use crate::command::transaction::{Step, Transaction};
use crate::command::{Command, KeysContext, Run, RunKeys, SessionContext};
use crate::connection::Stall;
use crate::gather::{Gather, Merge};
use crate::mesh::message::{Message, ReplyTo};
use crate::resp::{Args, OwnedArgs, Protocol, Reply, error_text};
use crate::session::Session;
use crate::weight::Weight;
use keytide_engine::position::ShardId;
use keytide_engine::shard::{LentShard, Shard};
use keytide_engine::shards::Shards;
use keytide_engine::slot::shard_of;
use std::ops::Range;

/// What runs over several shards.
pub(super) enum HoldWork {
    Command(CommandIndex, OwnedArgs),
    Transaction(Transaction),
}

/// A change that is gathering its shards.
pub(super) struct Hold {
    work: HoldWork,
    to: ReplyTo,
    protocol: Protocol,
    /// The shards that it needs, in ascending order.
    needed: Vec<ShardId>,
    /// Those that have come: the first ones of `needed`.
    #[expect(clippy::vec_box, reason = "shards cross cores by pointer, and stay where they are")]
    held: Vec<Box<Shard>>,
}

/// One queued change.
pub(super) struct HoldRequest {
    work: HoldWork,
    to: ReplyTo,
    protocol: Protocol,
    needed: Vec<ShardId>,
}

impl Core {
    /// Queues a change over these shards, in ascending order; the connection waits for its reply. To be called when all
    /// of its earlier commands are answered: on other cores such commands may wait, and a loan of the shard passes them.
    pub(super) fn hold(&mut self, client: &mut Client<'_>, work: HoldWork, needed: Vec<ShardId>) {
        debug_assert_eq!(client.replies.waiting(), 0);
        let to = self.wait_for_reply(client);
        self.hold_queue.push_back(HoldRequest { work, to, protocol: client.session.protocol, needed });
    }

    /// After the commit: lends this core's shard to whoever waits for it, and carries on what this core coordinates.
    pub(super) fn lend_and_hold(&mut self) -> bool {
        let mut work = false;
        loop {
            if self.hold.is_none()
                && let Some(HoldRequest { work, to, protocol, needed }) = self.hold_queue.pop_front()
            {
                self.hold = Some(Hold { work, to, protocol, needed, held: Vec::new() });
                self.ask_for_shard();
            }
            let Some(borrower) = self.lend_queue.front().copied() else { break };
            // What waited for the shard may have run since the turn's commit, for the shard came back in this loop.
            self.commit();
            let Some(shard) = self.shard.take() else { break };
            self.lend_queue.pop_front();
            work = true;
            if borrower == self.id {
                self.take_lent(shard);
            } else {
                self.outbound(borrower).push(Message::Lent(LentShard(shard)));
            }
        }
        // As above: replies leave next.
        self.commit();
        work
    }

    /// Asks for the next shard that the change needs.
    fn ask_for_shard(&mut self) {
        let Some(hold) = &self.hold else { return };
        let next = hold.needed[hold.held.len()];
        if next == self.id {
            self.lend_queue.push_back(next);
        } else {
            self.outbound(next).push(Message::Lend);
        }
    }

    /// Takes a shard that was lent to this core; with the last one the change runs.
    pub(super) fn take_lent(&mut self, shard: Box<Shard>) {
        let Some(hold) = &mut self.hold else { unreachable!("a shard is lent to who asked for it") };
        debug_assert_eq!(shard.id(), hold.needed[hold.held.len()]);
        hold.held.push(shard);
        if hold.held.len() < hold.needed.len() {
            self.ask_for_shard();
        } else if let Some(hold) = self.hold.take() {
            self.run_hold(hold);
        }
    }

    fn run_hold(&mut self, hold: Hold) {
        let Hold { work, to, protocol, mut held, .. } = hold;
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, protocol);
        let mut connection = self.connections.take(to.connection);
        let mut nobody;
        let session = match &mut connection {
            Some(connection) => &mut connection.session,
            // The client has left; what it asked for is done all the same.
            None => {
                nobody = Session::new(0, true, (None, None), self.steady_ms);
                &mut nobody
            }
        };
        // One time for all of them, whenever each has come.
        held.iter_mut().for_each(|shard| shard.set_now_ms(self.now_ms));
        let total = self.server.shards();
        let shards = Shards::Several { shards: &mut held, total };
        let mut context = KeysContext { shards, server: &self.server, now_ms: self.now_ms };
        match &work {
            HoldWork::Command(index, args) => {
                let command = TABLE.get(*index);
                context.shards.each(|shard| shard.begin_command());
                self.server.statistics(self.id).run(*index, &mut reply, |reply| {
                    if !are_refused(&mut context.shards, std::iter::once(command), reply) {
                        run_one(&mut context, session, command, args.as_args(), reply);
                    }
                });
            }
            HoldWork::Transaction(transaction) => {
                let is_within = run_transaction(&mut context, self.id, session, transaction, &mut reply);
                if !is_within {
                    self.close_for_reply(session);
                }
            }
        }
        // All of them commit before any goes back, and before the reply leaves.
        let mut published = false;
        held.iter_mut().for_each(|shard| published |= shard.commit());
        if published {
            self.server.wake_waiting(self.id);
        }
        // Before the shard is back: what has waited for it may have replies for the same connection.
        if let Some(mut connection) = connection {
            connection.deliver(to.number, to.part, out);
            connection.list(&mut self.listed);
            self.connections.put(connection);
        }
        for shard in held {
            if shard.id() == self.id {
                self.take_back(shard);
            } else {
                let owner = shard.id();
                self.outbound(owner).push(Message::Return(LentShard(shard)));
            }
        }
    }

    /// Takes this core's own shard back. What has waited for it goes on in this turn or the next, before the shard can be
    /// lent again.
    pub(super) fn take_back(&mut self, mut shard: Box<Shard>) {
        shard.set_now_ms(self.now_ms);
        self.shard = Some(shard);
        for id in std::mem::take(&mut self.waiting_for_shard) {
            let Some(connection) = self.connections.get(id) else { continue };
            connection.stall = Some(Stall::Turn);
            connection.has_turn = true;
            // Before all others: the shard may be lent again.
            self.left.of(Weight::Light).push_back(id);
        }
    }

    /// Keeps a command for EXEC.
    pub(super) fn queue(&mut self, client: &mut Client<'_>, index: CommandIndex, args: Args<'_>) {
        let Some(transaction) = &mut client.session.transaction else { return };
        match transaction.queue(index, args) {
            Ok(()) => client.reply().simple("QUEUED"),
            Err(error) => client.reply().error(error_text::err(&error)),
        }
    }

    /// MULTI, EXEC or DISCARD.
    pub(super) fn step_transaction(&mut self, client: &mut Client<'_>, step: Step) -> bool {
        let open = client.session.transaction.is_some();
        match step {
            Step::Multi if open => {
                client.reply().error(error_text::MULTI_NESTED);
            }
            Step::Multi => {
                client.session.transaction = Some(Transaction::new(&self.server.accounts.transactions));
                client.reply().ok();
            }
            Step::Discard if open => {
                client.session.transaction = None;
                client.reply().ok();
            }
            Step::Discard => client.reply().error(error_text::DISCARD_WITHOUT_MULTI),
            Step::Exec if open => return self.exec(client),
            Step::Exec => client.reply().error(error_text::EXEC_WITHOUT_MULTI),
        }
        true
    }

    fn exec(&mut self, client: &mut Client<'_>) -> bool {
        let Some(transaction) = client.session.transaction.take() else { return true };
        if transaction.has_failed() {
            client.reply().error(error_text::EXEC_ABORT);
            return true;
        }
        let needed = self.shards_of(&transaction);
        if needed.iter().any(|shard| *shard != self.id) {
            if !self.has_all_replies(client) {
                client.session.transaction = Some(transaction);
                return false;
            }
            self.hold(client, HoldWork::Transaction(transaction), needed);
            return true;
        }
        let Some(shard) = self.shard.as_deref_mut() else {
            client.session.transaction = Some(transaction);
            return self.wait_for_shard(client);
        };
        let mut context = KeysContext { shards: Shards::One(shard), server: &self.server, now_ms: self.now_ms };
        let protocol = client.session.protocol;
        let mut reply = Reply::new(client.replies.here(client.output.ready()), protocol);
        if !run_transaction(&mut context, self.id, client.session, &transaction, &mut reply) {
            self.close_for_reply(client.session);
        }
        true
    }

    /// The shards that a transaction's commands work on, in ascending order.
    fn shards_of(&self, transaction: &Transaction) -> Vec<ShardId> {
        let total = self.server.shards();
        let mut shards = Vec::new();
        for (index, args) in transaction.commands() {
            let command = TABLE.get(index);
            match command.run {
                Run::EachShard { .. } | Run::AllShards(_) => shards.extend((0..total).map(ShardId)),
                Run::Shards { shards: named, .. } => shards.extend(named(args, &self.server).map(ShardId)),
                Run::Keys { .. } => shards.extend(command.keys.of(args).map(|key| shard_of(key, total))),
                Run::Container(_)
                | Run::Session(_)
                | Run::EachCore { .. }
                | Run::History(_)
                | Run::Subscription(_)
                | Run::Group { .. }
                | Run::Transaction(_) => {}
            }
            shards.sort_unstable();
            shards.dedup();
        }
        shards
    }
}

/// Runs a transaction on a core. False where its reply is larger than its client may leave unread: then nothing is left of the
/// reply, though all commands have run.
fn run_transaction(
    context: &mut KeysContext<'_>,
    core: ShardId,
    session: &mut Session,
    transaction: &Transaction,
    reply: &mut Reply<'_>,
) -> bool {
    let (start, bytes_max) = (reply.len(), context.server.reply_bytes_max());
    let mut is_within = true;
    // What its commands record belongs together.
    context.shards.each(|shard| shard.begin_command());
    let commands = transaction.commands().map(|(index, _)| TABLE.get(index));
    if are_refused(&mut context.shards, commands, reply) {
        // EXEC itself is refused then, as Redis does it.
        let refusal = error_text::exec_abort(reply.error_at(start).unwrap_or_default());
        reply.truncate(start);
        reply.error(refusal);
        return true;
    }
    let server = context.server;
    reply.array(transaction.len());
    for (index, args) in transaction.commands() {
        let command = TABLE.get(index);
        context.shards.each(|shard| shard.make_room());
        // Room was made sure of for one turn; a transaction may take several.
        // HELLO among the commands changes the protocol of those behind it.
        let mut reply = reply.for_protocol(session.protocol);
        server.statistics(core).call(index);
        server.statistics(core).run(index, &mut reply, |reply| {
            if !are_refused(&mut context.shards, std::iter::once(command), reply) {
                run_one(context, session, command, args, reply);
            }
        });
        if reply.len() - start > bytes_max {
            is_within = false;
            reply.truncate(start);
        }
    }
    is_within
}

/// Runs one command where all shards that it needs are at hand.
fn run_one(
    context: &mut KeysContext<'_>,
    session: &mut Session,
    command: &Command,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) {
    match command.run {
        Run::Keys { run, .. } | Run::AllShards(run) => run(context, args, reply),
        // One shard's reply is whole: there is nothing to merge.
        Run::Shards { run, .. } | Run::EachShard { run, .. } if context.server.shards() == 1 => {
            run(context, args, reply)
        }
        // By now it might name more shards than are at hand: those it can do without.
        Run::Shards { run, shards, merge } => gather(context, run, merge, shards(args, context.server), args, reply),
        Run::EachShard { run, merge } => gather(context, run, merge, 0..context.server.shards(), args, reply),
        Run::Session(run) => {
            let mut context = SessionContext { session, server: context.server, now_ms: context.now_ms };
            run(&mut context, args, reply);
        }
        Run::Container(_)
        | Run::EachCore { .. }
        | Run::History(_)
        | Run::Subscription(_)
        | Run::Group { .. }
        | Run::Transaction(_) => {
            reply.error(error_text::NOT_IN_MULTI);
        }
    }
}

/// Runs a command on each of these shards that is at hand, and makes one reply of the parts.
fn gather(
    context: &mut KeysContext<'_>,
    run: RunKeys,
    merge: Merge,
    wanted: Range<u16>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) {
    let KeysContext { shards, server, now_ms } = context;
    let (server, now_ms, protocol) = (*server, *now_ms, reply.protocol());
    let mut parts = Vec::new();
    shards.each(|shard| {
        // In ascending order; behind one that is missing none has a part.
        if wanted.start as usize + parts.len() == usize::from(shard.id().0) && wanted.contains(&shard.id().0) {
            let mut part = Vec::new();
            let mut context = KeysContext { shards: Shards::One(shard), server, now_ms };
            run(&mut context, args, &mut Reply::new(&mut part, protocol));
            parts.push(part);
        }
    });
    reply.raw(&Gather::of(merge, protocol, parts));
}
