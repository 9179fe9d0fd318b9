//! The command line of `subscribe`.

use crate::error::BenchError;
use crate::options::{RunOptions, first_broken};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The digits of a time in a value.
pub const STAMP_BYTES: usize = 20;

/// Options of `subscribe`.
#[derive(Clone, Debug, Args)]
pub struct SubscribeOptions {
    #[command(flatten)]
    pub run: RunOptions,
    /// Kind of subscription
    #[arg(long, value_enum, default_value_t = Kind::Keytide)]
    pub kind: Kind,
    /// Filter of each subscription
    #[arg(long, value_enum, default_value_t = Filter::All)]
    pub filter: Filter,
    /// The regexes of --filter regex, one per line; lines with # are skipped
    #[arg(long, value_name = "FILE", default_value = "bench/regexes.txt")]
    pub regexes: PathBuf,
    /// Subscriptions of all connections together; 0 to measure without
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub subscriptions: usize,
    /// Subscribing connections
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub connections: usize,
    /// Where the subscriptions of a Keytide begin
    #[arg(long, value_enum, default_value_t = From::End)]
    pub from: From,
    /// CHECKPOINT of the subscriptions of a Keytide [default: the server's]
    #[arg(long, value_name = "N")]
    pub checkpoint: Option<u64>,
    /// What writes meanwhile
    #[arg(long, value_enum, default_value_t = Writer::None)]
    pub writer: Writer,
    /// Connections of --writer load
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub clients: usize,
    /// Commands in flight on each of them
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub pipeline: u32,
    /// Number of different keys
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    pub keys: u32,
    /// Size of a value in bytes
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub value_bytes: usize,
    /// Writes per second of --writer stamps
    #[arg(long, value_name = "R", default_value_t = 10_000.0)]
    pub rate: f64,
    /// Ends after this many writes, and their events
    #[arg(long, value_name = "N", conflicts_with = "seconds")]
    pub requests: Option<u64>,
    /// Ends after this many seconds [default: 5 with a writer]
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Seconds to write before measuring starts
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub warmup_seconds: f64,
    /// Seconds to wait between the last subscription and the first write
    #[arg(long, value_name = "S", default_value_t = 0.0)]
    pub settle_seconds: f64,
    /// Without a writer: ends after this many events of each subscription
    #[arg(long, value_name = "N")]
    pub events: Option<u64>,
    /// With --events: how often all connections are reopened and subscribe again
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub passes: u64,
    /// First writes this many SETs, over the keys in turn
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub fill: u64,
    /// GETs per second beside --writer load, on a connection of their own: measures a client's latency meanwhile
    #[arg(long, value_name = "R")]
    pub probe_rate: Option<f64>,
    /// Subscriptions per second that are added beside --writer load, with filters of their own
    #[arg(long, value_name = "R")]
    pub add_rate: Option<f64>,
}

/// The kind of subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// CDC.SUBSCRIBE $all of a Keytide
    Keytide,
    /// Keyspace notifications of a redis-server, which must be configured to send them
    Keyspace,
    /// A channel
    Pubsub,
}

/// The filter of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Filter {
    /// Everything
    All,
    /// Streams with a prefix that begins like the keys, and that none of them has
    Prefix,
    /// Streams that match one of --regexes
    Regex,
    /// Streams that match a regex whose automaton explodes, and that no key matches
    Hostile,
}

/// Where subscriptions begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// At the first retained event
    Start,
    /// After the last event
    End,
}

/// The source of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Writer {
    /// Nothing: it ends with --events, --seconds or an interrupt
    None,
    /// SETs as fast as the server answers
    Load,
    /// At --rate, whatever the server does: SETs, or PUBLISHes to a channel, whose values contain their due time.
    /// Latency counts from then to the push
    Stamps,
}

impl SubscribeOptions {
    /// How long a writer writes if its writes are not counted, in seconds.
    pub fn seconds(&self) -> f64 {
        self.seconds.unwrap_or(5.0)
    }

