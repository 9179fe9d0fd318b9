//! The calls of gRPC on this core: what they send becomes output, what they want of shards and of the history is done in
//! its step of the turn.
//!
//! ```text
//!   received ─► calls ─► jobs ─► shard ─► commit ─► reads, subscriptions ─► flush ─► output
//! ```

use super::Core;
use super::call_timers::Due;
use super::hold::{HoldRequest, HoldWork};
use crate::access::User;
use crate::command::cdc::may_subscribe;
use crate::connection::{Connection, ProtocolState, Transport};
use crate::groups::ask::{GroupAnswer, GroupAsk};
use crate::grpc::asked::Asked;
use crate::grpc::{CallId, Code, Status, Surroundings};
use crate::http2::Polled;
use crate::kurrent::{access_denied, may_read_group, shutting_down};
use crate::limits::{CALL_OUT_BYTES, CALL_READS_TURN, CALL_RETRY_MS, GRPC_UNZIPPED_BYTES_TURN, WEB_OUTPUT_BYTES};
use crate::mesh::message::{JobFor, Message};
use crate::net_ring::ConnectionId;
use crate::resp::error_text;
use crate::server::Server;
use crate::session::{Closing, Session};
use crate::streams::{Job, JobRefused, Outcome};
use keytide_engine::position::{Position, ShardId};
use keytide_engine::shards::Shards;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What calls wait for on this core.
#[derive(Default)]
pub(super) struct CallWork {
    /// Jobs for this core's shard, from the cores of their calls.
    jobs: VecDeque<(ShardId, JobFor, Job)>,
    /// Whether calls have asked for something in this turn.
    goes_on: bool,
    /// Calls that read the history, and the position that has to be published before; none before that is known.
    reads: VecDeque<(ConnectionId, CallId, Option<Position>)>,
    /// Calls that read the history a moment later.
    later: Vec<(ConnectionId, CallId)>,
    /// The frontier at which some were found to wait for another core's publication.
    pub waits_at: Option<Position>,
    /// When calls and their connections have to be looked at, for deadlines and signs of life, steady milliseconds.
    pub due: Due,
    /// How many bytes of compressed messages may still be unpacked in this turn.
    unzip_left: Rc<Cell<usize>>,
}

impl CallWork {
    /// Begins a turn.
    pub fn begin_turn(&self) {
        self.unzip_left.set(GRPC_UNZIPPED_BYTES_TURN);
    }

    /// Adds a job for this core's shard.
    pub fn add_job(&mut self, from: ShardId, to: JobFor, job: Job) {
        self.jobs.push_back((from, to, job));
    }

    /// Whether calls have asked for something that the next turn may do; asked once.
    pub fn take_goes_on(&mut self) -> bool {
        std::mem::take(&mut self.goes_on)
    }

    /// Lets calls read the history that have waited a moment.
    pub fn retry(&mut self) {
        self.reads.extend(self.later.drain(..).map(|(connection, call)| (connection, call, None)));
    }

    /// Has calls looked at by then, steady milliseconds.
    pub fn note_due(&mut self, at_ms: u64) {
        self.due.0 = self.due.0.min(at_ms);
    }

    /// Whether jobs wait.
    pub fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }
}

impl Core {
    /// Gives received bytes to the calls of a connection; answers how many were consumed.
    pub(super) fn run_web(&mut self, connection: &mut Connection, received: &[u8]) -> usize {
        connection.session.active_ms = self.steady_ms;
        if connection.session.users_version != self.server.users.version() {
            self.refresh_rights(&mut connection.session);
        }
        let out_max = web_room(connection);
        let user = user_of(connection);
        let around = around(&self.server, connection, user.as_ref(), (self.now_ms, self.steady_ms), &self.calls);
        let ProtocolState::Web(web) = &mut connection.protocol else { return received.len() };
        let polled = web.receive(received, connection.output.ready(), out_max, &around);
        self.note_polled(connection, polled);
        let keepalive_ms = self.server.config.grpc_keepalive_ms;
        self.calls.note_due(keepalive_ms.map_or(u64::MAX, |span| self.steady_ms.saturating_add(span)));
        self.look_at_stranger(connection);
        self.take_asked(connection);
        polled.consumed
    }

