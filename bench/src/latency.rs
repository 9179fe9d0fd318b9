//! Latencies of a run: recorded in nanoseconds with three significant digits, reported in microseconds.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// An hour: longer ones count as this.
const NS_MAX: u64 = 3_600_000_000_000;

/// Latencies of commands.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

/// The reported latencies, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct Summary {
    /// The shortest.
    pub min: f64,
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// 90 % are not longer.
    pub p90: f64,
    /// 99 % are not longer.
    pub p99: f64,
    /// 99.9 % are not longer.
    pub p99_9: f64,
    /// 99.99 % are not longer.
    pub p99_99: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Latencies {
    fn default() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, NS_MAX, 3).expect("these bounds are allowed");
        Latencies { histogram }
    }
}

impl Latencies {
    /// Records a latency for this many commands.
    #[inline]
    pub fn record(&mut self, ns: u64, commands: u64) {
        self.histogram.saturating_record_n(ns.max(1), commands);
    }

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Latencies) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
    }

    /// The number of commands.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency in microseconds that this share of the commands, 0 to 1, did not exceed.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        us(self.histogram.value_at_quantile(quantile) as f64)
    }

    /// The usual figures.
    pub fn summary(&self) -> Summary {
        Summary {
            min: us(self.histogram.min() as f64),
            mean: us(self.histogram.mean()),
            p50: self.quantile_us(0.5),
            p90: self.quantile_us(0.9),
            p99: self.quantile_us(0.99),
            p99_9: self.quantile_us(0.999),
            p99_99: self.quantile_us(0.9999),
            max: us(self.histogram.max() as f64),
        }
    }

    /// Pairs of a percentile and its latency in microseconds, up to where there are commands beyond it.
    pub fn percentiles(&self) -> Vec<(f64, f64)> {
        let mut pairs = vec![(0.0, us(self.histogram.min() as f64))];
        let shares =
            (0..9).flat_map(|decade| [0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1].map(|s| (decade, s)));
        for (decade, share) in shares {
            let beyond = share * 10_f64.powi(-decade);
            if beyond * (self.count() as f64) < 1.0 {
                break;
            }
            // Rounded, so that 99.9 is printed as such.
            let percentile = ((1.0 - beyond) * 1e12).round() / 1e10;
            pairs.push((percentile, self.quantile_us(1.0 - beyond)));
        }
        pairs
    }
}

/// Nanoseconds as microseconds, with three decimals.
fn us(ns: f64) -> f64 {
    ns.round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousand() -> Latencies {
        let mut latencies = Latencies::default();
        (1..=1000).for_each(|n| latencies.record(n * 1000, 1));
        latencies
    }

    fn is_near(found: f64, expected: f64) -> bool {
        (found / expected - 1.0).abs() < 0.002
    }

    #[test]
    fn percentiles_are_those_of_the_recorded_latencies() {
        let summary = thousand().summary();
        let found = [summary.min, summary.mean, summary.p50, summary.p90, summary.p99, summary.p99_9, summary.max];
        for (found, expected) in found.into_iter().zip([1.0, 500.5, 500.0, 900.0, 990.0, 999.0, 1000.0]) {
            assert!(is_near(found, expected), "{found}, not {expected}");
        }
    }

    #[test]
    fn a_batch_counts_as_each_of_its_commands_and_threads_add_up() {
        let mut latencies = Latencies::default();
        latencies.record(5_000, 64);
        latencies.add(&thousand());
        assert_eq!(latencies.count(), 1064);
    }

    #[test]
    fn an_endless_latency_counts_as_the_longest_and_a_latency_of_nothing_counts() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX, 1);
        latencies.record(0, 1);
        assert_eq!(latencies.count(), 2);
        assert!(is_near(latencies.summary().max, 3.6e9));
    }

    #[test]
    fn the_percentiles_grow_and_end_where_no_command_is_beyond() {
        let pairs = thousand().percentiles();
        assert!(pairs.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1), "{pairs:?}");
        for percentile in [0.0, 50.0, 90.0, 99.0, 99.9] {
            assert!(pairs.iter().any(|pair| pair.0 == percentile), "{percentile} in {pairs:?}");
        }
        assert_eq!(pairs.last().unwrap().0, 99.9);
    }
}
