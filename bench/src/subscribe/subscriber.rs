//! The subscribing connections, on one thread, with the writer of stamped values among them.

use super::filter::SubscribeCommands;
use super::options::{Filter, Kind, SubscribeOptions, Writer};
use super::push::{Message, Pieces};
use super::stamped_writes::{self, StampedWrites};
use super::tally::Subscriptions;
use crate::client::{self, SILENCE_NS_MAX};
use crate::commands::push_command;
use crate::delivery::Delivery;
use crate::error::BenchError;
use crate::latency::Latencies;
use crate::options::Wait;
use crate::scan::ScanError;
use crate::schedule::Schedule;
use keytide_net::net_ring::{ConnectionId, NetEvent, NetOps, NetRing};
use std::time::{Duration, Instant};

/// The approximate most bytes that a connection receives at once.
const BURST_BYTES: usize = 64 << 10;

/// A sleeping thread checks the clock, and the other threads, at least this often, in nanoseconds.
const CLOCK_CHECK_NS: u64 = 10_000_000;

/// The measurements over all passes.
#[derive(Debug, Default)]
pub struct Measured {
    /// The received messages.
    pub delivery: Delivery,
    /// The times from a write's due time to its push.
    pub latencies: Latencies,
    /// The times of the first and the last event, in nanoseconds since the start.
    pub pushed_ns: Option<(u64, u64)>,
}

struct SubscriberConnection {
    id: ConnectionId,
    pieces: Pieces,
    subscriptions: Subscriptions,
    /// The number of replies to come; the first one is HELLO's.
    unanswered: usize,
    has_greeted: bool,
    /// `None` while the kernel has it.
    buffer: Option<Vec<u8>>,
}

/// Everything but the ring, which passes events to it.
struct SubscriberDriver<'a> {
    options: &'a SubscribeOptions,
    commands: &'a SubscribeCommands,
    measured: &'a mut Measured,
    /// The stamps' writer is the last one.
    connections: Vec<SubscriberConnection>,
    origin: Instant,
    /// The number of subscriptions requested.
    asked: usize,
    last_receipt_ns: u64,
    /// Writes due before this are not measured, in nanoseconds since the start.
    warmup_ns: u64,
    stamps: Option<StampedWrites>,
    adding: Option<Schedule>,
    /// Times count from the start.
    is_started: bool,
    failure: Option<BenchError>,
}

/// The subscribers of one pass.
pub struct Subscribers<'a> {
    ring: NetRing,
    driver: SubscriberDriver<'a>,
}

