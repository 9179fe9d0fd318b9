//! From a command to where it runs: here, on the core of its keys, on several, on all, or after the commit.

use super::Core;
use super::hold::RespWork;
use super::resp::Client;
use crate::command::table::TABLE;
use crate::command::{Command, Flag, Keys, Run, RunKeys, SessionContext, Spread};
use crate::connection::Stall;
use crate::gather::{Gather, Merge, Split};
use crate::groups::core_of;
use crate::mesh::message::{Asker, Message, ReplyForm, ReplyTo, Request};
use crate::resp::{Args, CommandIndex, OwnedArgs, Reply};
use crate::value::PartWriter;
use keytide_engine::limits::turn_bytes_due;
use keytide_engine::position::ShardId;
use keytide_engine::slot::shard_of;
use std::ops::Range;

/// Where a command's keys are.
pub(super) enum Place {
    Here,
    There(ShardId),
    Several,
}

impl Core {
    /// Runs a command or sends it on. False where it has to wait.
    #[inline]
    pub(super) fn dispatch(
        &mut self,
        client: &mut Client<'_>,
        (index, command): (CommandIndex, &Command),
        args: Args<'_>,
        first_shard: Option<ShardId>,
    ) -> bool {
        match command.run {
            Run::Keys { run, spread } => match self.place(command, args, first_shard) {
                Place::Here => self.run_here(client, (index, run), args),
                Place::There(shard) => self.forward(client, shard, index, args),
                Place::Several => self.run_spread(client, index, command, spread, args),
            },
            Run::Session(run) => {
                let Client { session, resp, replies, output, subscriber, .. } = client;
                let version = resp.version;
                let mut context = SessionContext { session, resp, server: &self.server, now_ms: self.now_ms };
                let (subscriptions, channels) = (context.session.subscriptions, context.session.channels);
                let mut reply = Reply::new(replies.here(output.ready()), version);
                let statistics = self.server.statistics(self.id);
                statistics.run(index, &mut reply, |reply| run(&mut context, args, reply));
                if context.session.subscriptions < subscriptions
                    && let Some(subscriber) = *subscriber
                {
                    self.live.hub.close_client(subscriber);
                }
                if client.session.channels != channels {
                    self.end_channels(client.id);
                }
                true
            }
            Run::Select(select) => {
                match select(args, &self.server) {
                    Ok(database) => {
                        client.resp.database = database;
                        client.reply().ok();
                    }
                    Err(text) => client.reply().error(text),
                }
                true
            }
            Run::Shards { run, shards, merge, .. } => {
                let shards = shards(args, &self.server);
                match ShardId(shards.start) {
                    _ if shards.len() > 1 => self.ask_each(client, index, merge, shards, args),
                    shard if shard == self.id => self.run_here(client, (index, run), args),
                    shard => self.forward(client, shard, index, args),
                }
            }
            Run::EachShard { run, .. } if self.server.shards() == 1 => self.run_here(client, (index, run), args),
            Run::EachShard { merge, .. } | Run::EachCore { merge, .. } => {
                self.ask_each(client, index, merge, 0..self.server.shards(), args)
            }
            Run::AllShards(run) if self.server.shards() == 1 => self.run_here(client, (index, run), args),
            Run::AllShards(_) => {
                if !self.has_all_replies(client) {
                    return false;
                }
                let all = (0..self.server.shards()).map(ShardId).collect();
                self.hold(client, RespWork::Command(index, client.resp.database, OwnedArgs::from(args)), all);
                true
            }
            Run::History(_) | Run::Subscription(_) => {
                if !self.has_all_replies(client) {
                    return false;
                }
                if self.refuse_large(client, command, args) {
                    return true;
                }
                let to = self.wait_for_reply(client);
                self.defer(client.request(self.id, index, to, args));
                true
            }
            Run::Waiting { .. } => self.run_or_wait(client, (index, command), args, first_shard),
            // As many messages wait as may: it is tried again in the next turn.
            Run::Publish(_) if self.publishes_too_much() => {
                *client.stall = Some(Stall::Turn);
                false
            }
            Run::Publish(run) => self.run_here(client, (index, run), args),
            Run::Script(call) => self.run_script(client, (index, call), args),
            Run::Channels(step) => self.change_channels(client, step, args),
            Run::Group { names, creates, .. } => self.ask_group(client, index, (names, creates), args),
            Run::Transaction(step) => {
                let from = client.reply().len();
                let done = self.step_transaction(client, step, args);
                // What is held by other shards is answered later, and then counted.
                if client.stall.is_none() {
                    self.server.statistics(self.id).note_reply(index, &client.reply(), from);
                }
                done
            }
            Run::Container(_) => unreachable!("a container resolves to one of its subcommands"),
        }
    }

