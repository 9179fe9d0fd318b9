//! `subscribe`: subscribers, the events that they receive, and their cost for the server and its writers.
//!
//! | module | what is in it |
//! |---|---|
//! | [`options`] | the command line |
//! | [`filter`] | the subscriptions' commands |
//! | [`push`] | the messages of the server |
//! | [`tally`] | counts of these messages |
//! | [`subscriber`] | the subscribing connections |
//! | [`stamped_writes`] | writes whose values contain their due time |
//! | [`background_load`] | threads that load the server meanwhile |
//!
//! Subscribers, writers and probes are one process, so that there is one clock, and so that the server's CPU time is
//! read at the first write and at the last push. Each has a thread on the load's first core, except the stamped writes,
//! which share the subscribers' thread.

mod background_load;
mod filter;
pub mod options;
mod push;
mod stamped_writes;
mod subscriber;
mod tally;

use crate::client::{self, SILENCE_NS_MAX};
use crate::commands::Commands;
use crate::cpu::{self, Sample};
use crate::error::BenchError;
use crate::fill;
use crate::keys::KeySpace;
use crate::latency::Latencies;
use crate::options::{Wait, Workload, name_of};
use crate::progress::{self, Progress};
use crate::report::Report;
use background_load::BackgroundLoad;
use filter::SubscribeCommands;
use options::{Filter, From, Kind, SubscribeOptions, Writer};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use subscriber::{Measured, Subscribers};

/// The time without any push after the last write after which no more are expected, in nanoseconds.
const PATIENCE_NS: u64 = 5_000_000_000;

/// The results of a run, before they become a report.
struct RunOutcome {
    measured: Measured,
    before: Sample,
    after: Sample,
    /// Writes, events or pushes, depending on the writer.
    operations: u64,
    seconds: f64,
    latencies: Latencies,
    unanswered: u64,
}

/// Runs the subscribers.
///
/// # Errors
/// Anything that ends a run early.
pub fn run(options: &SubscribeOptions) -> Result<Report, BenchError> {
    options.check()?;
    let commands = SubscribeCommands::new(options)?;
    if let Some(core) = options.run.cores.first() {
        cpu::pin(*core)?;
    }
    let mut progress = Progress::new(options.run.progress);
    if options.fill > 0 {
        progress.show("writing the events");
        let keys = KeySpace::new(b"key:", options.keys, None)?.each();
        let writes = Commands::filling(Workload::Set, options.value_bytes);
        fill::write(&options.run.addr, writes, keys, Some(options.fill))?;
    }
    let seed = SmallRng::from_os_rng().random::<u32>().into();
    let outcome = match options.writer {
        Writer::None => watch(options, &commands, &mut progress)?,
        Writer::Load => load(options, &commands, seed, &mut progress)?,
        Writer::Stamps => stamped(options, &commands, seed, &mut progress)?,
    };
    progress.clear();
    report(options, outcome, seed)
}

/// Without a writer of its own: counts the events that arrive.
fn watch(
    options: &SubscribeOptions,
    commands: &SubscribeCommands,
    progress: &mut Progress,
) -> Result<RunOutcome, BenchError> {
    let is_interrupted = Arc::new(AtomicBool::new(false));
    let refused = |source| BenchError::File { path: "the handler of SIGINT".into(), source };
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(&is_interrupted)).map_err(refused)?;
    let mut measured = Measured::default();
    let before = Sample::take(options.run.server_pid)?;
    let origin = Instant::now();
    let each = options.events.map(|events| events * options.subscriptions as u64);
    let mut shown = RunProgress::new(progress);
    for pass in 1..=options.passes {
        let mut subscribers = Subscribers::connect(options, commands, &mut measured, 0)?;
        subscribers.start(origin);
        subscribers.subscribe();
        subscribers.until(|now, measured| {
            let events = measured.delivery.events;
            shown.update(now, measured, each.map(|each| events as f64 / (each * options.passes) as f64));
            let last_ns = measured.pushed_ns.map_or(0, |(_, last)| last);
            if options.from == From::Start && each.is_some() && now > last_ns.saturating_add(SILENCE_NS_MAX) {
                return Err(BenchError::Silent { seconds: SILENCE_NS_MAX / 1_000_000_000 });
            }
            let is_whole = each.is_some_and(|each| events >= each * pass);
            let is_late = options.seconds.is_some_and(|seconds| now as f64 / 1e9 > seconds);
            // Relaxed: the flag is set by a signal handler of this process, and no other data depends on it.
            Ok(is_whole || is_late || is_interrupted.load(Ordering::Relaxed))
        })?;
    }
    let after = Sample::take(options.run.server_pid)?;
    measured.delivery.expected = each.map(|each| each * options.passes);
    let seconds = measured.pushed_ns.map_or_else(|| origin.elapsed().as_secs_f64(), |(_, last)| last as f64 / 1e9);
    let (operations, latencies) = (measured.delivery.events, Latencies::default());
    Ok(RunOutcome { measured, before, after, operations, seconds, latencies, unanswered: 0 })
}

