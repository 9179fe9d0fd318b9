//! One thread of the load: its turns, from received replies to sent commands.
//!
//! A turn handles everything that has arrived and sends the commands that follow, all with one system call. Times:
//!
//! - a command's latency ends when the thread processes the piece of the stream in which its reply ends;
//! - in the closed loop it begins when the command is queued for the turn's system call, so it includes the rest of the
//!   turn before that call;
//! - in the open loop it begins when the command was due, whether it could be sent then or not.

use super::in_flight::InFlight;
use crate::client::{self, SILENCE_NS_MAX};
use crate::commands::{Commands, Verdict};
use crate::error::BenchError;
use crate::keys::KeySequence;
use crate::latency::Latencies;
use crate::options::Wait;
use crate::scan::{Reply, Scanner};
use crate::schedule::Schedule;
use keytide_net::net_ring::{ConnectionId, NetEvent, NetOps, NetRing};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long the open loop usually waits for replies after its last command was due, in nanoseconds. Commands unanswered
/// by then count with their age.
pub const DRAIN_NS: u64 = 10_000_000_000;

/// A sleeping thread reads the clock at least this often, in nanoseconds.
const CLOCK_CHECK_NS: u64 = 50_000_000;

/// When commands are sent.
#[derive(Clone, Debug)]
pub enum Pace {
    /// The next ones when all commands of a connection are answered, until this many nanoseconds have been measured.
    ClosedFor(u64),
    /// The same, until this many commands have been measured.
    ClosedCount(u64),
    /// Each at its due time, this many including the warm-up.
    Open(Schedule, u64),
}

/// The work of one worker.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server's address.
    pub addr: String,
    /// The number of its connections.
    pub connections: usize,
    /// The most commands in flight on each.
    pub pipeline: u32,
    /// When commands are sent.
    pub pace: Pace,
    /// How it waits for replies.
    pub wait: Wait,
    /// Commands sent, or due, before this are not measured. Nanoseconds from the start.
    pub warmup_ns: u64,
    /// The commands.
    pub commands: Commands,
    /// The keys.
    pub keys: KeySequence,
    /// All keys have been written: a nil reply is an error.
    pub is_filled: bool,
    /// How long the open loop waits for replies after its last command was due.
    pub drain_ns: u64,
}

/// The measurements of a worker.
#[derive(Clone, Debug)]
pub struct WorkerOutcome {
    /// The latency of every measured command.
    pub latencies: Latencies,
    /// The number of nil replies.
    pub absent: u64,
    /// Commands of the open loop that were still unanswered at the end; they are in `latencies` with their age.
    pub unanswered: u64,
    /// When the last reply arrived, in nanoseconds from the start.
    pub last_reply_ns: u64,
}

struct LoadConnection {
    id: ConnectionId,
    scanner: Scanner,
    in_flight: InFlight,
    /// `None` while the kernel has it.
    buffer: Option<Vec<u8>>,
    /// It is in `LoadDriver::ready`.
    is_ready: bool,
}

/// Everything but the ring, which passes events to it.
struct LoadDriver {
    plan: Plan,
    connections: Vec<LoadConnection>,
    origin: Instant,
    outcome: WorkerOutcome,
    in_flight: u64,
    /// Since when the worker has been waiting for a reply, in nanoseconds from the start.
    silent_from_ns: u64,
    /// Closed loop by count: measured commands not sent yet.
    left: u64,
    /// Open loop: commands sent.
    issued: u64,
    /// Open loop: connections with room for a command, the longest-waiting first.
    ready: VecDeque<u32>,
    failure: Option<BenchError>,
}

/// A thread's worker. It stays on the thread that connects it.
pub struct Worker {
    ring: NetRing,
    driver: LoadDriver,
}

impl Worker {
    /// Connects to the server.
    ///
    /// # Errors
    /// If there is no ring or no server.
    pub fn connect(plan: Plan) -> Result<Worker, BenchError> {
        let burst_bytes = plan.commands.reply_bytes().saturating_mul(plan.pipeline as usize);
        let (ring, ids) = client::connect(&plan.addr, plan.connections, burst_bytes)?;
        let connection = |id| LoadConnection {
            id,
            scanner: Scanner::default(),
            in_flight: InFlight::default(),
            buffer: Some(Vec::new()),
            is_ready: false,
        };
        let left = if let Pace::ClosedCount(count) = plan.pace { count } else { u64::MAX };
        let outcome = WorkerOutcome { latencies: Latencies::default(), absent: 0, unanswered: 0, last_reply_ns: 0 };
        let driver = LoadDriver {
            plan,
            connections: ids.into_iter().map(connection).collect(),
            origin: Instant::now(),
            outcome,
            in_flight: 0,
            silent_from_ns: 0,
            left,
            issued: 0,
            ready: VecDeque::new(),
            failure: None,
        };
        Ok(Worker { ring, driver })
    }