    /// Where the keys of a command are. `first_shard` is the shard of its first argument, where that is known already.
    #[inline]
    pub(super) fn place(&self, command: &Command, args: Args<'_>, first_shard: Option<ShardId>) -> Place {
        let total = self.server.shards();
        if total == 1 {
            return Place::Here;
        }
        if command.keys.are_hidden(args) {
            return Place::Several;
        }
        let mut places = command.keys.places(args);
        let Some(place) = places.next() else { return Place::Here };
        let known = first_shard.filter(|_| place == 1);
        let first = known.unwrap_or_else(|| shard_of(args.get(place), total));
        if places.any(|place| shard_of(args.get(place), total) != first) {
            Place::Several
        } else if first == self.id {
            Place::Here
        } else {
            Place::There(first)
        }
    }

    /// Runs a command on this core's shard.
    #[inline]
    fn run_here(&mut self, client: &mut Client<'_>, (index, run): (CommandIndex, RunKeys), args: Args<'_>) -> bool {
        let done = self.on_shard(|runner, shard, _| {
            let runner = runner.in_database(client.resp.database).for_caller(client.resp.caller());
            runner.run(shard, (index, run), args, &mut client.reply())
        });
        done.is_some() || self.wait_for_shard(client)
    }

    /// Sends a command to the core of its keys.
    fn forward(&mut self, client: &mut Client<'_>, shard: ShardId, index: CommandIndex, args: Args<'_>) -> bool {
        if !self.may_forward(client, args) {
            return false;
        }
        if self.refuse_large(client, TABLE.get(index), args) {
            return true;
        }
        let to = ReplyTo { connection: client.id, number: client.replies.reserve(), part: 0 };
        self.lanes.to(shard).run(index, client.asker(), to, args.iter());
        self.figures.forwarded += 1;
        true
    }

    /// Whether a command may go to other cores; if not, the connection waits until all of its replies have come.
    fn may_forward(&self, client: &mut Client<'_>, args: Args<'_>) -> bool {
        let may = client.replies.may_forward(args.bytes_total());
        if !may {
            *client.stall = Some(Stall::Replies);
        }
        may
    }

    /// Runs a command whose keys are on several shards.
    fn run_spread(
        &mut self,
        client: &mut Client<'_>,
        index: CommandIndex,
        command: &Command,
        spread: Spread,
        args: Args<'_>,
    ) -> bool {
        let total = self.server.shards();
        let step = if let Keys::At { step, .. } = command.keys { step } else { 1 };
        let merge = match spread {
            // A part could be refused when another has been run already: what lacks a key's value, or may be too large,
            // runs as a whole.
            Spread::Split { merge, .. }
                if !command.is(Flag::Write)
                    || ((args.len() - 1).is_multiple_of(step) && !self.may_be_too_large(args)) =>
            {
                merge
            }
            Spread::Split { .. } | Spread::Hold => {
                if !self.has_all_replies(client) {
                    return false;
                }
                let shards = self.shards_of_keys(command.keys, args);
                self.hold(client, RespWork::Command(index, client.resp.database, OwnedArgs::from(args)), shards);
                return true;
            }
        };
        if self.shard.is_none() {
            return self.wait_for_shard(client);
        }
        if !self.may_forward(client, args) {
            return false;
        }
        let places = command.keys.places(args);
        let split = Split::new(args, places, step, |key| shard_of(key, total).0);
        let gather = Gather::new(merge, client.resp.version, split.places.len(), split.part_of_key);
        let number = client.replies.reserve_gather(gather);
        for (part, (shard, places)) in split.places.iter().enumerate() {
            let to = ReplyTo { connection: client.id, number, part: part as u16 };
            let words = std::iter::once(args.get(0)).chain(places.iter().map(|&place| args.get(place)));
            self.ask(client, ShardId(*shard), index, to, words);
        }
        true
    }