    /// A connection is no stranger's once a call's credentials were right; until then it may hold little.
    fn look_at_stranger(&mut self, connection: &mut Connection) {
        if connection.session.stranger_since.is_none() {
            return;
        }
        let held_bytes = connection.protocol.held_bytes();
        connection.session.has_known_calls |= connection.protocol.calls().is_some_and(|calls| calls.has_known);
        if !connection.session.is_stranger() {
            self.note_authentication(connection.id, &mut connection.session);
        } else {
            self.ends_for_bytes(&mut connection.session, held_bytes);
        }
    }

    /// Makes output of what the calls of a connection have sent.
    pub(super) fn flush_calls(&mut self, connection: &mut Connection) {
        if !matches!(connection.protocol, ProtocolState::Web(_)) || connection.session.closing == Closing::Now {
            return;
        }
        let out_max = web_room(connection);
        let user = user_of(connection);
        let around = around(&self.server, connection, user.as_ref(), (self.now_ms, self.steady_ms), &self.calls);
        let ProtocolState::Web(web) = &mut connection.protocol else { return };
        let Some(calls) = web.calls() else { return };
        let ready = connection.output.ready();
        if calls.has_to_send()
            && ready.capacity() == 0
            && let Some(spare) = self.live.delivery.spare()
        {
            *ready = spare;
        }
        let polled = calls.flush(ready, out_max, &around);
        if ready.is_empty() && ready.capacity() > 0 {
            self.live.delivery.keep(std::mem::take(ready));
        }
        self.note_polled(connection, polled);
        self.take_asked(connection);
    }

    fn note_polled(&mut self, connection: &mut Connection, polled: Polled) {
        // The end of a send makes room for more.
        connection.output.wants_room |= polled.is_full;
        self.calls.note_due(connection.protocol.calls().map_or(u64::MAX, |calls| calls.next_deadline_ms()));
        if polled.is_over && connection.session.closing == Closing::No {
            connection.session.closing = Closing::AfterReplies;
        }
    }

    /// Lets calls go on that have waited for room in their connection's output.
    pub(super) fn note_web_room(&mut self, connection: &mut Connection) {
        let ProtocolState::Web(web) = &mut connection.protocol else { return };
        if let Some(calls) = web.calls() {
            calls.note_output_room();
            self.take_asked(connection);
            connection.list(&mut self.listed);
        }
    }

    /// Does what the calls of a connection want, or sees to it.
    fn take_asked(&mut self, connection: &mut Connection) {
        let ProtocolState::Web(web) = &mut connection.protocol else { return };
        let Some(calls) = web.calls().filter(|calls| calls.has_asked()) else { return };
        let Asked { jobs, reads, later, groups, goes_on, subscriptions, ended, has_room } = calls.take_asked();
        // What is asked for at the end of a turn is for the next one, which nobody else would ask for.
        self.calls.goes_on |= !(reads.is_empty() && has_room.is_empty() && subscriptions.is_empty() && jobs.is_empty());
        self.calls.goes_on |= goes_on;
        if !later.is_empty() {
            self.calls.note_due(self.steady_ms + CALL_RETRY_MS);
            self.calls.later.extend(later.into_iter().map(|call| (connection.id, call)));
        }
        self.calls.goes_on |= !groups.is_empty();
        for (call, core, number, ask) in groups {
            let to = JobFor { connection: connection.id, call, number };
            if core == self.id {
                self.group_readers.ask(self.id, to, ask);
            } else {
                self.lanes.to(core).push(Message::Group(to, Box::new(ask)));
            }
        }
        for (call, number, job) in jobs {
            let to = JobFor { connection: connection.id, call, number };
            let shard = job.shard(self.server.shards());
            if let Some(needed) = job.several_shards(self.server.shards()) {
                self.lending.queue.push_back(HoldRequest { work: HoldWork::Job(to, Box::new(job)), needed });
            } else if shard == self.id {
                self.calls.add_job(self.id, to, job);
            } else {
                self.lanes.to(shard).push(Message::Job(to, Box::new(job)));
            }
        }
        self.calls.reads.extend(reads.into_iter().map(|call| (connection.id, call, None)));
        let mut refused = Vec::new();
        for (call, subscribe) in subscriptions {
            let subscriber = self.live.delivery.subscribers.add(connection.id, Some(call));
            let owner = calls.user(call).map(|user| user.usage().subscriptions.clone()).unwrap_or_default();
            match self.live.hub.subscribe_for(subscriber, &owner, *subscribe, &self.history) {
                Ok(_) => {
                    calls.set_subscriber(call, subscriber);
                    connection.session.subscriptions += 1;
                }
                Err(error) => {
                    self.live.delivery.subscribers.remove(subscriber);
                    refused.push((call, Status::new(Code::ResourceExhausted, error.to_string())));
                }
            }
        }
        if goes_on || !refused.is_empty() {
            refused.into_iter().for_each(|(call, status)| calls.end(call, status));
            connection.list(&mut self.listed);
        }
        for subscriber in ended {
            self.live.hub.close_client(subscriber);
            self.live.delivery.subscribers.remove(subscriber);
            connection.session.subscriptions = connection.session.subscriptions.saturating_sub(1);
        }
        has_room.into_iter().for_each(|subscriber| self.live.hub.note_room(subscriber));
    }