impl<'a> Subscribers<'a> {
    /// Connects them.
    ///
    /// # Errors
    /// If there is no ring or no server.
    pub fn connect(
        options: &'a SubscribeOptions,
        commands: &'a SubscribeCommands,
        measured: &'a mut Measured,
        seed: u64,
    ) -> Result<Subscribers<'a>, BenchError> {
        // From the previous pass.
        measured.delivery.live = 0;
        let stamps = (options.writer == Writer::Stamps).then(|| StampedWrites::new(options, seed)).transpose()?;
        let count = options.connections + usize::from(stamps.is_some());
        let (ring, ids) = client::connect(&options.run.addr, count, BURST_BYTES)?;
        let connection = |id| SubscriberConnection {
            id,
            pieces: Pieces::default(),
            subscriptions: Subscriptions::default(),
            unanswered: 0,
            has_greeted: false,
            buffer: Some(Vec::new()),
        };
        let driver = SubscriberDriver {
            options,
            commands,
            measured,
            connections: ids.into_iter().map(connection).collect(),
            origin: Instant::now(),
            asked: 0,
            last_receipt_ns: 0,
            warmup_ns: (options.warmup_seconds * 1e9) as u64,
            stamps,
            adding: None,
            is_started: false,
            failure: None,
        };
        Ok(Subscribers { ring, driver })
    }

    /// Requests all subscriptions.
    pub fn subscribe(&mut self) {
        let Subscribers { ring, driver } = self;
        let (count, subscriptions) = (driver.options.connections, driver.options.subscriptions);
        for index in 0..count {
            let mut out = driver.connections[index].buffer.take().unwrap_or_default();
            out.clear();
            push_command(&mut out, &[b"HELLO", b"3"]);
            let numbers = (index..subscriptions).step_by(count);
            driver.connections[index].unanswered = 1 + numbers.len();
            numbers.for_each(|number| driver.commands.push(number, &mut out));
            driver.send(ring.ops(), index, out);
        }
        driver.asked = subscriptions;
    }

    /// Runs until all subscriptions are answered and, those of a Keytide, live.
    ///
    /// # Errors
    /// Anything that ends a run early.
    pub fn until_live(&mut self) -> Result<(), BenchError> {
        self.run(|driver, now| {
            let delivery = &driver.measured.delivery;
            let is_answered = driver.connections.iter().all(|connection| connection.unanswered == 0);
            // Once each: a filter that the server then finds too expensive falls behind again.
            let is_live =
                driver.options.kind != Kind::Keytide || delivery.caught_up + delivery.dropped() >= delivery.accepted;
            if let (true, 0, Some(refusal)) = (is_answered, delivery.accepted, &delivery.first_refusal) {
                return Err(ScanError::ErrorReply(refusal.clone()).into());
            }
            if is_answered && is_live {
                return Ok(true);
            }
            driver.silence(now).map(|()| false)
        })
    }

    /// Times count from this start; from now on, writes and additions are made when they are due.
    pub fn start(&mut self, origin: Instant) {
        let driver = &mut self.driver;
        driver.origin = origin;
        driver.is_started = true;
        driver.last_receipt_ns = 0;
        driver.adding = driver.options.add_rate.map(|rate| Schedule::new(rate, 0, 1));
    }

    /// Runs until `is_over` returns true; it is called once a turn, with the nanoseconds since the start.
    ///
    /// # Errors
    /// Anything that ends a run early.
    pub fn until(
        &mut self,
        mut is_over: impl FnMut(u64, &Measured) -> Result<bool, BenchError>,
    ) -> Result<(), BenchError> {
        self.run(|driver, now| is_over(now, driver.measured))
    }

    /// Runs until every stamped write was answered and pushed to every subscription, or no push arrived for too long.
    /// Returns the number of missing pushes.
    ///
    /// # Errors
    /// Anything that ends a run early.
    pub fn until_pushed(
        &mut self,
        patience_ns: u64,
        mut tick: impl FnMut(u64, &Measured) -> Result<(), BenchError>,
    ) -> Result<u64, BenchError> {
        let mut missing = 0;
        self.run(|driver, now| {
            tick(now, driver.measured)?;
            let Some(stamps) = &driver.stamps else { return Ok(true) };
            let copies = driver.measured.delivery.accepted;
            let writer = driver.connections.last().map_or(0, |connection| connection.unanswered);
            missing = (stamps.count_from(driver.warmup_ns) * copies).saturating_sub(driver.measured.latencies.count());
            let is_whole =
                stamps.is_over() && writer == 0 && driver.measured.delivery.events >= stamps.count() * copies;
            Ok(is_whole || (stamps.is_over() && now > driver.last_receipt_ns.saturating_add(patience_ns)))
        })?;
        Ok(missing)
    }

    fn run(
        &mut self,
        mut is_over: impl FnMut(&mut SubscriberDriver<'a>, u64) -> Result<bool, BenchError>,
    ) -> Result<(), BenchError> {
        let Subscribers { ring, driver } = self;
        let default = if driver.stamps.is_some() { Wait::Spin } else { Wait::Sleep };
        let wait = driver.options.run.wait.unwrap_or(default);
        loop {
            let handled = ring.poll(&mut |ops, event| driver.handle(ops, event)).map_err(BenchError::RingFailed)?;
            if let Some(failure) = driver.failure.take() {
                return Err(failure);
            }
            let now = driver.now();
            driver.send_due(ring.ops(), now);
            if is_over(driver, now)? {
                return Ok(());
            }
            if handled == 0 && wait == Wait::Sleep {
                let timeout = Duration::from_nanos(driver.sleep_ns(now));
                ring.park(Some(timeout), || true).map_err(BenchError::RingFailed)?;
            }
        }
    }
}

