//! Commands that read the recorded history, or are about a consumer group or a subscription: they run after the turn's
//! commit, once the frontier has passed every write that was acknowledged before them. And all commands that wait, those
//! for keys too: those run elsewhere (see `key_waits`), but a wait that ends without a value is answered here.
//!
//! A command that waits does not run until something happens that it waits for: see `waits`. Those that may go on
//! run in the order in which they came, as long as a turn has time for them.

use super::Core;
use super::subscriptions::Live;
use super::waits::{CommandId, Waits, Watcher};
use crate::access::{Usage, User};
use crate::command::access::check;
use crate::command::table::TABLE;
use crate::command::{
    self, DeferredState, Flag, GroupContext, HistoryContext, Progress, Run, SubscriptionContext, WaitFor,
};
use crate::limits::DEFERRED_TURN_NS;
use crate::mesh::message::{Message, Request};
use crate::net_ring::ConnectionId;
use crate::resp::Reply;
use crate::server::Stat;
use keytide_engine::account::Share;
use keytide_engine::position::{Position, ShardId};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A command that runs after the commit, or waits.
pub(super) struct Deferred {
    pub request: Request,
    /// The position that the frontier must have reached: everything handed out when the command came to its turn. None
    /// before.
    after: Option<Position>,
    /// What it waits for, and its deadline, steady milliseconds. None while it is to run.
    wait: Option<(WaitFor, Option<u64>)>,
    /// The group for whose waiting commands it runs: if it gets something, the next one runs.
    looks_for: Option<u64>,
    /// The error that ends it: its user may not run it any more, or CLIENT UNBLOCK asks for one.
    error: Option<String>,
    /// What its user has in use, where it creates something.
    creator: Option<Arc<Usage>>,
    pub state: DeferredState,
    /// Of a command that waits for keys of several shards: whether a hold of these shards is queued in which it runs.
    pub is_held: bool,
    /// The memory of a command that waits for keys.
    _share: Option<Share>,
}

impl Deferred {
    /// A command that has not run.
    fn new(request: Request) -> Deferred {
        let (after, wait, looks_for, error) = (None, None, None, None);
        let state = DeferredState::default();
        Deferred { request, after, wait, looks_for, error, creator: None, state, is_held: false, _share: None }
    }

    /// A command that runs on keys, with the memory of its arguments.
    pub fn of_keys(request: Request, state: DeferredState, share: Share) -> Deferred {
        // It reads no history: nothing has to be published before its reply.
        Deferred { after: Some(Position(0)), state, _share: Some(share), ..Deferred::new(request) }
    }

    /// Whether its wait has been ended, with or without an error.
    pub fn has_ended(&self) -> bool {
        self.error.is_some() || self.state.has_given_up()
    }

    /// Whether it waits, or is held to look once more for what it waits for.
    pub fn is_waiting(&self) -> bool {
        self.wait.is_some() || self.is_held
    }

    /// Whether its reply reveals a change of a group.
    fn changes_groups(&self) -> bool {
        let command = TABLE.get(self.request.command);
        matches!(command.run, Run::Group { .. }) && command.is(Flag::Write)
    }
}

/// The deferred commands of one core.
#[derive(Default)]
pub(super) struct DeferredCommands {
    commands: HashMap<CommandId, Deferred>,
    /// The commands that are to run, the next one first.
    ready: VecDeque<CommandId>,
    waits: Waits,
    /// A connection has at most one: what follows on it waits for its reply.
    of_connection: HashMap<(ShardId, ConnectionId), CommandId>,
    /// For connections whose next command creates something: what their users have in use.
    creators: HashMap<(ShardId, ConnectionId), Arc<Usage>>,
    /// The same, by the client's number.
    of_client: HashMap<u64, CommandId>,
    next_id: u64,
    /// The number of commands that wait.
    waiting: u64,
    /// The number of times that a waiting command ran again.
    looks: u64,
}

