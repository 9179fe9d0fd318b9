//! One core's turn, its steps in order:
//!
//! ```text
//!   net ring ─► commands of this core's clients ┐
//!   lanes ────► commands from other cores ──────┤─► commit ─► lend ─► history, groups ─► replies leave, lanes flush
//!   TTLs ─────► expiry ─────────────────────────┘   (positions, publication)       ▲
//!                                                     └► fan-out ─► subscriptions ─┘
//! ```
//!
//! and at last, where one is being taken, a slice of a snapshot.
//!
//! Everything that was ready is executed, then committed together, and only then does anything leave: so no client
//! reads a reply, and no other core a batch, that reveals a write which is not published.

mod admission;
mod budget;
mod call_timers;
mod calls;
mod changes;
mod channels;
mod clients_limit;
mod databases;
mod deferred;
mod dispatch;
mod figures;
mod group_readers;
mod hold;
mod inbox;
mod key_waits;
mod keyspace_events;
mod lanes;
mod large;
mod monitor;
mod net_events;
mod output;
mod pace;
mod pause;
mod reclaim;
mod records;
mod resp;
mod rights;
mod run;
mod runner;
mod scripts;
mod silence;
mod slow;
mod snapshot;
mod subscriptions;
mod tracking;
mod transaction;
mod unread;
mod waits;
mod write_admission;

pub use run::{CoreError, run};

use crate::channels::Channels;
use crate::channels::messages::Messages;
use crate::connection::Connections;
use crate::delivery::Delivery;
use crate::groups::Groups;
use crate::limits::TURN_EVENTS;
use crate::mesh::message::{Batch, ReplyForm, ReplyTo, Request};
use crate::mesh::{LaneReceiver, Outbound};
use crate::net_ring::{ConnectionId, NetEvent, NetOps, NetRing};
use crate::paced::Paced;
use crate::reading_time::ReadingTime;
use crate::resp::Lookahead;
use crate::scripting::Scripts;
use crate::server::Server;
use crate::strangers::Strangers;
use crate::unread::CoreOutput;
use crate::weight::ByWeight;
use budget::Budget;
use calls::CallWork;
use changes::ChangesOfChannels;
use deferred::DeferredCommands;
use figures::Figures;
use group_readers::GroupReaders;
use hold::Lending;
use inbox::Inbound;
use keytide_engine::fanout::Fanout;
use keytide_engine::history::History;
use keytide_engine::position::{Position, ShardId};
use keytide_engine::shard::Shard;
use keytide_engine::slot::shard_of;
use keytide_engine::stream_acl::SETTINGS;
use keytide_engine::subscription::Hub;
use lanes::Lanes;
use pace::Paces;
use pause::Paused;
use reclaim::Reclaim;
use records::Records;
use run::Stopping;
use snapshot::Snapshots;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use subscriptions::Live;
use tracking::KnownPrefixes;
use unread::Unread;

