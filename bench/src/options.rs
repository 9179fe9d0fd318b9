//! The options of `load`, `read` and `plot`, and those that all runs share.

use crate::error::BenchError;
use clap::{Args, ValueEnum};
use keytide_engine::slot::SLOT_COUNT;
use std::path::PathBuf;
use std::str::FromStr;

/// The options of every run.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Address of the server
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6379")]
    pub addr: String,
    /// Cores of the load, in the order of its threads, which are pinned to them
    #[arg(long, value_name = "CORE,…", value_delimiter = ',')]
    pub cores: Vec<usize>,
    /// How a thread waits for replies: asleep, or spinning, so that no figure includes its own wake-ups [default:
    /// sleep, with --rate spin]
    #[arg(long, value_enum)]
    pub wait: Option<Wait>,
    /// Process id of the server, to measure its CPU time
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<u32>,
    /// Where to write the result as JSON: a file, or - for the standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Whether to show a progress line; auto: on a terminal
    #[arg(long, value_enum, default_value_t = When::Auto)]
    pub progress: When,
    /// Name of this run in the result and in plots
    #[arg(long, value_name = "TEXT")]
    pub label: Option<String>,
}

/// Options of `load`.
#[derive(Clone, Debug, Args)]
pub struct LoadOptions {
    #[command(flatten)]
    pub run: RunOptions,
    /// The workload; lpush makes its lists longer and longer
    #[arg(long, value_enum, default_value_t = Workload::Set)]
    pub workload: Workload,
    /// Share of SETs in `mixed`; the others are GETs
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub set_share: f64,
    /// Number of different keys
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub keys: u32,
    /// Distribution of the keys; zipf: the first ones are used most
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    pub distribution: Distribution,
    /// Skew of zipf: the key of rank r has the weight r to the minus this
    #[arg(long, value_name = "S", default_value_t = 0.99)]
    pub zipf_exponent: f64,
    /// Seed of the key sequence [default: random]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Only keys whose slot, CRC16 modulo 16384, is in this range: to aim at one shard
    #[arg(long, value_name = "FROM-TO")]
    pub slots: Option<SlotRange>,
    /// Size of a value in bytes
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub value_bytes: usize,
    /// Connections of all threads together
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub connections: usize,
    /// Commands in flight on each connection at most. Without --rate they are sent together, and the next ones when all
    /// of them are answered
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub pipeline: u32,
    /// Ends after this many commands
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub requests: Option<u64>,
    /// Ends after this many seconds [default: 5]
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Seconds to run before measuring starts
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub warmup_seconds: f64,
    /// Open loop: commands per second of all threads together, each at its time, whatever the server does. Latency
    /// counts from when a command was due: no coordinated omission
    #[arg(long, value_name = "R")]
    pub rate: Option<f64>,
    /// Number of threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    /// Writes every key before the run, which get and mixed need
    #[arg(long)]
    pub fill: bool,
    /// Writes every key and measures nothing
    #[arg(long)]
    pub fill_only: bool,
}

/// Options of `read`.
#[derive(Clone, Debug, Args)]
pub struct ReadOptions {
    #[command(flatten)]
    pub run: RunOptions,
    /// The command that reads the history
    #[arg(long, value_enum)]
    pub source: Source,
    /// Events in the history, which is read from its beginning in each pass
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub events: u64,
    /// Events requested at once
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub count: u64,
    /// How often each connection reads the whole history
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub passes: u64,
    /// Consumers at once, each reading everything; those of groups have a group each
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub connections: usize,
    /// Number of different keys, with --fill
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub keys: u32,
    /// Size of a value in bytes, with --fill
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub value_bytes: usize,
    /// Writes the events first: SETs for the sources of Keytide, else XADDs to the stream `events`, which is deleted
    /// before, with the fields `key` and `value`
    #[arg(long)]
    pub fill: bool,
}

/// Options of `plot`.
#[derive(Clone, Debug, Args)]
pub struct PlotOptions {
    /// File to write the plot to
    #[arg(long, value_name = "FILE.svg")]
    pub out: PathBuf,
    /// What to plot
    #[arg(value_enum)]
    pub plot: Plot,
    /// Results of runs; there is one line for each label
    #[arg(required = true, value_name = "FILE.json")]
    pub files: Vec<PathBuf>,
}