    /// Does the jobs for this core's shard, as far as the turn has time. Returns whether there were any.
    pub(super) fn run_jobs(&mut self) -> bool {
        let mut work = false;
        while self.shard.is_some()
            && !self.budget.is_over()
            && let Some((from, to, job)) = self.calls.jobs.pop_front()
        {
            work = true;
            let Some(mut shard) = self.shard.take() else { break };
            let outcome = self.run_job(&job, Shards::One(&mut shard));
            self.shard = Some(shard);
            self.budget.spend(job.memory_bytes());
            if from == self.id {
                self.take_outcome(to, outcome);
            } else {
                self.lanes.to(from).push(Message::JobDone(to, Box::new(outcome)));
            }
        }
        work
    }

    /// Does a job on the shards of its streams.
    pub(super) fn run_job(&mut self, job: &Job, shards: Shards<'_>) -> Outcome {
        if job.writes() && self.server.memory.is_short() {
            self.server.memory.note_refused();
            return job.refused(JobRefused::NoRoom(error_text::OUT_OF_MEMORY.to_owned()));
        }
        self.figures.commands += 1;
        job.run(shards)
    }

    /// Tells a call what has come of a job.
    pub(super) fn take_outcome(&mut self, to: JobFor, outcome: Outcome) {
        let JobFor { connection, call, number } = to;
        let Some(mut connection) = self.connections.take(connection) else { return };
        let user = user_of(&connection);
        let around = around(&self.server, &connection, user.as_ref(), (self.now_ms, self.steady_ms), &self.calls);
        if let ProtocolState::Web(web) = &mut connection.protocol
            && let Some(calls) = web.calls()
        {
            calls.outcome(call, number, outcome, &around);
        }
        self.take_asked(&mut connection);
        // What a shard has worked on is not held any more.
        connection.count_input();
        connection.list(&mut self.listed);
        self.connections.put(connection);
    }

    /// Tells a call what a consumer group answers, or gives it.
    pub(super) fn take_group_answer(&mut self, to: JobFor, answer: GroupAnswer) {
        let JobFor { connection, call, number } = to;
        let Some(mut connection) = self.connections.take(connection) else { return };
        let has_room = connection.output.has_room(WEB_OUTPUT_BYTES);
        let user = user_of(&connection);
        let around = around(&self.server, &connection, user.as_ref(), (self.now_ms, self.steady_ms), &self.calls);
        if let ProtocolState::Web(web) = &mut connection.protocol
            && let Some(calls) = web.calls()
        {
            let out_max = if has_room { CALL_OUT_BYTES } else { 0 };
            calls.group(call, (number, answer), &mut self.history, out_max, &around);
        }
        connection.output.wants_room |= !has_room;
        self.take_asked(&mut connection);
        connection.list(&mut self.listed);
        self.connections.put(connection);
    }

    /// Tells the groups that calls of a connection read that these are gone.
    pub(super) fn leave_groups(&mut self, connection: &mut Connection) {
        let Some(calls) = connection.protocol.calls() else { return };
        for (call, core) in calls.take_group_reads() {
            let to = JobFor { connection: connection.id, call, number: 0 };
            if core == self.id {
                self.group_readers.ask(self.id, to, GroupAsk::Leave);
                self.calls.goes_on = true;
            } else {
                self.lanes.to(core).push(Message::Group(to, Box::new(GroupAsk::Leave)));
            }
        }
    }

