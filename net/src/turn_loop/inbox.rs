//! What comes from other cores, and this core's own part of what every core was asked.
//!
//! A core always takes what its lanes bring. Replies, and shards that are lent, asked for or come back, are handled at
//! once; commands run as far as the turn's budget goes, and otherwise wait here with their batch, in the order of their
//! lane. No shard is asked for by a connection that has commands under way, so that a shard's loan may pass them.

use super::Core;
use super::budget::Part;
use super::waits::CommandId;
use crate::command::table::TABLE;
use crate::command::{CoreContext, Run};
use crate::limits::{BATCH_BYTES, HEAVY_BYTES, HEAVY_TIME, REMOTE_REPLY_BYTES_MIN};
use crate::mesh::LaneReceiver;
use crate::mesh::message::{Arena, Batch, Message, ReplyForm, ReplyTo, Request};
use crate::net_ring::ConnectionId;
use crate::resp::{Args, CommandIndex, OwnedArgs, Reply};
use crate::tracking::Caching;
use crate::value::PartWriter;
use crate::weight::{ByWeight, Weight};
use keytide_engine::limits::COMMANDS_AHEAD;
use keytide_engine::position::ShardId;
use keytide_engine::stream_name::Database;
use keytide_engine::waiters::WaiterId;
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

/// The lane from one other core.
pub(super) struct Inbound {
    from: ShardId,
    receiver: LaneReceiver<Batch>,
    /// Commands that have not run, oldest first. Those of one connection keep their order: they weigh alike, or the
    /// earlier ones less.
    waiting: ByWeight<Waiting>,
    /// Connections that are closed and may have commands among those that wait.
    closed: HashSet<ConnectionId>,
}

/// What has not run of a batch, of one weight.
struct Waiting {
    batch: Rc<Batch>,
    messages: VecDeque<Message>,
}

impl Inbound {
    pub fn new(from: ShardId, receiver: LaneReceiver<Batch>) -> Inbound {
        Inbound { from, receiver, waiting: ByWeight::default(), closed: HashSet::new() }
    }

    /// Whether the lane has brought nothing new.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }
}

/// A command from another core, its arguments borrowed from the batch.
struct Asked<'a> {
    from: ShardId,
    command: CommandIndex,
    form: ReplyForm,
    client: u64,
    database: Database,
    caching: Caching,
    to: ReplyTo,
    args: Args<'a>,
}

impl Core {
    /// Handles what the lanes have brought, and runs commands of other cores. Returns whether there was anything.
    pub(super) fn take_messages(&mut self) -> bool {
        let mut work = false;
        self.budget.begin(Part::Asked);
        for request in std::mem::take(&mut self.own_requests) {
            self.run_request(&request);
            work = true;
        }
        for lane in 0..self.lanes.inbound.len() {
            // What is there now: a turn ends even if another core never stops sending.
            for count in 0..self.lanes.inbound[lane].receiver.len() {
                if count > 0 && self.budget.is_delivery_over() {
                    break;
                }
                let Some(batch) = self.lanes.inbound[lane].receiver.pop() else { break };
                self.take_batch(lane, batch);
                work = true;
            }
        }
        work | self.run_waiting()
    }

    /// Whether commands of other cores wait that could run now.
    pub(super) fn has_waiting(&self) -> bool {
        self.shard.is_some()
            && (self.lanes.credit.has_ready() || self.lanes.inbound.iter().any(|inbound| !inbound.waiting.is_empty()))
    }

    /// Handles a batch, but for commands that have to wait.
    fn take_batch(&mut self, lane: usize, mut batch: Batch) {
        self.note_changes();
        let from = self.lanes.inbound[lane].from;
        let mut messages = batch.take_messages();
        let mut rest = messages.drain(..);
        while !rest.as_slice().is_empty() && self.lanes.inbound[lane].waiting.is_empty() && self.may_run_for(from) {
            self.prefetch_asked(rest.as_slice(), batch.arena());
            for message in rest.by_ref().take(COMMANDS_AHEAD) {
                self.take_message(from, message, batch.arena());
                if self.budget.is_over() {
                    break;
                }
            }
        }
        let mut waiting: [VecDeque<Message>; Weight::ALL.len()] = Default::default();
        for message in rest {
            match message {
                Message::Run { weight, .. } => waiting[weight as usize].push_back(message),
                // For what runs already now, and, behind all others, for what waits when it has run.
                Message::Gone(connection) => {
                    self.end_waits(from, connection);
                    waiting[Weight::Heavy as usize].push_back(message);
                }
                // As for a client that is gone: a command that waits here may be one that waits for an event then.
                Message::Rights(connection, user) => {
                    self.recheck_wait(from, connection, &user);
                    waiting[Weight::Heavy as usize].push_back(Message::Rights(connection, user));
                }
                Message::Closed(connection) => {
                    self.end_connection(from, connection);
                    self.lanes.inbound[lane].closed.insert(connection);
                    waiting[Weight::Heavy as usize].push_back(message);
                }
                other => self.take_message(from, other, batch.arena()),
            }
        }
        if waiting.iter().all(VecDeque::is_empty) {
            self.give_back(from, batch.recycle(messages));
            return;
        }
        let batch = Rc::new(batch);
        for (weight, messages) in Weight::ALL.into_iter().zip(waiting) {
            if !messages.is_empty() {
                self.lanes.inbound[lane].waiting.of(weight).push_back(Waiting { batch: batch.clone(), messages });
            }
        }
    }

