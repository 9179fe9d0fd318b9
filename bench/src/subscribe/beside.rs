//! Threads that load the server beside the subscribers: the writers, and the GETs that see what a client waits for.

use super::options::{SubscribeOptions, Writer};
use crate::commands::{self, Commands};
use crate::cpu::pin;
use crate::error::BenchError;
use crate::keys::KeySpace;
use crate::load::worker::{DRAIN_NS, Outcome, Pace, Plan, Worker};
use crate::options::{Distribution, Wait, Workload};
use crate::schedule::Schedule;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Instant;

/// Commands in flight of the GETs, which wait for nothing but their time.
const PROBES_IN_FLIGHT: u32 = 1 << 16;

/// What a thread of these does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Writer,
    Probe,
}

enum Message {
    Connected,
    Over(Role, Result<Box<Outcome>, BenchError>),
}

/// The threads. They keep their connections until this is dropped, so that closing them is in no figure.
pub struct Beside {
    starts: Vec<Sender<Instant>>,
    messages: Receiver<Message>,
    running: usize,
    /// What the writers have measured, once they are at their end.
    pub written: Option<Outcome>,
    /// What the GETs have measured.
    pub probed: Option<Outcome>,
}

impl Beside {
    /// Connects all that the options ask for.
    ///
    /// # Errors
    /// If one can't connect.
    pub fn connect(options: &SubscribeOptions, seed: u64) -> Result<Beside, BenchError> {
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
        let beside = Beside { running: starts.len(), starts, messages, written: None, probed: None };
        for _ in 0..beside.running {
            if let Message::Over(_, Err(error)) = beside.messages.recv().map_err(|_| BenchError::Nothing)? {
                return Err(error);
            }
        }
        Ok(beside)
    }

    /// Starts all at this time.
    pub fn start(&self, origin: Instant) {
        for start in &self.starts {
            // One that has ended has said why.
            let _ = start.send(origin);
        }
    }

    /// Whether all are at their end.
    ///
    /// # Errors
    /// What ended one early.
    pub fn is_over(&mut self) -> Result<bool, BenchError> {
        while self.running > 0 {
            match self.messages.try_recv() {
                Ok(Message::Over(role, outcome)) => {
                    let place = match role {
                        Role::Writer => &mut self.written,
                        Role::Probe => &mut self.probed,
                    };
                    *place = Some(*outcome?);
                    self.running -= 1;
                }
                Ok(Message::Connected) => {}
                Err(TryRecvError::Empty) => return Ok(false),
                // A thread that ends without a message has panicked, and has said so.
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

fn work(role: Role, plan: Plan, core: Option<usize>, messages: &Sender<Message>, start: &Receiver<Instant>) {
    // Nobody listens any more once something has failed.
    let tell = |message| drop(messages.send(message));
    let mut worker = match core.map_or(Ok(()), pin).and_then(|()| Worker::connect(plan)) {
        Ok(worker) => worker,
        Err(error) => return tell(Message::Over(role, Err(error))),
    };
    tell(Message::Connected);
    let Ok(origin) = start.recv() else { return };
    tell(Message::Over(role, worker.run(origin, |_, _| {}).map(Box::new)));
    // Ends when all are over.
    let _ = start.recv();
}