    /// Runs to the end. `origin` is the start, the same for all threads; `tick` is called once a turn.
    ///
    /// # Errors
    /// An error reply, one of the wrong type, a closed connection, or silence.
    pub fn run(&mut self, origin: Instant, mut tick: impl FnMut(u64, &Latencies)) -> Result<WorkerOutcome, BenchError> {
        let Worker { ring, driver } = self;
        driver.origin = origin;
        driver.begin(ring.ops());
        loop {
            let handled = ring.poll(&mut |ops, event| driver.handle(ops, event)).map_err(BenchError::RingFailed)?;
            if let Some(failure) = driver.failure.take() {
                return Err(failure);
            }
            let now = driver.now();
            driver.send_due(ring.ops(), now);
            if driver.is_over(now) {
                driver.abandon(now);
                return Ok(driver.outcome.clone());
            }
            if driver.in_flight > 0 && now > driver.silent_from_ns.saturating_add(SILENCE_NS_MAX) {
                return Err(BenchError::Silent { seconds: SILENCE_NS_MAX / 1_000_000_000 });
            }
            tick(now, &driver.outcome.latencies);
            if handled == 0 && driver.plan.wait == Wait::Sleep {
                let timeout = Duration::from_nanos(driver.sleep_ns(now));
                ring.park(Some(timeout), || true).map_err(BenchError::RingFailed)?;
            }
        }
    }
}

impl LoadDriver {
    #[inline]
    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }

    fn begin(&mut self, ops: &mut NetOps) {
        let now = self.now();
        for index in 0..self.connections.len() {
            self.proceed(ops, index, now);
        }
    }

    #[inline]
    fn handle(&mut self, ops: &mut NetOps, event: NetEvent<'_>) {
        match event {
            NetEvent::Received { connection, bytes } => self.received(ops, connection.index() as usize, bytes),
            NetEvent::Sent { connection, buffer, result } => {
                if let Err(error) = result {
                    self.failure.get_or_insert(BenchError::Gone(error.to_string()));
                }
                let index = connection.index() as usize;
                self.connections[index].buffer = buffer.into_vec();
                if matches!(self.plan.pace, Pace::Open(..)) || self.connections[index].in_flight.len() == 0 {
                    let now = self.now();
                    self.proceed(ops, index, now);
                }
            }
            NetEvent::Ended { reason, .. } => {
                self.failure.get_or_insert(client::gone(&reason));
            }
            // The load closes no connections and does not listen.
            NetEvent::Accepted { .. } | NetEvent::Announced(_) | NetEvent::Closed { .. } => {}
        }
    }

    #[inline]
    fn received(&mut self, ops: &mut NetOps, index: usize, bytes: &[u8]) {
        let now = self.now();
        let (mut replies, mut absent, mut wrong) = (0, 0, None);
        let commands = &self.plan.commands;
        let connection = &mut self.connections[index];
        let scanned = connection.scanner.feed(bytes, |reply| {
            replies += 1;
            match commands.judge(reply) {
                Verdict::Right => {}
                Verdict::Absent => absent += 1,
                Verdict::Wrong => wrong = Some(reply),
            }
        });
        if let Err(error) = scanned {
            self.failure.get_or_insert(error.into());
            return;
        }
        if absent > 0 && self.plan.is_filled {
            wrong = Some(Reply::Nil);
        }
        if let Some(reply) = wrong {
            let unexpected = BenchError::Unexpected { command: commands.name(), reply: format!("{reply:?}") };
            self.failure.get_or_insert(unexpected);
            return;
        }
        if replies == 0 {
            return;
        }
        let (from, latencies, pace) = (self.plan.warmup_ns, &mut self.outcome.latencies, &self.plan.pace);
        let were_asked = connection.in_flight.pop(replies, |part| match pace {
            Pace::ClosedFor(_) | Pace::ClosedCount(_) => {
                if part.stamp >= from {
                    latencies.record(now.saturating_sub(part.stamp), part.count.into());
                }
            }
            Pace::Open(schedule, _) => {
                for nth in part.first..part.first + part.count {
                    record_due(latencies, schedule.due_ns(part.stamp + u64::from(nth)), now, from);
                }
            }
        });
        if !were_asked {
            self.failure.get_or_insert(BenchError::Unasked);
            return;
        }
        self.in_flight -= u64::from(replies);
        self.outcome.absent += if now >= from { absent } else { 0 };
        self.outcome.last_reply_ns = now;
        self.silent_from_ns = now;
        self.proceed(ops, index, now);
    }

    /// Continues a connection after a reply or a completed send.
    #[inline]
    fn proceed(&mut self, ops: &mut NetOps, index: usize, now: u64) {
        let connection = &mut self.connections[index];
        if connection.buffer.is_none() {
            return;
        }
        let (pipeline, in_flight) = (self.plan.pipeline, connection.in_flight.len());
        let count = match self.plan.pace {
            Pace::Open(..) => {
                if !connection.is_ready && in_flight < pipeline {
                    connection.is_ready = true;
                    self.ready.push_back(index as u32);
                }
                return;
            }
            Pace::ClosedFor(_) | Pace::ClosedCount(_) if in_flight > 0 => return,
            Pace::ClosedFor(measured_ns) if now >= self.plan.warmup_ns.saturating_add(measured_ns) => return,
            Pace::ClosedFor(_) => pipeline,
            Pace::ClosedCount(_) if now < self.plan.warmup_ns => pipeline,
            Pace::ClosedCount(_) => {
                let count = u64::from(pipeline).min(self.left) as u32;
                self.left -= u64::from(count);
                count
            }
        };
        if count > 0 {
            self.send(ops, index, now, now, count);
        }
    }

    #[inline]
    fn send(&mut self, ops: &mut NetOps, index: usize, now: u64, stamp: u64, count: u32) {
        let connection = &mut self.connections[index];
        let Some(mut buffer) = connection.buffer.take() else { return };
        self.plan.commands.write(&mut buffer, count as usize, &mut self.plan.keys);
        if ops.send(connection.id, buffer).is_err() {
            self.failure.get_or_insert(BenchError::Gone("nothing more can be sent".to_owned()));
        }
        connection.in_flight.push(stamp, count);
        if self.in_flight == 0 {
            self.silent_from_ns = now;
        }
        self.in_flight += u64::from(count);
    }

    /// Open loop: distributes the due commands evenly over the connections with room. The other connections wait in
    /// line.
    #[inline]
    fn send_due(&mut self, ops: &mut NetOps, now: u64) {
        let Pace::Open(schedule, limit) = self.plan.pace else { return };
        let mut due = schedule.due_count(now).min(limit).saturating_sub(self.issued);
        while due > 0 {
            let share = due.div_ceil(self.ready.len().max(1) as u64);
            let Some(index) = self.ready.pop_front() else { return };
            let connection = &mut self.connections[index as usize];
            connection.is_ready = false;
            let room = self.plan.pipeline - connection.in_flight.len();
            let count = share.min(u64::from(room)) as u32;
            let first = self.issued;
            self.issued += u64::from(count);
            due -= u64::from(count);
            self.send(ops, index as usize, now, first, count);
        }
    }

    fn is_over(&self, now: u64) -> bool {
        match self.plan.pace {
            Pace::ClosedFor(measured_ns) => self.in_flight == 0 && now >= self.plan.warmup_ns + measured_ns,
            Pace::ClosedCount(_) => self.in_flight == 0 && self.left == 0,
            Pace::Open(schedule, limit) => {
                let is_answered = self.in_flight == 0 && self.issued == limit;
                is_answered || now > schedule.due_ns(limit).saturating_add(self.plan.drain_ns)
            }
        }
    }

    /// Counts the due commands without a reply, with their age.
    fn abandon(&mut self, now: u64) {
        let Pace::Open(schedule, limit) = self.plan.pace else { return };
        let (from, outcome) = (self.plan.warmup_ns, &mut self.outcome);
        let mut abandon = |index| {
            let due = schedule.due_ns(index);
            record_due(&mut outcome.latencies, due, now, from);
            outcome.unanswered += u64::from(due >= from);
        };
        for connection in &mut self.connections {
            let count = connection.in_flight.len();
            connection.in_flight.pop(count, |part| {
                (part.first..part.first + part.count).for_each(|nth| abandon(part.stamp + u64::from(nth)));
            });
        }
        (self.issued..limit).for_each(abandon);
    }

    /// How long to sleep unless a reply arrives.
    fn sleep_ns(&self, now: u64) -> u64 {
        match self.plan.pace {
            Pace::Open(schedule, limit) if self.issued < limit && !self.ready.is_empty() => {
                schedule.due_ns(self.issued).saturating_sub(now).min(CLOCK_CHECK_NS)
            }
            Pace::ClosedFor(_) | Pace::ClosedCount(_) | Pace::Open(..) => CLOCK_CHECK_NS,
        }
    }
}