    /// Whether commands of a core may run now.
    fn may_run_for(&mut self, core: ShardId) -> bool {
        let outbound = self.lanes.outbound[core.0 as usize].as_mut();
        self.shard.is_some() && !self.budget.is_over() && !outbound.is_some_and(|outbound| outbound.is_congested())
    }

    /// Runs commands that wait, the lightest first and some of each lane in turn, as far as the budget goes. Returns whether
    /// there were any.
    fn run_waiting(&mut self) -> bool {
        let mut work = false;
        for weight in Weight::ALL {
            if self.has_waiting_of(weight) {
                self.budget.begin_weight(weight);
                work |= self.run_waiting_of(weight);
            }
        }
        work
    }

    fn has_waiting_of(&self, weight: Weight) -> bool {
        let has_acknowledged = weight == Weight::Heavy && self.lanes.credit.has_ready();
        has_acknowledged || self.lanes.inbound.iter().any(|inbound| inbound.waiting.lightest() == Some(weight))
    }

    fn run_waiting_of(&mut self, weight: Weight) -> bool {
        let (lanes, mut work, mut idle) = (self.lanes.inbound.len(), false, 0);
        // The last place is that of commands that have waited for their connection's replies to be taken: large ones.
        while idle <= lanes && self.shard.is_some() && !self.budget.is_over() {
            let place = self.lanes.next;
            self.lanes.next = (place + 1) % (lanes + 1);
            let has_run = if place < lanes {
                self.run_waiting_in(place, weight)
            } else {
                weight == Weight::Heavy && self.run_acknowledged()
            };
            idle = if has_run { 0 } else { idle + 1 };
            work |= has_run;
        }
        work
    }

    /// Runs the next commands that wait in a lane, if no lighter ones do. Returns whether there were any.
    fn run_waiting_in(&mut self, lane: usize, weight: Weight) -> bool {
        let from = self.lanes.inbound[lane].from;
        if self.lanes.inbound[lane].waiting.lightest() != Some(weight) || !self.may_run_for(from) {
            return false;
        }
        let Some(Waiting { batch, mut messages }) = self.lanes.inbound[lane].waiting.of(weight).pop_front() else {
            return false;
        };
        self.prefetch_asked(messages.as_slices().0, batch.arena());
        for _ in 0..COMMANDS_AHEAD {
            let Some(message) = messages.pop_front() else { break };
            let closed = &mut self.lanes.inbound[lane].closed;
            match &message {
                Message::Closed(connection) => drop(closed.remove(connection)),
                Message::Run { command, to, .. }
                    if closed.contains(&to.connection) && is_only_for_its_client(*command) =>
                {
                    continue;
                }
                _ => {}
            }
            self.take_message(from, message, batch.arena());
            if self.budget.is_over() {
                break;
            }
        }
        if !messages.is_empty() {
            self.lanes.inbound[lane].waiting.of(weight).push_front(Waiting { batch, messages });
        } else if let Some(batch) = Rc::into_inner(batch) {
            self.give_back(from, batch.recycle(Vec::new()));
        }
        true
    }

    /// Runs the next commands of connections whose replies were taken.
    fn run_acknowledged(&mut self) -> bool {
        let mut work = false;
        for _ in 0..COMMANDS_AHEAD {
            if self.budget.is_over() {
                break;
            }
            let Some(request) = self.lanes.credit.next_ready() else { break };
            self.run_request(&request);
            work = true;
        }
        work
    }

    fn give_back(&mut self, core: ShardId, batch: Batch) {
        if let Some(outbound) = &mut self.lanes.outbound[core.0 as usize] {
            outbound.keep(batch);
        }
    }

