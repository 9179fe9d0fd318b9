//! INFO's figures for each command: its calls, rejections, failures, and duration.
//!
//! Each core counts for itself and is the only writer of its counters; any core reads them. Durations are sampled: the
//! first of every [`SAMPLED_RUNS`] runs of a command is timed, because reading the clock twice costs as much as a fast
//! command.

use super::table::TABLE;
use crate::limits::ERROR_KINDS_MAX;
use crate::resp::CommandIndex;
use crate::value::ValueWriter;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// One run of a command in this many is timed.
pub const SAMPLED_RUNS: u64 = 128;

/// One core's counters.
pub struct CommandStatistics {
    commands: Box<[Counters]>,
    /// The number of errors sent, by code.
    errors: Mutex<BTreeMap<String, u64>>,
}

/// On a cache line of its own, which a command touches anyway to count its call.
#[derive(Default)]
#[repr(align(64))]
struct Counters {
    calls: AtomicU64,
    rejected: AtomicU64,
    failed: AtomicU64,
    /// The number of runs on a shard, or the core. A call on several shards is several runs, and so is a call in a
    /// transaction.
    runs: AtomicU64,
    /// The duration of the sampled runs, nanoseconds.
    nanos: AtomicU64,
    /// The distribution of sampled durations; allocated with the first sample.
    latency: OnceLock<Box<[AtomicU32; Latency::BUCKETS]>>,
}

/// Adds to a counter of which the caller is the only writer.
#[inline]
fn add(counter: &AtomicU64, count: u64) {
    // Relaxed: there is one writer, and readers need only this number, at any moment.
    counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
}

impl Default for CommandStatistics {
    fn default() -> CommandStatistics {
        let commands = (0..TABLE.len()).map(|_| Counters::default()).collect();
        CommandStatistics { commands, errors: Mutex::default() }
    }
}

impl CommandStatistics {
    #[inline]
    fn of(&self, command: CommandIndex) -> &Counters {
        &self.commands[command.place()]
    }

    /// Counts a call. For the client's core.
    #[inline]
    pub fn call(&self, command: CommandIndex) {
        add(&self.of(command).calls, 1);
    }

    /// Counts a command that was refused with an error before it ran; `None` if its name is unknown.
    #[cold]
    pub fn reject(&self, command: Option<CommandIndex>, text: &[u8]) {
        if let Some(command) = command {
            add(&self.of(command).rejected, 1);
        }
        self.note_error(text);
    }

    /// Runs a command, and counts a failure if its reply is an error. For the core that runs it.
    #[inline]
    pub fn run<W: ValueWriter, R>(&self, command: CommandIndex, reply: &mut W, run: impl FnOnce(&mut W) -> R) -> R {
        let counters = self.of(command);
        // Relaxed: this core is the only writer.
        let runs = counters.runs.load(Ordering::Relaxed);
        counters.runs.store(runs + 1, Ordering::Relaxed);
        let started = runs.is_multiple_of(SAMPLED_RUNS).then(Instant::now);
        let from = reply.mark();
        let done = run(reply);
        if let Some(started) = started {
            counters.sample(started.elapsed().as_nanos() as u64);
        }
        self.note_reply(command, reply, from);
        done
    }

    /// Counts a failure if the reply, which starts at `from`, is an error.
    #[inline]
    pub fn note_reply(&self, command: CommandIndex, reply: &impl ValueWriter, from: usize) {
        if let Some(text) = reply.error_at(from) {
            self.fail(command, text);
        }
    }

    /// Counts a timed run, and a failure if its reply is an error. For commands that run after the commit.
    pub fn note_timed(&self, command: CommandIndex, took: Duration, reply: &impl ValueWriter) {
        let counters = self.of(command);
        add(&counters.runs, 1);
        counters.sample(took.as_nanos() as u64);
        self.note_reply(command, reply, 0);
    }

    #[cold]
    fn fail(&self, command: CommandIndex, text: &[u8]) {
        add(&self.of(command).failed, 1);
        self.note_error(text);
    }

    fn note_error(&self, text: &[u8]) {
        let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = errors.get_mut(&*String::from_utf8_lossy(code)) {
            *count += 1;
        } else if errors.len() < ERROR_KINDS_MAX {
            errors.insert(String::from_utf8_lossy(code).into_owned(), 1);
        }
    }
}