/// Writes as fast as the server answers.
fn load(
    options: &SubscribeOptions,
    commands: &SubscribeCommands,
    seed: u64,
    progress: &mut Progress,
) -> Result<RunOutcome, BenchError> {
    let mut measured = Measured::default();
    let mut subscribers = Subscribers::connect(options, commands, &mut measured, seed)?;
    subscribers.subscribe();
    subscribers.until_live()?;
    let mut background = BackgroundLoad::connect(options, seed)?;
    settle(options, &mut subscribers)?;
    let turns = Turns::begin(options);
    let mut before = Before::take(options)?;
    let origin = Instant::now();
    subscribers.start(origin);
    background.start(origin);
    let (mut ended_ns, is_all) = (None, options.filter == Filter::All);
    let copies = options.subscriptions as u64;
    let (mut shown, total) = (RunProgress::new(progress), options.warmup_seconds + options.seconds());
    subscribers.until(|now, measured| {
        shown.update(now, measured, options.requests.is_none().then_some(now as f64 / 1e9 / total));
        before.update(options, now)?;
        if !background.is_over()? {
            return Ok(false);
        }
        let ended_ns = *ended_ns.get_or_insert(now);
        let Some(written) = &background.written else { return Err(BenchError::Nothing) };
        // With a warm-up the number of writes is unknown.
        let expected = written.latencies.count() * if is_all { copies } else { 0 };
        let last_ns = measured.pushed_ns.map_or(0, |(_, last)| last).max(ended_ns);
        Ok(measured.delivery.events >= expected || now > last_ns.saturating_add(PATIENCE_NS))
    })?;
    let after = Sample::take(options.run.server_pid)?;
    let (Some(written), probed) = (background.written.take(), background.probed.take()) else {
        return Err(BenchError::Nothing);
    };
    let operations = written.latencies.count();
    let seconds = written.last_reply_ns as f64 / 1e9 - options.warmup_seconds;
    if operations == 0 || seconds <= 0.0 {
        return Err(BenchError::Nothing);
    }
    let delivery = &mut measured.delivery;
    delivery.longest_turn_us = turns.longest_us(options);
    delivery.expected = (is_all && options.warmup_seconds == 0.0).then_some(operations * copies);
    delivery.probes_unanswered = probed.as_ref().map(|probed| probed.unanswered);
    // From the probes, if there are any: the writers' latencies are those of full pipelines.
    let latencies = probed.map_or(written.latencies, |probed| probed.latencies);
    Ok(RunOutcome { measured, before: before.sample, after, operations, seconds, latencies, unanswered: 0 })
}

/// Writes when a write is due, whatever the server does, and measures the time until each push.
fn stamped(
    options: &SubscribeOptions,
    commands: &SubscribeCommands,
    seed: u64,
    progress: &mut Progress,
) -> Result<RunOutcome, BenchError> {
    let mut measured = Measured::default();
    let mut subscribers = Subscribers::connect(options, commands, &mut measured, seed)?;
    subscribers.subscribe();
    subscribers.until_live()?;
    settle(options, &mut subscribers)?;
    let mut before = Before::take(options)?;
    subscribers.start(Instant::now());
    let mut shown = RunProgress::new(progress);
    let unanswered = subscribers.until_pushed(PATIENCE_NS, |now, measured| {
        shown.update(now, measured, None);
        before.update(options, now)
    })?;
    let after = Sample::take(options.run.server_pid)?;
    let operations = measured.latencies.count();
    let last_ns = measured.pushed_ns.map_or(0, |(_, last)| last);
    let seconds = last_ns as f64 / 1e9 - options.warmup_seconds;
    if operations == 0 || seconds <= 0.0 {
        return Err(BenchError::Nothing);
    }
    measured.delivery.expected = Some(measured.delivery.events + unanswered);
    let latencies = std::mem::take(&mut measured.latencies);
    Ok(RunOutcome { measured, before: before.sample, after, operations, seconds, latencies, unanswered })
}

/// The server's CPU time before the measurement: at the start, then at the end of the warm-up.
struct Before {
    sample: Sample,
    is_warm: bool,
}

impl Before {
    fn take(options: &SubscribeOptions) -> Result<Before, BenchError> {
        let is_warm = options.warmup_seconds == 0.0;
        Ok(Before { sample: Sample::take(options.run.server_pid)?, is_warm })
    }