impl SubscriberDriver<'_> {
    #[inline]
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn silence(&self, now: u64) -> Result<(), BenchError> {
        if now > self.last_receipt_ns.saturating_add(SILENCE_NS_MAX) {
            return Err(BenchError::Silent { seconds: SILENCE_NS_MAX / 1_000_000_000 });
        }
        Ok(())
    }

    fn sleep_ns(&self, now: u64) -> u64 {
        let stamp = self.stamps.as_ref().filter(|stamps| !stamps.is_over()).map(StampedWrites::next_ns);
        let addition = self.adding.map(|schedule| schedule.due_ns(self.measured.delivery.added));
        let next = stamp.into_iter().chain(addition).min().unwrap_or(u64::MAX);
        next.saturating_sub(now).min(CLOCK_CHECK_NS)
    }

    #[inline]
    fn handle(&mut self, ops: &mut NetOps, event: NetEvent<'_>) {
        match event {
            NetEvent::Received { connection, bytes } => {
                if let Err(error) = self.received(connection.index() as usize, bytes) {
                    self.failure.get_or_insert(error);
                }
            }
            NetEvent::Sent { connection, buffer, result } => {
                if let Err(error) = result {
                    self.failure.get_or_insert(BenchError::Gone(error.to_string()));
                }
                self.connections[connection.index() as usize].buffer = buffer.into_vec();
                let now = self.now();
                self.send_due(ops, now);
            }
            NetEvent::Ended { reason, .. } => {
                self.failure.get_or_insert(client::gone(&reason));
            }
            // The load closes no connections and does not listen.
            NetEvent::Accepted { .. } | NetEvent::Announced(_) | NetEvent::Closed { .. } => {}
        }
    }

    #[inline]
    fn received(&mut self, index: usize, bytes: &[u8]) -> Result<(), BenchError> {
        let now = self.now();
        self.last_receipt_ns = now;
        let Measured { delivery, latencies, pushed_ns } = &mut *self.measured;
        let events = delivery.events;
        let is_stamped = self.stamps.is_some();
        let (filter, warmup_ns) = (self.options.filter, self.warmup_ns);
        let connection = &mut self.connections[index];
        let SubscriberConnection { pieces, subscriptions, unanswered, has_greeted, .. } = connection;
        let is_writer = index == self.options.connections;
        let mut failure = None;
        pieces.feed(bytes, |message| match message {
            Message::Event { data, .. } | Message::Published(data) => {
                if !delivery.count(subscriptions, message, filter == Filter::All) {
                    failure = Some(BenchError::Unasked);
                }
                if is_stamped && let Some(due) = stamped_writes::due_ns(data).filter(|due| *due >= warmup_ns) {
                    latencies.record(now.saturating_sub(due), 1);
                }
            }
            Message::CaughtUp(_)
            | Message::FellBehind(_)
            | Message::Checkpoint(_)
            | Message::Gap(..)
            | Message::Dropped(..) => {
                if !delivery.count(subscriptions, message, false) {
                    failure = Some(BenchError::Unasked);
                }
            }
            Message::Confirmed | Message::Integer(_) | Message::Error(_) | Message::Reply => {
                let Some(left) = unanswered.checked_sub(1) else {
                    failure = Some(BenchError::Unasked);
                    return;
                };
                *unanswered = left;
                let is_of_subscription = !is_writer && std::mem::replace(has_greeted, true);
                match message {
                    Message::Error(text) => {
                        let text = String::from_utf8_lossy(text).into_owned();
                        if is_of_subscription && matches!(filter, Filter::Regex | Filter::Hostile) {
                            delivery.refused += 1;
                            delivery.first_refusal.get_or_insert(text);
                        } else {
                            failure = Some(ScanError::ErrorReply(text).into());
                        }
                    }
                    other if is_of_subscription => match delivery.count_accepted(subscriptions, other) {
                        true => {}
                        false => failure = Some(unexpected(&other)),
                    },
                    // HELLO's, or a write's.
                    _ => {}
                }
            }
        })?;
        if delivery.events > events {
            *pushed_ns = Some((pushed_ns.map_or(now, |(first, _)| first), now));
        }
        failure.map_or(Ok(()), Err)
    }

    /// Sends the due stamped writes, and requests the due subscriptions.
    fn send_due(&mut self, ops: &mut NetOps, now: u64) {
        if !self.is_started {
            return;
        }
        self.send_stamps(ops, now);
        let Some(schedule) = self.adding else { return };
        let due = schedule.due_count(now).saturating_sub(self.measured.delivery.added);
        for _ in 0..due {
            let index = self.asked % self.options.connections;
            let Some(mut out) = self.connections[index].buffer.take() else { return };
            out.clear();
            self.commands.push(self.asked, &mut out);
            self.connections[index].unanswered += 1;
            self.asked += 1;
            self.measured.delivery.added += 1;
            self.send(ops, index, out);
        }
    }

    fn send_stamps(&mut self, ops: &mut NetOps, now: u64) {
        let index = self.options.connections;
        let Some(stamps) = &mut self.stamps else { return };
        if stamps.is_over() || stamps.next_ns() > now {
            return;
        }
        let Some(mut out) = self.connections[index].buffer.take() else { return };
        out.clear();
        self.connections[index].unanswered += stamps.push_due(now, &mut out) as usize;
        self.send(ops, index, out);
    }

    fn send(&mut self, ops: &mut NetOps, index: usize, buffer: Vec<u8>) {
        if ops.send(self.connections[index].id, buffer).is_err() {
            self.failure.get_or_insert(BenchError::Gone("nothing more can be sent".to_owned()));
        }
    }
}

fn unexpected(message: &Message<'_>) -> BenchError {
    BenchError::Unexpected { command: "a subscription", reply: format!("{message:?}") }
}
