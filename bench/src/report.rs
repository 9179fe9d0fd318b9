//! The result of a run: as JSON for programs, as a table for people.

use crate::cpu::Spent;
use crate::delivery::Delivery;
use crate::error::BenchError;
use crate::latency::Summary;
use crate::text::grouped;

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// The load is busy above this many cores, even if it sleeps when idle: then it may be the bottleneck.
const BUSY_SHARE: f64 = 0.9;

/// The result of one run. Unknown or inapplicable fields are null.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The run's label.
    pub label: Option<String>,
    /// `load`, `read` or `subscribe`.
    pub kind: String,
    /// The workload, or the command that read the history.
    pub workload: String,
    /// The server's address.
    pub addr: String,
    /// The number of connections.
    pub connections: usize,
    /// The number of the load's threads.
    pub threads: usize,
    /// How they waited: `sleep` or `spin`.
    pub wait: String,
    /// The most commands in flight on each connection.
    pub pipeline: Option<u32>,
    /// The size of a value in bytes.
    pub value_bytes: Option<usize>,
    /// The number of different keys.
    pub keys: Option<u32>,
    /// The distribution of the keys.
    pub distribution: Option<String>,
    /// The skew of zipf.
    pub zipf_exponent: Option<f64>,
    /// The number of events requested at once.
    pub events_at_once: Option<u64>,
    /// Open loop: the requested commands per second.
    pub rate_asked: Option<f64>,
    /// Commands measured, or events read. For `subscribe`: writes, or pushes with their latency, or events, depending
    /// on the writer.
    pub operations: u64,
    /// Error replies: the first one ends a run without a report, so there are none.
    pub errors: u64,
    /// The number of nil replies.
    pub absent: u64,
    /// Open loop: commands without a reply 10 s after the last one was due. They are in `latency_us` with their age.
    pub unanswered: u64,
    /// The time from the start of the measurement to the last reply.
    pub seconds: f64,
    /// Operations per second.
    pub rate: f64,
    /// Latencies in microseconds: of commands, for `read` of steps, for `subscribe` of the probing GETs, or from a
    /// write's due time to its push.
    pub latency_us: Summary,
    /// Pairs of a percentile and its latency in microseconds.
    pub percentiles: Vec<(f64, f64)>,
    /// CPU times, as fields of this object.
    #[serde(flatten)]
    pub cpu: Spent,
    /// The seed of the key sequence.
    pub seed: Option<u64>,
    /// For `subscribe`: subscriptions at the start.
    #[serde(default)]
    pub subscriptions: Option<usize>,
    /// For `subscribe`: the events received.
    #[serde(default)]
    pub delivery: Option<Delivery>,
}

impl Report {
    /// Writes the JSON to this file, or to the standard output for `-`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_json(&self, path: &Path) -> Result<(), BenchError> {
        let json = |source| BenchError::Json { path: path.to_owned(), source };
        let text = serde_json::to_string(self).map_err(json)? + "\n";
        if path == Path::new("-") {
            return print(&text);
        }
        fs::write(path, text).map_err(|source| BenchError::File { path: path.to_owned(), source })
    }

    /// Reads a file written by [`Report::write_json`].
    ///
    /// # Errors
    /// If it cannot be read, or is not a result.
    pub fn read_json(path: &Path) -> Result<Report, BenchError> {
        let text = fs::read_to_string(path).map_err(|source| BenchError::File { path: path.to_owned(), source })?;
        serde_json::from_str(&text).map_err(|source| BenchError::Json { path: path.to_owned(), source })
    }

    /// The run's name in plots and tables.
    pub fn name(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.addr)
    }

    /// The table as text.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, text: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name:<13} {text}");
        };
        let operation = match (self.kind.as_str(), &self.rate_asked, self.pipeline) {
            ("read", ..) | ("subscribe", None, None) => "event",
            ("subscribe", Some(_), _) => "push",
            _ => "command",
        };
        let mut what = format!("{} on {}, {} connections", self.workload, self.addr, self.connections);
        for (name, value) in [
            ("pipeline", self.pipeline.map(|n| n.to_string())),
            ("events at once", self.events_at_once.map(grouped)),
            ("subscriptions", self.subscriptions.map(grouped)),
            ("keys", self.keys.map(grouped)),
            ("value bytes", self.value_bytes.map(|n| n.to_string())),
            ("seed", self.seed.map(|n| n.to_string())),
        ] {
            if let Some(value) = value {
                // As above.
                let _ = write!(what, ", {name} {value}");
            }
        }
        if let Some(distribution) = &self.distribution {
            what += &format!(", {distribution}");
        }
        line(self.label.as_deref().unwrap_or("run"), what);
        let asked = self.rate_asked.map_or_else(String::new, |rate| format!(" (asked: {})", grouped(rate.round())));
        let (count, rate) = (grouped(self.operations), grouped(self.rate.round()));
        let plural = if operation == "push" { "pushes".to_owned() } else { format!("{operation}s") };
        line(&plural, format!("{count} in {:.3} s: {rate} per second{asked}", self.seconds));
        let latency = &self.latency_us;
        // There is none if subscribers only listen.
        if latency.max > 0.0 {
            if let Some(delivery) = &self.delivery {
                delivery_lines(delivery, &mut line);
            }
            line("latency µs", format!("min {}  mean {}  max {}", latency.min, latency.mean, latency.max));
            let tail = [("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99), ("p99.9", latency.p99_9)];
            let tail = tail.iter().map(|(name, us)| format!("{name} {us}  ")).collect::<String>();
            line("", format!("{tail}p99.99 {}", latency.p99_99));
        }
        let cpu = |us: f64, share: f64| format!("{us:.3} µs per {operation}, {share:.2} cores");
        match (self.cpu.server_cpu_us_per_op, self.cpu.server_cpu_share) {
            (Some(us), Some(share)) => line("server CPU", cpu(us, share)),
            _ => line("server CPU", "unknown: give --server-pid".to_owned()),
        }
        line("load CPU", cpu(self.cpu.load_cpu_us_per_op, self.cpu.load_cpu_share));
        if self.wait == "sleep" && self.cpu.load_cpu_share > BUSY_SHARE * self.threads as f64 {
            line("WARNING", "the load was busy all the time: it may be the limit here, not the server".to_owned());
        }
        if self.absent > 0 {
            line("WARNING", format!("{} replies were nil: give --fill", grouped(self.absent)));
        }
        if self.unanswered > 0 {
            let count = grouped(self.unanswered);
            line("WARNING", format!("{count} commands had no reply in the end: the server is too slow for this rate"));
        }
        out
    }
}

