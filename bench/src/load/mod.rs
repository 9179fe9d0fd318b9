//! `load`: one run of commands against one server.

mod in_flight;
pub mod worker;

use crate::commands::{self, Commands};
use crate::cpu::{Sample, pin};
use crate::error::BenchError;
use crate::fill;
use crate::keys::KeySpace;
use crate::latency::Latencies;
use crate::options::{Distribution, LoadOptions, name_of};
use crate::progress::{self, Progress};
use crate::report::Report;
use crate::schedule::Schedule;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};
use worker::{DRAIN_NS, Pace, Plan, Worker, WorkerOutcome};

/// The duration of the measurement by default, in seconds.
const SECONDS_DEFAULT: f64 = 5.0;

/// A message from a thread.
enum WorkerMessage {
    /// It is connected.
    Ready,
    /// The commands measured so far, and their 99th percentile.
    Tick { thread: usize, operations: u64, p99_us: f64 },
    /// It has ended.
    Over(Result<Box<WorkerOutcome>, BenchError>),
}

/// Runs the workload. There is no report if only the keys were written.
///
/// # Errors
/// Anything that ends a run early.
pub fn run(options: &LoadOptions) -> Result<Option<Report>, BenchError> {
    options.check()?;
    let mut progress = Progress::new(options.run.progress);
    let space = KeySpace::new(commands::prefix(options.workload), options.keys, options.slots)?;
    if let Some(core) = options.run.cores.first() {
        // This thread too, which runs meanwhile: it must not be on the server's core.
        pin(*core)?;
    }
    if options.fill || options.fill_only {
        progress.show("writing the keys");
        let keys = space.each();
        fill::write(&options.run.addr, Commands::filling(options.workload, options.value_bytes), keys, None)?;
    }
    if options.fill_only {
        return Ok(None);
    }
    // Short enough to type, and exact in JSON, which only has floating-point numbers.
    let seed = options.seed.unwrap_or_else(|| SmallRng::from_os_rng().random::<u32>().into());
    let plans = (0..options.threads).map(|thread| plan(options, &space, seed, thread)).collect();
    measure(options, plans, seed, &mut progress).map(Some)
}

/// The plan of one thread.
fn plan(options: &LoadOptions, space: &KeySpace, seed: u64, thread: usize) -> Plan {
    let threads = options.threads;
    let share = |total: u64| total / threads as u64 + u64::from((thread as u64) < total % threads as u64);
    let warmup_ns = ns(options.warmup_seconds);
    let measured_ns = ns(options.seconds.unwrap_or(SECONDS_DEFAULT));
    let pace = match (options.rate, options.requests) {
        (None, None) => Pace::ClosedFor(measured_ns),
        (None, Some(requests)) => Pace::ClosedCount(share(requests)),
        (Some(rate), requests) => {
            let schedule = Schedule::new(rate, thread, threads);
            let count = match requests {
                Some(requests) => schedule.count_before(warmup_ns) + share(requests),
                None => schedule.count_before(warmup_ns + measured_ns),
            };
            Pace::Open(schedule, count)
        }
    };
    let commands_max = match pace {
        Pace::Open(_, count) => Some(count),
        Pace::ClosedCount(count) if warmup_ns == 0 => Some(count),
        Pace::ClosedCount(_) | Pace::ClosedFor(_) => None,
    };
    // Each thread draws differently, from one seed.
    let seed = seed.wrapping_add(thread as u64);
    Plan {
        addr: options.run.addr.clone(),
        connections: share(options.connections as u64) as usize,
        pipeline: options.pipeline,
        wait: options.wait(),
        pace,
        warmup_ns,
        commands: Commands::new(options.workload, options.value_bytes, options.set_share, seed),
        keys: space.draw(options.distribution, options.zipf_exponent, seed, commands_max),
        is_filled: options.fill,
        drain_ns: DRAIN_NS,
    }
}