/// One core: its shard, its connections, its lanes. One per core, never anywhere else.
pub struct Core {
    id: ShardId,
    server: Arc<Server>,
    /// This core's shard; none while it is lent to a core that coordinates a change over several.
    shard: Option<Box<Shard>>,
    connections: Connections,
    history: History,
    groups: Groups,
    /// The snapshots of its shard.
    snapshots: Snapshots,
    /// The subscriptions of this core's clients, and what keeps them up to date.
    live: Live,
    /// The commands of one connection that are parsed together: memory that serves again.
    ahead: Lookahead,
    /// The lanes to and from the other cores.
    lanes: Lanes,
    /// The loans of shards, and the change over several shards that this core coordinates.
    lending: Lending,
    /// What the turn may still take.
    budget: Budget,
    /// The output that this core's clients leave unread.
    unread: Unread,
    /// Memory that was freed and may be given back.
    reclaim: Reclaim,
    /// Connections that have input left, in the order in which they go on.
    left: ByWeight<ConnectionId>,
    /// Connections to settle before the turn ends: they have replies, or may go on.
    listed: Vec<ConnectionId>,
    /// This core's part of commands that ask every core.
    own_requests: Vec<Request>,
    /// Commands that read the history, or a consumer group, and run after the commit; and those that wait.
    deferred: DeferredCommands,
    /// What calls of gRPC wait for on this core.
    calls: CallWork,
    /// Publish/subscribe.
    channels: Channels,
    /// The prefixes of keys of clients that want all changes of these.
    prefixes: KnownPrefixes,
    /// The connections that wait for the end of a pause.
    paused: Paused,
    /// Whether every command is timed.
    times_all: bool,
    /// Scripts.
    scripts: RefCell<Scripts>,
    /// Whether so many keyspace notifications wait to be delivered that commands which cause some have to wait.
    is_telling_much: bool,
    /// Published messages that are still to be given to this core's subscribers.
    published: Messages,
    /// What calls ask of this core's consumer groups, and the calls that read these.
    group_readers: GroupReaders,
    /// Clients that have not given the password.
    strangers: Strangers,
    rejection_told: Paced,
    /// The commands that users may run in a second.
    paces: Paces,
    pace_told: Paced,
    /// The version of the bounds of compact collections that the shard has.
    thresholds_version: u64,
    /// When the clients' memory was last told to the limit, steady milliseconds.
    shared_memory_ms: u64,
    /// When another client may be closed for what all take, steady milliseconds.
    clients_wait_ms: u64,
    /// The version of the table of users that all clients were looked at by.
    users_version: u64,
    /// Clients that have logged in as others since.
    renewed: Vec<ConnectionId>,
    /// The turn's time, Unix milliseconds.
    now_ms: u64,
    /// The same on the clock for durations.
    steady_ms: u64,
    /// The TLS of connections.
    records: Records,
    figures: Figures,
    stopping: Stopping,
    /// Whether this core's clients were disconnected because a log has failed.
    has_met_failure: bool,
}

/// What a turn leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTurn {
    /// There is more to do at once.
    Again,
    /// There was something to do, and now there is none.
    Worked,
    /// There was nothing to do.
    Idle,
}

impl Core {
    /// A core with its shard, its groups and its lanes.
    pub fn new(
        server: Arc<Server>,
        shard: Box<Shard>,
        mut groups: Groups,
        outbound: Vec<Option<Outbound>>,
        inbound: Vec<(ShardId, LaneReceiver<Batch>)>,
    ) -> Core {
        let id = shard.id();
        let mut shard = shard;
        shard.set_pool(server.pool.clone());
        groups.table.set_account(server.accounts.groups.clone());
        let (users, _) = server.users.table();
        groups.table.set_owners(|name| users.get(name).map(|user| user.usage().groups.clone()));
        Core {
            id,
            snapshots: Snapshots::new(&shard),
            shard: Some(shard),
            connections: Connections::default(),
            history: History::new(server.sequencer.clone(), &server.histories).with_older(&server.older),
            groups,
            live: Live {
                hub: Hub::new(&server.rings(), server.config.subscriptions)
                    .with_account(server.accounts.subscriptions.clone()),
                fanout: Fanout::new(id, server.shards()),
                channels: ChangesOfChannels::default(),
                delivery: Delivery::new(server.config.push_buffer_bytes),
                reading_time: ReadingTime::default(),
                deliver_from: Instant::now(),
                tried_frontier: Position(0),
            },
            ahead: Lookahead::default(),
            lanes: Lanes::new(outbound, inbound),
            lending: Lending::default(),
            budget: Budget::new(),
            unread: Unread {
                output: CoreOutput::new(server.client_output_bytes()),
                watched: Vec::new(),
                watch_at: Instant::now(),
            },
            reclaim: Reclaim::new(),
            left: ByWeight::default(),
            listed: Vec::new(),
            own_requests: Vec::new(),
            deferred: DeferredCommands::default(),
            calls: CallWork::default(),
            channels: Channels::new(id),
            prefixes: KnownPrefixes::default(),
            paused: Paused::default(),
            times_all: false,
            scripts: RefCell::default(),
            is_telling_much: false,
            published: Messages::default(),
            group_readers: GroupReaders::default(),
            strangers: Strangers::default(),
            rejection_told: Paced::default(),
            paces: Paces::new(server.shards()),
            pace_told: Paced::default(),
            thresholds_version: 0,
            shared_memory_ms: 0,
            clients_wait_ms: 0,
            users_version: server.users.version(),
            renewed: Vec::new(),
            now_ms: 0,
            steady_ms: 0,
            records: Records::default(),
            figures: Figures::default(),
            stopping: Stopping::default(),
            has_met_failure: false,
            server,
        }
    }

