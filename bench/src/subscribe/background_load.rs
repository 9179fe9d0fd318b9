//! Threads that load the server beside the subscribers: the writers, and the GETs that measure a client's latency.

use super::options::{SubscribeOptions, Writer};
use crate::commands::{self, Commands};
use crate::cpu::pin;
use crate::error::BenchError;
use crate::keys::KeySpace;
use crate::load::worker::{DRAIN_NS, Pace, Plan, Worker, WorkerOutcome};
use crate::options::{Distribution, Wait, Workload};
use crate::schedule::Schedule;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Instant;

/// The most GETs in flight: they wait only for their due time.
const PROBES_IN_FLIGHT: u32 = 1 << 16;

/// The role of such a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Writer,
    Probe,
}

enum BackgroundMessage {
    Connected,
    Over(Role, Result<Box<WorkerOutcome>, BenchError>),
}

/// The threads. They keep their connections until this is dropped, so that closing them is not measured.
pub struct BackgroundLoad {
    starts: Vec<Sender<Instant>>,
    messages: Receiver<BackgroundMessage>,
    running: usize,
    /// The writers' measurements, once they have ended.
    pub written: Option<WorkerOutcome>,
    /// The GETs' measurements.
    pub probed: Option<WorkerOutcome>,
}

impl BackgroundLoad {
    /// Connects all threads that the options require.
    ///
    /// # Errors
    /// If one cannot connect.
    pub fn connect(options: &SubscribeOptions, seed: u64) -> Result<BackgroundLoad, BenchError> {
        let mut plans = Vec::new();
        if options.writer == Writer::Load {
            let pace = match options.requests {
                Some(requests) => Pace::ClosedCount(requests),
                None => Pace::ClosedFor((options.seconds() * 1e9) as u64),
            };
            plans.push((Role::Writer, plan(options, Workload::Set, options.clients, options.pipeline, pace, seed)?));
        }
        if let Some(rate) = options.probe_rate {
            let schedule = Schedule::new(rate, 0, 1);
            let seconds = options.warmup_seconds + options.seconds();
            let pace = Pace::Open(schedule, schedule.count_before((seconds * 1e9) as u64));
            plans.push((Role::Probe, plan(options, Workload::Get, 1, PROBES_IN_FLIGHT, pace, seed + 1)?));
        }
        let (sender, messages) = mpsc::channel();
        let mut starts = Vec::new();
        let core = options.run.cores.first().copied();
        for (role, plan) in plans {
            let (start, started) = mpsc::channel();
            starts.push(start);
            let sender = sender.clone();
            thread::spawn(move || work(role, plan, core, &sender, &started));
        }
        let beside = BackgroundLoad { running: starts.len(), starts, messages, written: None, probed: None };
        for _ in 0..beside.running {
            if let BackgroundMessage::Over(_, Err(error)) = beside.messages.recv().map_err(|_| BenchError::Nothing)? {
                return Err(error);
            }
        }
        Ok(beside)
    }

    /// Starts all at this time.
    pub fn start(&self, origin: Instant) {
        for start in &self.starts {
            // A thread that has ended has sent the reason.
            let _ = start.send(origin);
        }
    }

    /// Whether all have ended.
    ///
    /// # Errors
    /// The error that ended one early.
    pub fn is_over(&mut self) -> Result<bool, BenchError> {
        while self.running > 0 {
            match self.messages.try_recv() {
                Ok(BackgroundMessage::Over(role, outcome)) => {
                    let place = match role {
                        Role::Writer => &mut self.written,
                        Role::Probe => &mut self.probed,
                    };
                    *place = Some(*outcome?);
                    self.running -= 1;
                }
                Ok(BackgroundMessage::Connected) => {}
                Err(TryRecvError::Empty) => return Ok(false),
                // A thread that ends without a message has panicked, which was printed.
                Err(TryRecvError::Disconnected) => return Err(BenchError::Nothing),
            }
        }
        Ok(true)
    }
}

fn plan(
    options: &SubscribeOptions,
    workload: Workload,
    connections: usize,
    pipeline: u32,
    pace: Pace,
    seed: u64,
) -> Result<Plan, BenchError> {
    let space = KeySpace::new(commands::prefix(workload), options.keys, None)?;
    Ok(Plan {
        addr: options.run.addr.clone(),
        connections,
        pipeline,
        pace,
        // The subscribers share the core.
        wait: Wait::Sleep,
        warmup_ns: (options.warmup_seconds * 1e9) as u64,
        commands: Commands::new(workload, options.value_bytes, 1.0, seed),
        keys: space.draw(Distribution::Uniform, 0.0, seed, options.requests),
        is_filled: false,
        drain_ns: DRAIN_NS,
    })
}

fn work(role: Role, plan: Plan, core: Option<usize>, messages: &Sender<BackgroundMessage>, start: &Receiver<Instant>) {
    // The receiver is gone once something has failed.
    let tell = |message| drop(messages.send(message));
    let mut worker = match core.map_or(Ok(()), pin).and_then(|()| Worker::connect(plan)) {
        Ok(worker) => worker,
        Err(error) => return tell(BackgroundMessage::Over(role, Err(error))),
    };
    tell(BackgroundMessage::Connected);
    let Ok(origin) = start.recv() else { return };
    tell(BackgroundMessage::Over(role, worker.run(origin, |_, _| {}).map(Box::new)));
    // Returns when all have ended.
    let _ = start.recv();
}