/// A workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// SET
    Set,
    /// GET
    Get,
    /// SET and GET
    Mixed,
    /// INCR
    Incr,
    /// LPUSH
    Lpush,
    /// LPUSH and LPOP, half each
    Lpop,
    /// HSET of one field
    Hset,
    /// HGET of one field
    Hget,
    /// SADD and SREM of one member, half each
    Sadd,
}

/// The distribution of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Distribution {
    /// All equally often
    Uniform,
    /// The first ones more often
    Zipf,
}

/// How a thread waits for replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// In the kernel
    Sleep,
    /// Polling all the time
    Spin,
}

/// When to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Also elsewhere
    Always,
    /// Not at all
    Never,
}

/// A command that reads a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// CDC.READ
    CdcRead,
    /// XRANGE
    Xrange,
    /// XREAD
    Xread,
    /// CDC.GROUP READ, then CDC.ACK of all events
    Group,
    /// XREADGROUP, then XACK of all entries
    Xreadgroup,
}

/// A plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Plot {
    /// Latency by percentile
    Percentiles,
    /// Throughput by pipeline depth
    Pipelines,
}

/// The name of a value on the command line.
pub fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// A range of slots, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first.
    pub from: u16,
    /// The last, not below the first.
    pub to: u16,
}

impl FromStr for SlotRange {
    type Err = String;

    fn from_str(text: &str) -> Result<SlotRange, String> {
        let range = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            (from <= to && to < SLOT_COUNT).then_some(SlotRange { from, to })
        });
        range.ok_or_else(|| format!("two slots, such as 0-8191; the last one is {}", SLOT_COUNT - 1))
    }
}

impl LoadOptions {
    /// How the threads wait.
    pub fn wait(&self) -> Wait {
        self.run.wait.unwrap_or(if self.rate.is_some() { Wait::Spin } else { Wait::Sleep })
    }

    /// Checks the rules that clap cannot.
    ///
    /// # Errors
    /// Names the option and its bounds.
    pub fn check(&self) -> Result<(), BenchError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let rules = [
            (self.keys > 0, "--keys: at least 1"),
            (self.value_bytes <= 256 << 20, "--value-bytes: at most 256 MiB"),
            ((1..=1 << 20).contains(&self.pipeline), "--pipeline: 1 to 1048576"),
            ((1..=1024).contains(&self.threads), "--threads: 1 to 1024"),
            (self.connections >= self.threads, "--connections: at least one for each of the --threads"),
            (self.connections <= 65_536, "--connections: at most 65536"),
            (self.requests != Some(0), "--requests: at least 1"),
            (self.seconds.is_none_or(positive), "--seconds: more than 0"),
            (self.warmup_seconds.is_finite() && self.warmup_seconds >= 0.0, "--warmup-seconds: 0 or more"),
            (self.rate.is_none_or(positive), "--rate: more than 0"),
            ((0.0..=1.0).contains(&self.set_share), "--set-share: 0 to 1"),
            (self.zipf_exponent.is_finite() && self.zipf_exponent >= 0.0, "--zipf-exponent: 0 or more"),
        ];
        first_broken(&rules)
    }
}

impl ReadOptions {
    /// Checks the rules that clap cannot.
    ///
    /// # Errors
    /// Names the option and its bounds.
    pub fn check(&self) -> Result<(), BenchError> {
        let rules = [
            (self.events > 0, "--events: at least 1"),
            ((1..=10_000).contains(&self.count), "--count: 1 to 10000"),
            (self.passes > 0, "--passes: at least 1"),
            ((1..=65_536).contains(&self.connections), "--connections: 1 to 65536"),
            (self.keys > 0, "--keys: at least 1"),
            (self.value_bytes <= 256 << 20, "--value-bytes: at most 256 MiB"),
        ];
        first_broken(&rules)
    }
}

/// The first broken rule, as an error.
pub fn first_broken(rules: &[(bool, &str)]) -> Result<(), BenchError> {
    match rules.iter().find(|(is_kept, _)| !is_kept) {
        Some((_, message)) => Err(BenchError::Options((*message).to_owned())),
        None => Ok(()),
    }
}