/// The received events as text.
fn delivery_lines(delivery: &Delivery, line: &mut impl FnMut(&str, String)) {
    let Delivery { accepted, live, refused, events, .. } = delivery;
    let expected = delivery.expected.map_or_else(String::new, |count| format!(" of {}", grouped(count)));
    let mut counts = format!("{}{expected}", grouped(events));
    for (name, count) in [
        ("missing", delivery.missing),
        ("out of order", delivery.disordered),
        ("gaps", delivery.gaps),
        ("checkpoints", delivery.checkpoints),
        ("fell behind", delivery.fell_behind),
    ] {
        if count > 0 {
            counts += &format!(", {name} {}", grouped(count));
        }
    }
    if let (Some(first), Some(last)) = (delivery.first_push_seconds, delivery.last_push_seconds) {
        counts += &format!(", from {first:.3} s to {last:.3} s");
    }
    line("received", counts);
    let mut subscribers = format!("{} accepted, {} live in the end", grouped(accepted), grouped(live));
    if *refused > 0 {
        let first = delivery.first_refusal.as_deref().unwrap_or_default();
        subscribers += &format!(", {} refused ({first})", grouped(refused));
    }
    for (reason, count) in &delivery.dropped {
        subscribers += &format!(", {} dropped as {reason}", grouped(count));
    }
    line("subscribers", subscribers);
    if let Some(us) = delivery.server_cpu_us_per_event {
        line("", format!("server CPU {us:.3} µs per event"));
    }
    if let Some(us) = delivery.longest_turn_us {
        line("longest turn", format!("{us} µs"));
    }
}

/// Writes to the standard output.
///
/// # Errors
/// If it is closed.
pub fn print(text: &str) -> Result<(), BenchError> {
    let failed = |source| BenchError::File { path: "standard output".into(), source };
    std::io::stdout().write_all(text.as_bytes()).map_err(failed)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::latency::Latencies;

    /// A result for tests.
    pub fn report(label: &str, pipeline: u32, rate: f64) -> Report {
        let mut latencies = Latencies::default();
        (1..=10_000).for_each(|n| latencies.record(n * 100, 1));
        Report {
            label: Some(label.to_owned()),
            kind: "load".to_owned(),
            workload: "set".to_owned(),
            addr: "127.0.0.1:6379".to_owned(),
            connections: 50,
            threads: 1,
            wait: "sleep".to_owned(),
            pipeline: Some(pipeline),
            value_bytes: Some(64),
            keys: Some(100_000),
            distribution: Some("uniform".to_owned()),
            zipf_exponent: None,
            events_at_once: None,
            rate_asked: None,
            operations: 1_234_567,
            errors: 0,
            absent: 0,
            unanswered: 0,
            seconds: 5.0,
            rate,
            latency_us: latencies.summary(),
            percentiles: latencies.percentiles(),
            cpu: Spent {
                server_cpu_us_per_op: None,
                server_cpu_share: None,
                load_cpu_us_per_op: 0.25,
                load_cpu_share: 1.0,
            },
            seed: Some(7),
            subscriptions: None,
            delivery: None,
        }
    }

    #[test]
    fn the_json_has_every_field_that_readers_rely_on_and_null_for_unknown_ones() {
        let value = serde_json::to_value(report("x", 16, 1e6)).unwrap();
        for field in [
            "label",
            "kind",
            "workload",
            "addr",
            "connections",
            "pipeline",
            "value_bytes",
            "keys",
            "distribution",
            "rate_asked",
            "operations",
            "errors",
            "seconds",
            "rate",
            "latency_us",
            "percentiles",
            "seed",
            "server_cpu_us_per_op",
            "server_cpu_share",
            "load_cpu_us_per_op",
            "load_cpu_share",
        ] {
            assert!(value.get(field).is_some(), "{field}");
        }
        assert!(value["rate_asked"].is_null() && value["server_cpu_share"].is_null());
        for field in ["min", "mean", "p50", "p90", "p99", "p99_9", "p99_99", "max"] {
            assert!(value["latency_us"][field].is_f64(), "{field}");
        }
        assert!(value["percentiles"][0][1].is_f64());
    }

    #[test]
    fn the_table_names_the_measurements() {
        let table = report("a label", 16, 246_913.4).table();
        for words in ["a label", "set on 127.0.0.1:6379", "1,234,567 in 5.000 s: 246,913 per second", "load CPU"] {
            assert!(table.contains(words), "{words:?} in:\n{table}");
        }
        assert!(table.contains("it may be the limit"), "it kept a whole core busy");
        assert!(!table.contains("--fill"));
        assert_eq!([0, 999, 1000, 1_000_000].map(grouped), ["0", "999", "1,000", "1,000,000"]);
    }
}