    /// To be called repeatedly, `now` nanoseconds since the start.
    fn update(&mut self, options: &SubscribeOptions, now: u64) -> Result<(), BenchError> {
        if !self.is_warm && now as f64 / 1e9 >= options.warmup_seconds {
            *self = Before { sample: Sample::take(options.run.server_pid)?, is_warm: true };
        }
        Ok(())
    }
}

/// The progress line of a run.
struct RunProgress<'a> {
    progress: &'a mut Progress,
    /// The time of the last update, in nanoseconds since the start, and the number of events then.
    last: (u64, u64),
}

impl RunProgress<'_> {
    fn new(progress: &mut Progress) -> RunProgress<'_> {
        RunProgress { progress, last: (0, 0) }
    }

    #[inline]
    fn update(&mut self, now_ns: u64, measured: &Measured, done: Option<f64>) {
        if !self.progress.is_shown() || now_ns < self.last.0 + progress::EVERY.as_nanos() as u64 {
            return;
        }
        let events = measured.delivery.events;
        let rate = (events - self.last.1) as f64 * 1e9 / (now_ns - self.last.0) as f64;
        let p99_us = measured.latencies.quantile_us(0.99);
        self.progress.show(&progress::line("events", done, now_ns as f64 / 1e9, rate, p99_us));
        self.last = (now_ns, events);
    }
}

/// Waits while the server does background work for the subscriptions.
fn settle(options: &SubscribeOptions, subscribers: &mut Subscribers<'_>) -> Result<(), BenchError> {
    let until = Instant::now() + Duration::from_secs_f64(options.settle_seconds);
    subscribers.until(|_, _| Ok(Instant::now() >= until))
}

/// The longest turn of a Keytide, which it reports since a reset.
struct Turns {
    is_known: bool,
}

impl Turns {
    fn begin(options: &SubscribeOptions) -> Turns {
        let is_reset = || client::ask(&options.run.addr, &[b"CONFIG", b"RESETSTAT"]).is_ok();
        Turns { is_known: options.kind == Kind::Keytide && is_reset() }
    }

    /// `None` if the server does not report it.
    fn longest_us(&self, options: &SubscribeOptions) -> Option<f64> {
        let info = self.is_known.then(|| client::ask(&options.run.addr, &[b"INFO"]).ok()).flatten()?;
        field(&String::from_utf8_lossy(&info), "longest_turn_us")?.parse().ok()
    }
}

/// A field of INFO's reply.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn report(options: &SubscribeOptions, outcome: RunOutcome, seed: u64) -> Result<Report, BenchError> {
    let RunOutcome { measured, before, after, operations, seconds, latencies, unanswered } = outcome;
    let Measured { mut delivery, pushed_ns, .. } = measured;
    let (is_load, is_stamped) = (options.writer == Writer::Load, options.writer == Writer::Stamps);
    if operations == 0 {
        return Err(BenchError::Nothing);
    }
    delivery.first_push_seconds = pushed_ns.map(|(first, _)| first as f64 / 1e9);
    delivery.last_push_seconds = pushed_ns.map(|(_, last)| last as f64 / 1e9);
    if delivery.events > 0 && options.warmup_seconds == 0.0 {
        delivery.server_cpu_us_per_event = after.since(&before, delivery.events).server_cpu_us_per_op;
    }
    let wait = options.run.wait.unwrap_or(if is_stamped { Wait::Spin } else { Wait::Sleep });
    Ok(Report {
        label: options.run.label.clone(),
        kind: "subscribe".to_owned(),
        workload: format!("{} {}, {}", name_of(options.kind), name_of(options.filter), name_of(options.writer)),
        addr: options.run.addr.clone(),
        connections: options.connections,
        threads: 1 + usize::from(is_load) + usize::from(options.probe_rate.is_some()),
        wait: name_of(wait),
        pipeline: is_load.then_some(options.pipeline),
        value_bytes: (options.fill > 0 || is_load || is_stamped).then_some(options.value_bytes),
        keys: Some(options.keys),
        distribution: None,
        zipf_exponent: None,
        events_at_once: None,
        rate_asked: is_stamped.then_some(options.rate),
        operations,
        errors: 0,
        absent: 0,
        unanswered,
        seconds,
        rate: operations as f64 / seconds,
        latency_us: latencies.summary(),
        percentiles: latencies.percentiles(),
        cpu: after.since(&before, operations),
        seed: (is_load || is_stamped).then_some(seed),
        subscriptions: Some(options.subscriptions),
        delivery: Some(delivery),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_info_is_found_by_its_whole_name() {
        let info = "# Stats\r\nthe_longest_turn_us:7\r\nlongest_turn_us_max:8\r\nlongest_turn_us:12\r\n";
        assert_eq!(field(info, "longest_turn_us"), Some("12"));
        assert_eq!(field(info, "turn_us"), None);
    }
}