#[inline]
fn record_due(latencies: &mut Latencies, due: u64, now: u64, from: u64) {
    if due >= from {
        latencies.record(now.saturating_sub(due), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySpace;
    use crate::options::Workload;
    use std::net::TcpListener;

    #[test]
    fn commands_that_are_never_answered_count_with_their_age() {
        // Nothing accepts or answers, but the kernel completes the connection.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut worker = Worker::connect(Plan {
            addr: listener.local_addr().unwrap().to_string(),
            connections: 2,
            pipeline: 3,
            pace: Pace::Open(Schedule::new(1000.0, 0, 1), 30),
            wait: Wait::Sleep,
            warmup_ns: 10_000_000,
            commands: Commands::new(Workload::Set, 8, 0.0, 1),
            keys: KeySpace::new(b"key:", 10, None).unwrap().each(),
            is_filled: false,
            drain_ns: 20_000_000,
        })
        .unwrap();
        let outcome = worker.run(Instant::now(), |_, _| {}).unwrap();
        // Ten were due during the warm-up. Six are in flight, the others have waited in line.
        assert_eq!((outcome.unanswered, outcome.latencies.count()), (20, 20));
        assert_eq!(worker.driver.issued, 6);
        // The last one was due a millisecond before the end of the schedule.
        assert!(outcome.latencies.quantile_us(0.0) >= 20_900.0, "{}", outcome.latencies.quantile_us(0.0));
    }
}