fn ns(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

/// A thread: connects, waits for the start, runs, and keeps its connections until all threads have ended, so that the
/// server's CPU time includes nothing but the run.
fn work(
    thread: usize,
    plan: Plan,
    core: Option<usize>,
    shows_progress: bool,
    messages: &Sender<WorkerMessage>,
    start: &Receiver<Instant>,
) {
    // The receiver is gone once another thread has failed.
    let tell = |message| drop(messages.send(message));
    let connected = core.map_or(Ok(()), pin).and_then(|()| Worker::connect(plan));
    let mut worker = match connected {
        Ok(worker) => worker,
        Err(error) => return tell(WorkerMessage::Over(Err(error))),
    };
    tell(WorkerMessage::Ready);
    let Ok(origin) = start.recv() else { return };
    let every_ns = progress::EVERY.as_nanos() as u64;
    let mut next_ns = if shows_progress { every_ns } else { u64::MAX };
    let result = worker.run(origin, |now_ns, latencies| {
        if now_ns >= next_ns {
            next_ns = now_ns + every_ns;
            tell(WorkerMessage::Tick { thread, operations: latencies.count(), p99_us: latencies.quantile_us(0.99) });
        }
    });
    tell(WorkerMessage::Over(result.map(Box::new)));
    // Returns when all have ended.
    let _ = start.recv();
}

/// Runs the threads and merges their results.
fn measure(options: &LoadOptions, plans: Vec<Plan>, seed: u64, progress: &mut Progress) -> Result<Report, BenchError> {
    let warmup = Duration::from_secs_f64(options.warmup_seconds);
    let (sender, messages) = mpsc::channel();
    let shows_progress = progress.is_shown();
    let threads = plans.len();
    thread::scope(|scope| {
        let mut starts = Vec::new();
        for (thread, plan) in plans.into_iter().enumerate() {
            let cores = &options.run.cores;
            let core = (!cores.is_empty()).then(|| cores[thread % cores.len()]);
            let (start, started) = mpsc::channel();
            let messages = sender.clone();
            starts.push(start);
            scope.spawn(move || work(thread, plan, core, shows_progress, &messages, &started));
        }
        drop(sender);
        for _ in 0..threads {
            if let WorkerMessage::Over(Err(error)) = messages.recv().map_err(|_| BenchError::Nothing)? {
                return Err(error);
            }
        }
        let mut before = Sample::take(options.run.server_pid)?;
        let origin = Instant::now();
        for start in &starts {
            // A thread that has ended has sent the reason, which is received next.
            let _ = start.send(origin);
        }
        let mut is_warm = warmup.is_zero();
        let (mut outcomes, mut shown) = (Vec::new(), LoadProgress::new(threads, origin));
        while outcomes.len() < threads {
            let patience = if is_warm { Duration::MAX } else { warmup.saturating_sub(origin.elapsed()) };
            match messages.recv_timeout(patience) {
                Ok(WorkerMessage::Over(Ok(outcome))) => outcomes.push(*outcome),
                Ok(WorkerMessage::Over(Err(error))) => return Err(error),
                Ok(WorkerMessage::Tick { thread, operations, p99_us }) => {
                    shown.ticks[thread] = (operations, p99_us);
                    if thread == 0 {
                        progress.show(&shown.line(options));
                    }
                }
                Ok(WorkerMessage::Ready) => {}
                Err(RecvTimeoutError::Timeout) => {}
                // A thread that ends without a message has panicked, and the scope reports that.
                Err(RecvTimeoutError::Disconnected) => return Err(BenchError::Nothing),
            }
            if !is_warm && origin.elapsed() >= warmup {
                is_warm = true;
                before = Sample::take(options.run.server_pid)?;
            }
        }
        let after = Sample::take(options.run.server_pid)?;
        progress.clear();
        report(options, &outcomes, seed, &before, &after)
    })
}

/// The state behind the progress line.
struct LoadProgress {
    origin: Instant,
    /// Operations and 99th percentile of each thread.
    ticks: Vec<(u64, f64)>,
    last: (Instant, u64),
}

impl LoadProgress {
    fn new(threads: usize, origin: Instant) -> LoadProgress {
        LoadProgress { origin, ticks: vec![(0, 0.0); threads], last: (origin, 0) }
    }

    fn line(&mut self, options: &LoadOptions) -> String {
        let (now, operations) = (Instant::now(), self.ticks.iter().map(|tick| tick.0).sum::<u64>());
        let p99_us = self.ticks.iter().map(|tick| tick.1).fold(0.0, f64::max);
        let rate = (operations - self.last.1) as f64 / (now - self.last.0).as_secs_f64();
        self.last = (now, operations);
        let seconds = self.origin.elapsed().as_secs_f64();
        let total = options.warmup_seconds + options.seconds.unwrap_or(SECONDS_DEFAULT);
        let done = match options.requests {
            Some(requests) => operations as f64 / requests as f64,
            None => seconds / total,
        };
        progress::line(&name_of(options.workload), Some(done), seconds, rate, p99_us)
    }
}

fn report(
    options: &LoadOptions,
    outcomes: &[WorkerOutcome],
    seed: u64,
    before: &Sample,
    after: &Sample,
) -> Result<Report, BenchError> {
    let mut latencies = Latencies::default();
    outcomes.iter().for_each(|outcome| latencies.add(&outcome.latencies));
    let last_reply_ns = outcomes.iter().map(|outcome| outcome.last_reply_ns).max().unwrap_or(0);
    let unanswered = outcomes.iter().map(|outcome| outcome.unanswered).sum();
    let operations = latencies.count().saturating_sub(unanswered);
    let seconds = last_reply_ns.saturating_sub(ns(options.warmup_seconds)) as f64 / 1e9;
    if operations == 0 || seconds == 0.0 {
        return Err(BenchError::Nothing);
    }
    let cpu = after.since(before, operations);
    let is_zipf = options.distribution == Distribution::Zipf;
    Ok(Report {
        label: options.run.label.clone(),
        kind: "load".to_owned(),
        workload: name_of(options.workload),
        addr: options.run.addr.clone(),
        connections: options.connections,
        threads: options.threads,
        wait: name_of(options.wait()),
        pipeline: Some(options.pipeline),
        value_bytes: Some(options.value_bytes),
        keys: Some(options.keys),
        distribution: Some(name_of(options.distribution)),
        zipf_exponent: is_zipf.then_some(options.zipf_exponent),
        events_at_once: None,
        rate_asked: options.rate,
        operations,
        errors: 0,
        absent: outcomes.iter().map(|outcome| outcome.absent).sum(),
        unanswered,
        seconds,
        rate: operations as f64 / seconds,
        latency_us: latencies.summary(),
        percentiles: latencies.percentiles(),
        cpu,
        seed: Some(seed),
        subscriptions: None,
        delivery: None,
    })
}