    /// Asks each of these cores for its part.
    fn ask_each(
        &mut self,
        client: &mut Client<'_>,
        index: CommandIndex,
        merge: Merge,
        cores: Range<u16>,
        args: Args<'_>,
    ) -> bool {
        if self.shard.is_none() {
            return self.wait_for_shard(client);
        }
        if !self.may_forward(client, args) {
            return false;
        }
        if self.refuse_large(client, TABLE.get(index), args) {
            return true;
        }
        let gather = Gather::new(merge, client.resp.version, cores.len(), Vec::new());
        let number = client.replies.reserve_gather(gather);
        for (part, core) in cores.enumerate() {
            let to = ReplyTo { connection: client.id, number, part: part as u16 };
            self.ask(client, ShardId(core), index, to, args.iter());
        }
        true
    }

    /// Asks one core, maybe this one, for its part of a reply. This one's shard, which is here, answers at once: the
    /// connection's next command comes after it. A command over all connections answers before the turn ends, when none of
    /// them is being run.
    fn ask<'a>(
        &mut self,
        client: &mut Client<'_>,
        core: ShardId,
        command: CommandIndex,
        to: ReplyTo,
        args: impl Iterator<Item = &'a [u8]>,
    ) {
        let asker = Asker { form: ReplyForm::Part, ..client.asker() };
        if core != self.id {
            self.lanes.to(core).run(command, asker, to, args);
            self.figures.forwarded += 1;
            return;
        }
        let args: OwnedArgs = args.collect();
        let mut out = Vec::new();
        let done = TABLE.get(command).part().and_then(|part| {
            let reply = &mut PartWriter::new(&mut out);
            self.on_shard(|runner, shard, _| {
                let runner = runner.in_database(asker.database).for_caller(client.resp.caller());
                runner.run(shard, (command, part), args.as_args(), reply)
            })
        });
        match done {
            Some(()) => client.replies.deliver(client.output.ready(), to.number, to.part, out),
            None => {
                let Asker { form, client, database, caching, .. } = asker;
                self.own_requests.push(Request { from: core, command, form, client, database, caching, to, args });
            }
        }
    }

    /// Asks the core that keeps a consumer group. What follows on the connection comes after it.
    fn ask_group(
        &mut self,
        client: &mut Client<'_>,
        index: CommandIndex,
        (names, creates): ((usize, usize), bool),
        args: Args<'_>,
    ) -> bool {
        if !self.has_all_replies(client) {
            return false;
        }
        if self.refuse_large(client, TABLE.get(index), args) {
            return true;
        }
        let core = core_of(args.get(names.0), args.get(names.1), self.server.shards());
        let to = self.wait_for_reply(client);
        if creates {
            let usage = client.session.user().usage().clone();
            if core == self.id {
                self.deferred.note_creator((core, client.id), usage);
            } else {
                self.lanes.to(core).push(Message::Creator(client.id, usage));
            }
        }
        if core == self.id {
            self.defer(client.request(core, index, to, args));
        } else {
            self.lanes.to(core).run(index, client.asker(), to, args.iter());
        }
        true
    }

    /// Keeps the place of a reply and lets the connection wait for it.
    pub(super) fn wait_for_reply(&mut self, client: &mut Client<'_>) -> ReplyTo {
        *client.stall = Some(Stall::Replies);
        ReplyTo { connection: client.id, number: client.replies.reserve(), part: 0 }
    }

    /// Whether every earlier command of the connection is answered; if not, the connection waits for that.
    pub(super) fn has_all_replies(&self, client: &mut Client<'_>) -> bool {
        if client.replies.waiting() > 0 {
            *client.stall = Some(Stall::Replies);
        }
        client.stall.is_none()
    }

    /// Lets the connection wait until this core's shard is back.
    pub(super) fn wait_for_shard(&mut self, client: &mut Client<'_>) -> bool {
        *client.stall = Some(Stall::Shard);
        self.lending.waiting.push(client.id);
        false
    }

    /// Whether a command's records might take more of a shard than is there for any command: it is refused where the log
    /// has no room for so much, or where it is too large altogether.
    fn may_be_too_large(&self, args: Args<'_>) -> bool {
        /// More than a record's header, a TTL's record and a record for expiry take beside the arguments.
        const OVERHEAD: usize = 256;
        let bytes = args.bytes_total() * 2 + args.len() * OVERHEAD;
        self.server.is_recording() && bytes as u64 > turn_bytes_due(self.server.config.ring_bytes)
    }
}