    /// Asks for the memory that the next commands of a batch will touch, as is done for a connection's.
    fn prefetch_asked(&self, messages: &[Message], arena: Arena<'_>) {
        let key = |message: &Message| match message {
            Message::Run { args, .. } => arena.args(args).try_get(1),
            Message::Reply { .. }
            | Message::LargeReply { .. }
            | Message::Heavy(_)
            | Message::Lend
            | Message::Lent(_)
            | Message::Return(_)
            | Message::KeyReady(_)
            | Message::EndKeyWait(_)
            | Message::Gone(_)
            | Message::Rights(..)
            | Message::Creator(..)
            | Message::Closed(_)
            | Message::Acknowledged { .. }
            | Message::Ask(_)
            | Message::Job(..)
            | Message::JobDone(..)
            | Message::Group(..)
            | Message::GroupAnswer(..)
            | Message::Fanned(_)
            | Message::Channels { .. }
            | Message::ChannelsKnown(_)
            | Message::Slow(..)
            | Message::Invalidate(_)
            | Message::Changed(_)
            | Message::Flushed
            | Message::Redirected(_)
            | Message::RedirectBroken(_)
            | Message::Published { .. } => None,
        };
        if let Some(shard) = self.shard.as_deref() {
            shard.prefetch(messages.iter().take(COMMANDS_AHEAD).filter_map(key));
        }
    }

    fn take_message(&mut self, from: ShardId, message: Message, arena: Arena<'_>) {
        match message {
            Message::Run { command, form, client, database, caching, to, args, weight: _ } => {
                let args = arena.args(&args);
                if self.lanes.credit.has_blocked() && self.lanes.credit.is_blocked((from, to.connection)) {
                    let args = OwnedArgs::from(args);
                    let request = Request { from, command, form, client, database, caching, to, args };
                    self.lanes.credit.keep((from, to.connection), request);
                } else {
                    self.run_asked(Asked { from, command, form, client, database, caching, to, args });
                }
            }
            Message::Reply { to, bytes } => self.take_reply(from, to, arena.bytes(&bytes).into()),
            Message::LargeReply { to, bytes } => self.take_reply(from, to, (*bytes).into()),
            Message::Heavy(connection) => {
                if let Some(connection) = self.connections.get(connection) {
                    connection.weight.note_heavy();
                }
            }
            Message::Lend => self.lending.borrowers.push_back(from),
            Message::Lent(shard) => self.take_lent(shard.0),
            Message::Return(shard) => self.take_back(shard.0),
            Message::KeyReady(number) => self.retry_over_shards(CommandId(number)),
            Message::EndKeyWait(number) => self.remove_waiter(WaiterId { core: from, number }),
            Message::Gone(connection) => self.end_waits(from, connection),
            Message::Rights(connection, user) => self.recheck_wait(from, connection, &user),
            Message::Creator(connection, usage) => self.deferred.note_creator((from, connection), usage),
            Message::Closed(connection) => self.end_connection(from, connection),
            Message::Acknowledged { connection, bytes } => self.lanes.credit.acknowledge((from, connection), bytes),
            Message::Job(to, job) => self.calls.add_job(from, to, *job),
            Message::JobDone(to, outcome) => self.take_outcome(to, *outcome),
            Message::Group(to, ask) => self.group_readers.ask(from, to, *ask),
            Message::GroupAnswer(to, answer) => self.take_group_answer(to, *answer),
            Message::Ask(ask) => self.live.fanout.ask(from, ask),
            Message::Fanned(batch) => self.take_fanned(from, batch),
            Message::Channels { step, waits, names } => self.learn_channels(from, (step, waits), arena.args(&names)),
            Message::ChannelsKnown(connection) => self.note_known(connection),
            Message::Slow(connection, command) => self.log_slow(connection, *command),
            Message::Invalidate(invalidation) => self.invalidate(&invalidation),
            Message::Changed(keys) => self.broadcast(&keys),
            Message::Flushed => self.invalidate_all(),
            Message::Redirected(message) => self.take_redirected(from, &message),
            Message::RedirectBroken(connection) => self.note_redirect_broken(connection),
            Message::Published { kind, message } => self.take_published(kind, arena.args(&message)),
        }
    }

    /// Delivers a reply that another core has made.
    #[inline]
    fn take_reply(&mut self, from: ShardId, to: ReplyTo, bytes: Cow<'_, [u8]>) {
        let length = bytes.len();
        self.budget.spend_delivered(length);
        let Some(connection) = self.connections.get(to.connection).filter(|connection| !connection.is_closed) else {
            return;
        };
        connection.deliver(to.number, to.part, bytes);
        if length > HEAVY_BYTES {
            connection.weight.note_heavy();
        }
        if length >= REMOTE_REPLY_BYTES_MIN {
            connection.output.owe_acknowledgement(from, length);
        }
        connection.list(&mut self.listed);
    }