impl Counters {
    #[cold]
    fn sample(&self, nanos: u64) {
        add(&self.nanos, nanos);
        let latency = self.latency.get_or_init(|| Box::new([const { AtomicU32::new(0) }; Latency::BUCKETS]));
        let bucket = &latency[Latency::bucket(nanos)];
        // Relaxed: as in `add`.
        bucket.store(bucket.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }
}

/// The counters of all cores together.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By command, indexed like the table.
    pub commands: Vec<CommandTotals>,
    /// The number of errors sent, by code.
    pub errors: BTreeMap<String, u64>,
}

/// One command's counters.
#[derive(Clone, Debug, Default)]
pub struct CommandTotals {
    /// The number of calls by clients.
    pub calls: u64,
    /// The number of calls refused with an error before they ran.
    pub rejected: u64,
    /// The number of runs with an error reply.
    pub failed: u64,
    /// The duration of the timed runs, nanoseconds.
    nanos: u64,
    latency: Latency,
}

impl Totals {
    /// Sums the cores' counters.
    pub fn of<'a>(cores: impl Iterator<Item = &'a CommandStatistics>) -> Totals {
        let mut totals = Totals { commands: vec![CommandTotals::default(); TABLE.len()], errors: BTreeMap::new() };
        for core in cores {
            for (total, counters) in totals.commands.iter_mut().zip(&core.commands) {
                // Relaxed, all: figures for display.
                total.calls += counters.calls.load(Ordering::Relaxed);
                total.rejected += counters.rejected.load(Ordering::Relaxed);
                total.failed += counters.failed.load(Ordering::Relaxed);
                total.nanos += counters.nanos.load(Ordering::Relaxed);
                if let Some(latency) = counters.latency.get() {
                    total.latency.add(latency);
                }
            }
            for (code, count) in &*core.errors.lock().unwrap_or_else(PoisonError::into_inner) {
                *totals.errors.entry(code.clone()).or_default() += count;
            }
        }
        totals
    }

    /// The counts since `earlier`.
    pub fn since(mut self, earlier: &Totals) -> Totals {
        for (total, before) in self.commands.iter_mut().zip(&earlier.commands) {
            total.calls -= before.calls;
            total.rejected -= before.rejected;
            total.failed -= before.failed;
            total.nanos -= before.nanos;
            total.latency.subtract(&before.latency);
        }
        for (code, count) in &earlier.errors {
            self.errors.entry(code.clone()).and_modify(|total| *total -= count);
        }
        self.errors.retain(|_, count| *count > 0);
        self
    }

    /// The commands that were called or refused, with their names.
    pub fn used(&self) -> impl Iterator<Item = (&'static str, &CommandTotals)> {
        let named = self.commands.iter().enumerate().map(|(place, totals)| (TABLE.name_at(place), totals));
        named.filter(|(_, totals)| totals.calls + totals.rejected > 0)
    }
}

impl CommandTotals {
    /// The average duration of a call in microseconds, estimated from the samples.
    pub fn micros_per_call(&self) -> f64 {
        self.nanos as f64 / 1000.0 / self.latency.samples().max(1) as f64
    }

    /// How many of the timed runs took no longer than so many microseconds: the steps of LATENCY HISTOGRAM, powers of two,
    /// without those that add none.
    pub fn histogram(&self) -> Vec<(u64, u64)> {
        let mut steps: Vec<(u64, u64)> = Vec::new();
        let mut total = 0;
        for (bucket, count) in self.latency.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            // From 1,024 ns on, as in Redis, which shows the longest duration that counts for a step.
            let step = (Latency::longest(bucket) + 1).next_power_of_two().max(1024);
            let micros = (step + step / 128 - 1) / 1000;
            total += count;
            match steps.last_mut() {
                Some(last) if last.0 == micros => last.1 = total,
                _ => steps.push((micros, total)),
            }
        }
        steps
    }

    /// The duration in microseconds that this share of the timed runs did not exceed; `None` if none was timed.
    pub fn percentile(&self, part: f64) -> Option<f64> {
        self.latency.percentile(part)
    }
}

/// The distribution of durations, in steps of a sixteenth of an octave.
#[derive(Clone, Debug, Default)]
struct Latency(Vec<u64>);

impl Latency {
    /// Log2 of the steps per octave.
    const STEP_BITS: u32 = 4;
    /// From 2^36 ns, 69 seconds, on they share a bucket.
    const OCTAVES: u32 = 36;
    const BUCKETS: usize = ((Latency::OCTAVES - Latency::STEP_BITS + 1) << Latency::STEP_BITS) as usize;