impl DeferredCommands {
    /// The time at which a waiting command is due, steady milliseconds.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.waits.next_due_ms()
    }

    /// Notes that the next command of a connection creates something, which counts for its user.
    pub fn note_creator(&mut self, connection: (ShardId, ConnectionId), usage: Arc<Usage>) {
        self.creators.insert(connection, usage);
    }

    /// Numbers a command. Its caller puts it in: see [`DeferredCommands::put`], `put_ready`, `wait`.
    pub fn admit(&mut self, request: &Request) -> CommandId {
        let id = CommandId(self.next_id);
        self.next_id += 1;
        self.of_connection.insert((request.from, request.to.connection), id);
        self.of_client.insert(request.client, id);
        id
    }

    /// A command that is not being run.
    pub fn get(&self, id: CommandId) -> Option<&Deferred> {
        self.commands.get(&id)
    }

    /// Takes a command to run it: it waits no more. Its caller puts it back, or ends it ([`DeferredCommands::forget`]).
    pub fn take(&mut self, id: CommandId) -> Option<Deferred> {
        let mut deferred = self.commands.remove(&id)?;
        if let Some((wait, deadline_ms)) = deferred.wait.take() {
            self.waits.remove(id, wait, deadline_ms);
            self.waiting -= 1;
            self.looks += 1;
        }
        Some(deferred)
    }

    /// Puts a command in that its caller runs later.
    pub fn put(&mut self, id: CommandId, deferred: Deferred) {
        self.commands.insert(id, deferred);
    }

    /// Puts a command in that runs after the turn's commit.
    pub fn put_ready(&mut self, id: CommandId, deferred: Deferred) {
        self.commands.insert(id, deferred);
        self.ready.push_back(id);
    }

    /// Notes that a command, which was taken, has replied.
    pub fn forget(&mut self, deferred: &Deferred) {
        let Request { from, client, to, .. } = deferred.request;
        self.of_connection.remove(&(from, to.connection));
        self.of_client.remove(&client);
    }

    /// Whether commands wait for a group.
    pub fn has_waits_for(&self, group: u64) -> bool {
        self.waits.has_group(group)
    }

    /// The number of commands that wait, and how often one of them has run again.
    pub fn figures(&self) -> [(Stat, u64); 2] {
        [(Stat::Blocked, self.waiting), (Stat::BlockedLooks, self.looks)]
    }

    /// Ends the wait of a command, which then runs. Does nothing if the command is gone or does not wait.
    fn wake(&mut self, id: CommandId) {
        let Some(deferred) = self.commands.get_mut(&id) else { return };
        if let Some((wait, deadline_ms)) = deferred.wait.take() {
            self.waits.remove(id, wait, deadline_ms);
            self.waiting -= 1;
            self.looks += 1;
            self.ready.push_back(id);
        }
    }

    /// Puts a command in that waits.
    pub fn wait(&mut self, id: CommandId, mut deferred: Deferred, wait: WaitFor) {
        let deadline_ms = deferred.state.deadline_ms.filter(|at_ms| *at_ms != u64::MAX);
        self.waits.add(id, wait, deadline_ms);
        self.waiting += 1;
        (deferred.wait, deferred.looks_for) = (Some((wait, deadline_ms)), None);
        self.commands.insert(id, deferred);
    }
}

impl command::Waits for DeferredCommands {
    fn unblock(&mut self, client: u64, error: Option<&'static str>) -> bool {
        let Some(&id) = self.of_client.get(&client) else { return false };
        let Some(deferred) = self.commands.get_mut(&id) else { return false };
        if !deferred.is_waiting() || deferred.has_ended() {
            return false;
        }
        deferred.error = error.map(str::to_owned);
        deferred.state.deadline_ms = Some(0);
        self.wake(id);
        true
    }
}

impl Core {
    /// Keeps a command until the turn has committed.
    pub(super) fn defer(&mut self, request: Request) {
        let id = self.deferred.admit(&request);
        let creator = self.deferred.creators.remove(&(request.from, request.to.connection));
        self.deferred.put_ready(id, Deferred { creator, ..Deferred::new(request) });
    }