    /// Ends what there is here of a connection of another core that is closed. What it has asked to change is changed.
    fn end_connection(&mut self, from: ShardId, connection: ConnectionId) {
        self.end_waits(from, connection);
        self.lanes.credit.close((from, connection), |request| !is_only_for_its_client(request.command));
    }

    fn run_request(&mut self, request: &Request) {
        let &Request { from, command, form, client, database, caching, to, ref args } = request;
        self.run_asked(Asked { from, command, form, client, database, caching, to, args: args.as_args() });
    }

    fn run_asked(&mut self, asked: Asked<'_>) {
        let Asked { from, command: index, form, client, database, caching, to, args } = asked;
        let (is_short, spent) = (TABLE.is_short(index) && !self.times_all, self.budget.spent());
        if !is_short {
            self.budget.begin_command();
        }
        let command = TABLE.get(index);
        match (&command.run, form) {
            (Run::Keys { run, .. } | Run::Shards { run, .. } | Run::EachShard { run, .. }, _) => {
                let bytes = self.on_shard(|runner, shard, lanes| {
                    let runner = runner.in_database(database).for_caller(caching.of(from, to.connection));
                    lanes.to(from).reply(to, form, |out| match (form, command.part()) {
                        (ReplyForm::Whole(version), _) => {
                            runner.run(shard, (index, *run), args, &mut Reply::new(out, version))
                        }
                        (ReplyForm::Part, Some(part)) => {
                            runner.run(shard, (index, part), args, &mut PartWriter::new(out))
                        }
                        (ReplyForm::Part, None) => unreachable!("its reply has no parts"),
                    })
                });
                let Some(bytes) = bytes else { unreachable!("commands of other cores wait until the shard is back") };
                self.lanes.credit.note_reply((from, to.connection), bytes);
                if bytes >= BATCH_BYTES {
                    self.reclaim.note_freed(bytes);
                }
                self.budget.spend(bytes);
            }
            (Run::EachCore { run, .. }, _) => {
                let mut out = Vec::new();
                let mut context = CoreContext {
                    connections: &mut self.connections,
                    client,
                    waits: &mut self.deferred,
                    groups: &mut self.groups,
                    history: &self.history,
                    server: &self.server,
                    now_ms: self.now_ms,
                    steady_ms: self.steady_ms,
                };
                let statistics = self.server.statistics(self.id);
                statistics.run(index, &mut PartWriter::new(&mut out), |reply| run(&mut context, args, reply));
                // It may have ended some of them.
                self.connections.iter().for_each(|connection| {
                    if connection.is_finished() {
                        connection.list(&mut self.listed);
                    }
                });
                self.deliver(from, to, form, &out);
            }
            (Run::Group { .. }, ReplyForm::Whole(_)) => {
                let args = OwnedArgs::from(args);
                self.defer(Request { from, command: index, form, client, database, caching, to, args });
            }
            (Run::Waiting { .. }, ReplyForm::Whole(_)) => {
                let args = OwnedArgs::from(args);
                self.run_asked_or_wait(Request { from, command: index, form, client, database, caching, to, args });
            }
            (
                Run::Container(_)
                | Run::Session(_)
                | Run::Select(_)
                | Run::AllShards(_)
                | Run::History(_)
                | Run::Subscription(_)
                | Run::Transaction(_)
                | Run::Publish(_)
                | Run::Script(_)
                | Run::Channels(_)
                | Run::Waiting { .. }
                | Run::Group { .. },
                _,
            ) => {
                unreachable!("it never leaves its client's core, and its reply has no parts")
            }
        }
        // Of a part that is not slow by itself, its client's core tells.
        let is_told = form != ReplyForm::Part || !self.times_all;
        if let Some(took) = self.budget.note_command(is_short).filter(|_| is_told) {
            self.note_slow((from, to.connection), (index, args), took);
        }
        if self.budget.spent() - spent > HEAVY_TIME && from != self.id {
            self.lanes.to(from).push(Message::Heavy(to.connection));
        }
    }
}

/// Whether a command is not run for a client that has gone: it does nothing but answer, or it would wait, or take what
/// nobody gets.
fn is_only_for_its_client(index: CommandIndex) -> bool {
    let command = TABLE.get(index);
    let is_on_shards = matches!(command.run, Run::Keys { .. } | Run::Shards { .. } | Run::EachShard { .. });
    is_on_shards && !command.may_write() || matches!(command.run, Run::Waiting { .. })
}