    /// The bucket of a duration.
    fn bucket(nanos: u64) -> usize {
        let nanos = nanos.min((1 << Latency::OCTAVES) - 1);
        let octave = (u64::BITS - nanos.leading_zeros()).saturating_sub(Latency::STEP_BITS + 1);
        ((u64::from(octave) << Latency::STEP_BITS) + (nanos >> octave)) as usize
    }

    /// The longest duration of a bucket, nanoseconds.
    fn longest(bucket: usize) -> u64 {
        let octave = (bucket >> Latency::STEP_BITS).saturating_sub(1) as u32;
        let steps = bucket as u64 - (u64::from(octave) << Latency::STEP_BITS);
        ((steps + 1) << octave) - 1
    }

    fn add(&mut self, counts: &[AtomicU32; Latency::BUCKETS]) {
        self.0.resize(Latency::BUCKETS, 0);
        // Relaxed: figures for display.
        self.0.iter_mut().zip(counts).for_each(|(sum, count)| *sum += u64::from(count.load(Ordering::Relaxed)));
    }

    fn subtract(&mut self, earlier: &Latency) {
        self.0.iter_mut().zip(&earlier.0).for_each(|(sum, before)| *sum -= before);
    }

    fn samples(&self) -> u64 {
        self.0.iter().sum()
    }

    fn percentile(&self, part: f64) -> Option<f64> {
        let wanted = (self.samples() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(Latency::longest(bucket) as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::{Protocol, Reply};

    #[test]
    fn each_time_is_in_the_bucket_that_ends_within_a_sixteenth_of_it() {
        for nanos in (0..5_000).chain((12..36).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let bucket = Latency::bucket(nanos);
            let longest = Latency::longest(bucket);
            assert!(longest >= nanos && longest <= nanos + nanos / 16 + 1, "{nanos}: {bucket} up to {longest}");
            assert_eq!(Latency::bucket(longest), bucket);
            assert!(bucket == 0 || Latency::longest(bucket - 1) < nanos);
        }
        assert_eq!(Latency::bucket(u64::MAX), Latency::BUCKETS - 1);
    }

    #[test]
    fn the_cores_counters_are_summed_since_a_reset() {
        let cores = [CommandStatistics::default(), CommandStatistics::default()];
        let command = TABLE.index_of(b"get").expect("there is a GET");
        let run = |core: &CommandStatistics, text: &str| {
            let mut out = b"+earlier\r\n".to_vec();
            core.call(command);
            core.run(command, &mut Reply::new(&mut out, Protocol::Resp2), |reply| match text {
                "" => reply.ok(),
                text => reply.error(text),
            });
        };
        run(&cores[0], "");
        run(&cores[1], "");
        run(&cores[1], "WRONGTYPE no");
        cores[0].reject(Some(command), b"ERR wrong number");
        cores[0].reject(None, b"ERR unknown command");
        let of = |totals: &Totals| {
            let get = totals.used().find(|(name, _)| *name == "get").map(|(_, get)| get.clone());
            get.map(|get| (get.calls, get.failed, get.rejected, get.latency.samples()))
        };
        let before = Totals::of(cores.iter());
        assert_eq!(of(&before), Some((3, 1, 1, 2)), "the first run of each core is timed");
        assert_eq!(before.errors, BTreeMap::from([("ERR".to_owned(), 2), ("WRONGTYPE".to_owned(), 1)]));
        (0..SAMPLED_RUNS).for_each(|_| run(&cores[0], ""));
        let since = Totals::of(cores.iter()).since(&before);
        assert_eq!(of(&since), Some((SAMPLED_RUNS, 0, 0, 1)));
        assert!(since.errors.is_empty());
    }

    #[test]
    fn a_histogram_counts_up_in_steps_of_redis() {
        let mut command = CommandTotals::default();
        assert!(command.histogram().is_empty());
        command.latency.0.resize(Latency::BUCKETS, 0);
        for nanos in [500, 900, 1_000, 1_500, 20_000, 30_000, 40_000] {
            command.latency.0[Latency::bucket(nanos)] += 1;
        }
        assert_eq!(command.histogram(), [(1, 3), (2, 4), (33, 6), (66, 7)]);
    }

    #[test]
    fn a_part_of_the_samples_ends_within_its_percentile() {
        let counters = Counters::default();
        (1..=1000).for_each(|micros| counters.sample(micros * 1000));
        let mut latency = Latency::default();
        latency.add(counters.latency.get().expect("there are samples"));
        for (part, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = latency.percentile(part).expect("there are samples");
            assert!((micros..micros * 1.07).contains(&found), "{part}: {found}");
        }
        assert_eq!(Latency::default().percentile(0.5), None);
    }
}