    /// Checks the rules that clap cannot.
    ///
    /// # Errors
    /// Names the option and its bounds.
    pub fn check(&self) -> Result<(), BenchError> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let (is_load, is_watching) = (self.writer == Writer::Load, self.writer == Writer::None);
        let is_unfiltered = self.filter == Filter::All;
        let is_plain = self.writer != Writer::Stamps || (is_unfiltered && self.kind != Kind::Keyspace);
        let is_known = match self.kind {
            Kind::Keytide => true,
            Kind::Keyspace => matches!(self.filter, Filter::All | Filter::Prefix),
            Kind::Pubsub => is_unfiltered && !is_load,
        };
        let rules = [
            (is_known, "--kind: keyspace has no regexes, pubsub no filters and no --writer load"),
            (is_plain, "--writer stamps: not with --kind keyspace, nor with a filter"),
            (self.from == From::End || is_watching, "--from start: not with a --writer"),
            ((1..=65_536).contains(&self.connections), "--connections: 1 to 65536"),
            (self.subscriptions <= 1 << 20, "--subscriptions: at most 1048576"),
            (self.subscriptions > 0 || is_load, "--subscriptions: at least 1 without --writer load"),
            ((1..=65_536).contains(&self.clients), "--clients: 1 to 65536"),
            ((1..=1 << 20).contains(&self.pipeline), "--pipeline: 1 to 1048576"),
            (self.keys > 0, "--keys: at least 1"),
            ((STAMP_BYTES..=256 << 20).contains(&self.value_bytes), "--value-bytes: 20 to 256 MiB"),
            (positive(self.rate), "--rate: more than 0"),
            (self.requests != Some(0) && self.events != Some(0), "--requests, --events: at least 1"),
            (self.seconds.is_none_or(positive), "--seconds: more than 0"),
            ((0.0..3600.0).contains(&self.warmup_seconds), "--warmup-seconds: 0 or more"),
            ((0.0..3600.0).contains(&self.settle_seconds), "--settle-seconds: 0 or more"),
            (self.warmup_seconds == 0.0 || self.requests.is_none(), "--warmup-seconds: not with --requests"),
            (self.requests.is_none() || !is_watching, "--requests: only with a --writer"),
            (self.events.is_none() || is_watching, "--events: only without a --writer"),
            (self.passes == 1 || self.events.is_some(), "--passes: only with --events"),
            (self.passes > 0, "--passes: at least 1"),
            (self.probe_rate.is_none_or(positive), "--probe-rate: more than 0"),
            (self.add_rate.is_none_or(positive), "--add-rate: more than 0"),
            (
                (self.probe_rate.is_none() && self.add_rate.is_none()) || (is_load && self.requests.is_none()),
                "--probe-rate, --add-rate: with --writer load and --seconds",
            ),
            (self.add_rate.is_none() || self.subscriptions > 0, "--add-rate: beside --subscriptions"),
        ];
        first_broken(&rules)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use clap::Parser;

    /// A command line with nothing but these options.
    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        options: SubscribeOptions,
    }

    /// Parses the options of such a command line.
    pub fn parsed(arguments: &str) -> Result<SubscribeOptions, String> {
        let words = ["subscribe"].into_iter().chain(arguments.split_ascii_whitespace());
        let options = Arguments::try_parse_from(words).map_err(|error| error.to_string())?.options;
        options.check().map(|()| options).map_err(|error| error.to_string())
    }

    #[test]
    fn a_conflicting_option_is_refused_by_name() {
        parsed("").unwrap();
        parsed("--writer load --subscriptions 0 --seconds 1").unwrap();
        for (arguments, name) in [
            ("--subscriptions 0", "--subscriptions"),
            ("--kind pubsub --filter prefix", "--kind"),
            ("--kind keyspace --filter regex", "--kind"),
            ("--kind keyspace --writer stamps", "--writer"),
            ("--writer stamps --filter prefix", "--writer"),
            ("--writer load --from start", "--from"),
            ("--value-bytes 19", "--value-bytes"),
            ("--requests 5", "--requests"),
            ("--writer load --events 5", "--events"),
            ("--passes 2", "--passes"),
            ("--writer load --requests 5 --probe-rate 5", "--probe-rate"),
            ("--writer load --requests 5 --warmup-seconds 1", "--warmup-seconds"),
        ] {
            let error = parsed(arguments).unwrap_err();
            assert!(error.contains(name), "{arguments}: {error}");
        }
    }
}