    /// Runs the commands that are ready. Returns whether there is more to do at once.
    pub(super) fn run_deferred(&mut self) -> bool {
        if self.deferred.next_due_ms().is_some_and(|due_ms| due_ms <= self.steady_ms) {
            let due = self.deferred.waits.take_due(self.steady_ms);
            due.commands.into_iter().for_each(|id| self.deferred.wake(id));
            due.groups.into_iter().for_each(|group| self.wake_group(group));
        }
        if self.deferred.ready.is_empty() {
            return false;
        }
        let began = Instant::now();
        let frontier = self.history.frontier();
        let next = self.server.sequencer.next();
        let (mut answers, mut later) = (Vec::new(), Vec::new());
        while let Some(id) = self.deferred.ready.pop_front() {
            let Some(mut deferred) = self.deferred.commands.remove(&id) else { continue };
            if frontier < *deferred.after.get_or_insert(next) {
                // Another core is about to publish: there is nothing to sleep for. If it runs on the same processor, the
                // loop lets it.
                self.deferred.commands.insert(id, deferred);
                later.push(id);
                continue;
            }
            let mut out = Vec::new();
            let started = Instant::now();
            match self.run_one(id, &mut deferred, &mut out) {
                Progress::Done => {
                    let (took, reply) = (started.elapsed(), deferred.request.form.reply(&mut out));
                    self.server.statistics(self.id).note_timed(deferred.request.command, took, &reply);
                    let Request { from, to, command, ref args, .. } = deferred.request;
                    self.note_slow((from, to.connection), (command, args.as_args()), took);
                    self.deferred.forget(&deferred);
                    self.end_wait_for(id, &deferred);
                    let looks_for = deferred.looks_for;
                    answers.push((deferred, out));
                    looks_for.into_iter().for_each(|group| self.wake_group(group));
                }
                Progress::More => {
                    self.deferred.commands.insert(id, deferred);
                    later.push(id);
                }
                Progress::Wait(wait) => self.wait(id, deferred, wait),
            }
            for group in self.groups.take_changed() {
                self.wake_group(group);
            }
            if began.elapsed() >= Duration::from_nanos(DEFERRED_TURN_NS) {
                break;
            }
        }
        self.deferred.ready.extend(later);
        let has_more = !self.deferred.ready.is_empty() || !answers.is_empty();
        // Changes of groups are on disk before any reply reveals them.
        let refusal = self.groups.write();
        if refusal.is_some() {
            // Commands that wait for a group run in the next turn.
            for group in self.deferred.waits.groups() {
                while self.deferred.waits.has_group(group) {
                    self.wake_group(group);
                }
            }
        }
        for (deferred, mut out) in answers {
            if let Some(refusal) = refusal.as_deref().filter(|_| deferred.changes_groups()) {
                out.clear();
                deferred.request.form.error(&mut out, refusal);
            }
            let Request { from, to, form, .. } = deferred.request;
            self.deliver(from, to, form, &out);
        }
        self.publish_waits();
        has_more || !self.deferred.ready.is_empty() || self.has_ready_keys()
    }

    /// Ends what a command that has replied waited for.
    fn end_wait_for(&mut self, id: CommandId, deferred: &Deferred) {
        match TABLE.get(deferred.request.command).run {
            Run::Waiting { waits_for, .. } => self.end_key_wait(id, waits_for, deferred.request.args.as_args()),
            _ => self.live.hub.unwatch(Watcher::Command(id).id()),
        }
    }

    /// Publishes how many commands wait.
    pub(super) fn publish_waits(&self) {
        for (stat, value) in self.deferred.figures() {
            self.server.tell(self.id, stat, value);
        }
    }

    fn run_one(&mut self, id: CommandId, deferred: &mut Deferred, out: &mut Vec<u8>) -> Progress {
        let Core { history, groups, live, connections, listed, server, now_ms, steady_ms, .. } = self;
        let Live { hub, delivery, .. } = live;
        let (now_ms, steady_ms) = (*now_ms, *steady_ms);
        let mut reply: Reply<'_> = deferred.request.form.reply(out);
        if let Some(text) = deferred.error.take() {
            reply.error(text);
            return Progress::Done;
        }
        let changes_groups = deferred.changes_groups();
        let (request, state) = (&deferred.request, &mut deferred.state);
        let args = request.args.as_args();
        state.steady_ms = steady_ms;
        match TABLE.get(request.command).run {
            Run::History(run) => {
                // The hub has examined the shards up to there while it waited.
                if let (Some(cursor), Some(passed)) = (&mut state.cursor, hub.passed(Watcher::Command(id).id())) {
                    *cursor = passed.end.max(*cursor);
                }
                run(&mut HistoryContext { history, state, server, now_ms }, args, &mut reply)
            }
            Run::Subscription(run) => {
                let mut outlet = delivery.to(connections, listed);
                // If its connection has closed meanwhile nobody would end the subscription.
                let Some(client) = outlet.subscriber_of(request.to.connection) else { return Progress::Done };
                run(
                    &mut SubscriptionContext { hub, history, outlet: &mut outlet, client, state, server },
                    args,
                    &mut reply,
                )
            }
            Run::Group { run, names, .. } => {
                if let Some(refusal) = groups.refusal().filter(|_| changes_groups) {
                    reply.error(refusal);
                    return Progress::Done;
                }
                if let Some(number) = groups.table.number(args.get(names.0), args.get(names.1))
                    && let Some(passed) = hub.passed(Watcher::Group(number).id())
                {
                    groups.table.pass_over(number, passed);
                }
                let creator = deferred.creator.as_deref();
                run(&mut GroupContext { groups, history, state, creator, server, now_ms, steady_ms }, args, &mut reply)
            }
            Run::Waiting { .. } => {
                // Its time is over. All of these commands have this reply then, as in Redis.
                reply.null_array();
                Progress::Done
            }
            Run::Container(_)
            | Run::Session(_)
            | Run::Select(_)
            | Run::Keys { .. }
            | Run::Shards { .. }
            | Run::EachShard { .. }
            | Run::AllShards(_)
            | Run::EachCore { .. }
            | Run::Publish(_)
            | Run::Script(_)
            | Run::Channels(_)
            | Run::Transaction(_) => unreachable!("only what waits, or runs after the commit, is deferred"),
        }
    }