    /// Ends the calls that read groups because the server stops.
    pub(super) fn end_group_reads(&mut self) {
        let status = shutting_down();
        let ids: Vec<ConnectionId> = self.connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            let Some(connection) = self.connections.get(id) else { continue };
            if let Some(calls) = connection.protocol.calls() {
                calls.end_group_reads(&status);
                connection.list(&mut self.listed);
            }
        }
    }

    /// Lets calls read the history, after the commit, as far as the turn has time for it. Returns whether there is more to do
    /// at once.
    pub(super) fn run_reads(&mut self) -> bool {
        self.calls.waits_at = None;
        if self.calls.reads.is_empty() {
            return false;
        }
        let began = Instant::now();
        let (frontier, next) = (self.history.frontier(), self.server.sequencer.next());
        let mut later = Vec::new();
        while let Some((id, call, after)) = self.calls.reads.pop_front() {
            let after = after.unwrap_or(next);
            if frontier < after {
                // Another core is about to publish.
                later.push((id, call, Some(after)));
            } else if let Some(mut connection) = self.connections.take(id) {
                let has_room = connection.output.has_room(WEB_OUTPUT_BYTES);
                let user = user_of(&connection);
                let around =
                    around(&self.server, &connection, user.as_ref(), (self.now_ms, self.steady_ms), &self.calls);
                if let ProtocolState::Web(web) = &mut connection.protocol
                    && let Some(calls) = web.calls()
                {
                    calls.read(call, &mut self.history, if has_room { CALL_OUT_BYTES } else { 0 }, &around);
                }
                connection.output.wants_room |= !has_room;
                self.take_asked(&mut connection);
                connection.list(&mut self.listed);
                self.connections.put(connection);
            }
            if began.elapsed() >= CALL_READS_TURN {
                break;
            }
        }
        let has_more = !self.calls.reads.is_empty();
        if !later.is_empty() {
            // That core wakes this one: it is told that somebody waits here.
            self.calls.waits_at = Some(frontier);
            self.calls.reads.extend(later);
        }
        has_more
    }

    /// Looks at the calls of a connection after users were changed: those whose users may not have them any more end.
    pub(super) fn look_at_calls(&mut self, connection: &mut Connection) {
        let ProtocolState::Web(web) = &mut connection.protocol else { return };
        let Some(calls) = web.calls() else { return };
        let (users, _) = self.server.users.table();
        for (call, subscriber, interest_user) in calls.users() {
            let Some(user) = users.newest(&interest_user) else {
                calls.end(call, access_denied());
                continue;
            };
            if Arc::ptr_eq(user, &interest_user) {
                continue;
            }
            calls.set_user(call, user.clone());
            if calls.group_interest(call).is_some_and(|interest| !may_read_group(&self.server, user, &interest)) {
                calls.end(call, access_denied());
            }
            if let Some(subscriber) = subscriber
                && !self.live.hub.may_keep(subscriber, |interest| may_subscribe(user, interest))
            {
                calls.end(call, access_denied());
            }
        }
        connection.list(&mut self.listed);
    }
}

/// Who calls without credentials of their own are from; nobody where the connection would have to log in.
fn user_of(connection: &Connection) -> Option<Arc<User>> {
    connection.session.authenticated.then(|| connection.session.user().clone())
}

/// What the calls of a connection know of where they run.
fn around<'a>(
    server: &'a Server,
    connection: &Connection,
    user: Option<&'a Arc<User>>,
    (now_ms, steady_ms): (u64, u64),
    work: &CallWork,
) -> Surroundings<'a> {
    let takes_credentials = server.config.grpc_plain_credentials || matches!(connection.transport, Transport::Tls(_));
    let Session { client, peer, local, .. } = connection.session;
    let unzip_left = work.unzip_left.clone();
    Surroundings { server, client, user, takes_credentials, peer, local, now_ms, steady_ms, unzip_left }
}

/// How long the output may become that frames are appended to, in bytes.
fn web_room(connection: &Connection) -> usize {
    let (unsent, ready) = (connection.output.unsent_bytes(), connection.output.ready_bytes());
    ready + WEB_OUTPUT_BYTES.saturating_sub(unsent)
}