    /// One turn. Returns what is to be done next.
    ///
    /// # Errors
    /// When the net ring is unusable.
    pub fn turn(&mut self, net: &mut NetRing) -> io::Result<AfterTurn> {
        self.now_ms = keytide_engine::clock::unix_millis();
        if let Some(shard) = &mut self.shard {
            shard.set_now_ms(self.now_ms);
            if self.thresholds_version != self.server.thresholds.version() {
                self.thresholds_version = self.server.thresholds.version();
                shard.set_thresholds(self.server.thresholds.get());
            }
            if shard.is_watched() && self.server.accounts.watchers.used() == 0 {
                shard.end_watches();
            }
        }
        self.note_changes();
        let publishes = self.server.keyspace_events.get().publishes() || self.channels.has_monitors();
        self.is_telling_much = publishes && self.publishes_too_much();
        let started = Instant::now();
        self.steady_ms = keytide_engine::clock::steady_millis_at(started);
        self.budget.begin_turn(started);
        self.calls.begin_turn();
        self.paces.begin_turn(self.server.users.limits.commands.max(), self.steady_ms);
        self.live.delivery.now_ms = self.now_ms;
        let mut is_first = true;
        let mut on_event = |ops: &mut NetOps, event: NetEvent<'_>| {
            if std::mem::take(&mut is_first) {
                // The kernel has sent what the turn before had: for hundreds of subscribers that takes longer than the time of
                // a part, of which then only one command would run before all of them are sent to again.
                self.budget.begin_time(Instant::now());
            }
            self.on_event(ops, event);
        };
        let mut work = net.poll_while(&mut on_event, || started.elapsed() < TURN_EVENTS)? > 0;
        let mut again = self.run_handshakes(net.ops());
        work |= self.take_messages();
        self.look_at_pause();
        work |= self.run_left();
        self.serve_ready();
        work |= self.run_jobs();
        self.run_call_timers();
        self.look_at_rights();
        self.end_slow_strangers(started);
        again |= self.expire();
        again |= self.evict();
        work |= self.commit();
        again |= self.lend_and_hold();
        // After all that commits, before anything leaves.
        self.meet_log_failure(net.ops());
        work |= again;
        // Before any reply leaves: a client that has one and asks for the figures finds its command in them.
        if work {
            self.figures.turns += 1;
            self.publish_figures(net.ops());
        }
        again |= self.run_deferred();
        again |= self.serve_groups();
        again |= self.run_reads();
        again |= self.fan_out();
        again |= self.deliver_published();
        again |= self.serve_channels_of_changes();
        // Before subscriptions that wait for publications read on: what is published later is news.
        if !self.live.hub.is_idle() {
            self.live.tried_frontier = self.history.frontier();
        }
        again |= self.serve_subscriptions(started, work);
        self.server.set_waits(self.id, self.waits_for_publication());
        self.warn_of_retention();
        self.drop_subscriptions();
        self.publish_subscription_figures();
        self.end_calls();
        again |= self.send_all(net.ops());
        again |= self.calls.take_goes_on();
        self.adapt_output_level(net.ops(), started);
        let has_left = !self.left.is_empty() || self.has_waiting() || self.calls.has_jobs() && self.shard.is_some();
        self.figures.cut_turns += u64::from(work && has_left);
        again |= has_left || net.has_left() || !self.own_requests.is_empty() || !self.listed.is_empty();
        again |= self.reclaim.free_some();
        if let Some(shard) = &mut self.shard {
            again |= shard.free_some();
            self.reclaim.note_freed(shard.take_freed_bytes() as usize);
        }
        let takes_snapshot = self.take_snapshot(net, started, work)?;
        again |= takes_snapshot;
        if work || takes_snapshot {
            self.server.note_turn(started.elapsed());
        }
        let Live { hub, fanout, .. } = &self.live;
        let held_bytes = self.unread.output.bytes() + hub.memory_bytes() + fanout.memory_bytes();
        if self.reclaim.is_due(started, work, held_bytes) {
            self.server.give_memory_back();
        }
        Ok(match (again, work) {
            (true, _) => AfterTurn::Again,
            (false, true) => AfterTurn::Worked,
            (false, false) => AfterTurn::Idle,
        })
    }

    /// Removes keys whose TTL is over.
    fn expire(&mut self) -> bool {
        if self.pause_ends_ms().is_some() {
            return false;
        }
        let Some(shard) = &mut self.shard else { return false };
        let is_due = shard.next_expiry_ms().is_some_and(|at_ms| at_ms <= self.now_ms);
        // What ends is recorded, and that takes space.
        if !is_due || shard.check_log().is_err() {
            return false;
        }
        shard.expire_due();
        true
    }

    /// Removes keys that the limit of memory has no room for, a slice in each turn.
    fn evict(&mut self) -> bool {
        let again = self.limit_clients();
        if self.shared_memory_ms != self.steady_ms && self.server.pool.limit() > 0 {
            self.shared_memory_ms = self.steady_ms;
            self.server.share_memory(self.id);
        }
        let Some(shard) = self.shard.as_mut().filter(|_| self.server.pause.get(self.steady_ms).is_none()) else {
            return again;
        };
        // As with what expires.
        shard.check_log().is_ok() && shard.evict_some() || again
    }

    /// Publishes what the turn has recorded, and wakes cores whose readers wait for it, or for what the turn has
    /// published before because there was so much.
    fn commit(&mut self) -> bool {
        let Some(shard) = &mut self.shard else { return false };
        let published = shard.commit();
        if published {
            note_settings(&self.server, shard);
            self.server.wake_waiting(self.id);
        }
        self.tell_readers();
        published
    }

    /// Delivers a reply, or a part of one, to where it belongs, on this core or on another.
    fn deliver(&mut self, core: ShardId, to: ReplyTo, form: ReplyForm, bytes: &[u8]) {
        if core != self.id {
            // Not counted: what answers later has its connection to itself.
            self.lanes.to(core).reply(to, form, |out| out.extend_from_slice(bytes));
            return;
        }
        if let Some(connection) = self.connections.get(to.connection) {
            connection.deliver(to.number, to.part, bytes);
            connection.list(&mut self.listed);
        }
    }

    /// In how long there will be something to do although nothing comes in, milliseconds. A TTL ends by the wall clock,
    /// everything else after a while.
    fn next_timer_in_ms(&self) -> Option<u64> {
        let expiry =
            self.shard.as_ref().filter(|shard| !shard.turn().is_full()).and_then(|shard| shard.next_expiry_ms());
        let expiry_in = expiry.map(|at_ms| at_ms.saturating_sub(keytide_engine::clock::unix_millis()));
        let snapshot = self.snapshots.next_timer_ms(self.steady_ms);
        let (deferred, groups) = (self.deferred.next_due_ms(), self.group_readers.next_due_ms());
        let pause = self.pause_ends_ms();
        let expiry_in = expiry_in.filter(|_| pause.is_none());
        let timer = [deferred, groups, snapshot, self.stopping.at_ms, self.calls.due.at_ms(), pause];
        let timer = timer.into_iter().flatten().min();
        let timer_in = timer.map(|at_ms| at_ms.saturating_sub(keytide_engine::clock::steady_millis()));
        expiry_in.into_iter().chain(timer_in).min()
    }

    /// Whether another core has published something for this one, or the server is to stop: what is looked at once
    /// more before this core sleeps.
    fn is_idle(&self) -> bool {
        self.lanes.inbound.iter().all(Inbound::is_empty)
            && self.server.users.version() == self.users_version
            && !self.has_new_pause()
            && (!self.live.hub.waits_for_publication() || self.history.frontier() == self.live.tried_frontier)
            && self.calls.waits_at.is_none_or(|tried| self.history.frontier() == tried)
            && (self.shard.is_none() || self.snapshots.is_idle(&self.server))
            && !(self.server.is_stopping() && (self.stopping.at_ms.is_none() || self.server.all_are_through()))
    }
}

/// Tells all cores of the rights that streams have by default, where this shard's turn may have changed them.
fn note_settings(server: &Server, shard: &mut Shard) {
    if let Some(acls) = shard.take_changed_settings()
        && shard.id() == shard_of(SETTINGS, server.shards())
    {
        server.default_acls.set(acls);
    }
}