    /// Lets a command wait, and has it woken by what it waits for.
    fn wait(&mut self, id: CommandId, mut deferred: Deferred, wait: WaitFor) {
        let looked_for = deferred.looks_for;
        match wait {
            WaitFor::Deadline | WaitFor::Keys => {}
            WaitFor::Events(from) => {
                // All that wait for the same share one filter.
                if let Some(interest) = deferred.state.interest.take() {
                    deferred.state.interest = Some(self.live.hub.watch(Watcher::Command(id).id(), interest, from));
                }
            }
            WaitFor::Group { number, reads_from, .. } => {
                let watcher = Watcher::Group(number).id();
                match (reads_from, self.groups.table.interest(number)) {
                    (Some(from), Some(interest)) => _ = self.live.hub.watch(watcher, interest.clone(), from),
                    _ if self.group_readers.has_readers(number) => {}
                    _ => self.live.hub.unwatch(watcher),
                }
            }
        }
        self.deferred.wait(id, deferred, wait);
        // Where it waits for that group again there is nothing in it, for the others neither.
        let is_again = |group: &u64| matches!(wait, WaitFor::Group { number, .. } if number == *group);
        if let Some(group) = looked_for.filter(|group| !is_again(group)) {
            self.wake_group(group);
        }
    }

    /// Runs waiting commands again for which there may be events in the history.
    pub(super) fn wake_watchers(&mut self) -> bool {
        let woken = self.live.hub.take_woken();
        let has_woken = !woken.is_empty();
        for id in woken {
            match Watcher::of(id) {
                Watcher::Command(id) => self.deferred.wake(id),
                Watcher::Group(group) => self.wake_group(group),
            }
        }
        has_woken
    }

    /// Runs the command again that has waited longest for a group.
    pub(super) fn wake_group(&mut self, group: u64) {
        self.group_readers.wake(group);
        if !self.deferred.waits.has_group(group) {
            return;
        }
        match self.deferred.waits.first_of(group) {
            Some(id) => {
                self.deferred.wake(id);
                if let Some(deferred) = self.deferred.commands.get_mut(&id) {
                    deferred.looks_for = Some(group);
                }
            }
            None if self.group_readers.has_readers(group) => {}
            None => self.live.hub.unwatch(Watcher::Group(group).id()),
        }
    }

    /// Logs each group that is about to lose events. Events that the hub has examined for a group, and found unwanted, do not
    /// count.
    pub(super) fn warn_of_retention(&mut self) {
        let Core { groups, history, live, steady_ms, .. } = self;
        let hub = &mut live.hub;
        groups.check_retention(history, *steady_ms, |group| hub.passed(Watcher::Group(group).id()));
    }

    /// Ends the waits of a connection whose client has ended its side, here and on the other cores.
    pub(super) fn give_up_waiting(&mut self, connection: ConnectionId) {
        self.end_waits(self.id, connection);
        self.tell_all(|| Message::Gone(connection));
    }

    /// Notifies the other cores that a connection with commands there is closed, and ends its waits here.
    pub(super) fn notify_closed(&mut self, connection: ConnectionId) {
        self.end_waits(self.id, connection);
        self.tell_all(|| Message::Closed(connection));
    }

    pub(super) fn tell_all(&mut self, message: impl Fn() -> Message) {
        for core in (0..self.server.shards()).map(ShardId) {
            if core != self.id {
                self.lanes.to(core).push(message());
            }
        }
    }

    /// Ends the wait of a connection's command with an error if the connection's user, which was changed, may not run the
    /// command any more.
    pub(super) fn recheck_wait(&mut self, from: ShardId, connection: ConnectionId, user: &User) {
        let Some(&id) = self.deferred.of_connection.get(&(from, connection)) else { return };
        if let Some(deferred) = self.deferred.commands.get_mut(&id)
            && let Err(refused) = check(user, deferred.request.command, deferred.request.args.as_args())
        {
            deferred.error = Some(refused.text_of_revoked());
            self.deferred.wake(id);
        }
    }

    /// Ends the wait of a connection's command, which replies at once with what there is.
    pub(super) fn end_waits(&mut self, from: ShardId, connection: ConnectionId) {
        let Some(&id) = self.deferred.of_connection.get(&(from, connection)) else { return };
        if let Some(deferred) = self.deferred.commands.get_mut(&id) {
            deferred.state.deadline_ms = Some(0);
        }
        self.deferred.wake(id);
    }
}
