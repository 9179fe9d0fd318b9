//! The subscriptions' part of a result.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The received messages of a run's subscriptions, as part of its result.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Subscriptions that the server accepted, including those added later.
    pub accepted: u64,
    /// Subscriptions that it refused.
    pub refused: u64,
    /// The error of the first refusal.
    pub first_refusal: Option<String>,
    /// Subscriptions that were added during the run.
    pub added: u64,
    /// Subscriptions that were live at the end; for a redis-server all.
    pub live: u64,
    /// Events received by all subscriptions together; for channels: messages.
    pub events: u64,
    /// The expected number of events; null if unknown.
    pub expected: Option<u64>,
    /// Skipped positions, if every position is expected.
    pub missing: u64,
    /// Events whose position was not above the previous one.
    pub disordered: u64,
    /// `cdc.gap`.
    pub gaps: u64,
    /// The positions in these gaps.
    pub lost: u64,
    /// `cdc.caughtup`.
    pub caught_up: u64,
    /// `cdc.fellbehind`.
    pub fell_behind: u64,
    /// `cdc.checkpoint`.
    pub checkpoints: u64,
    /// `cdc.dropped` by reason.
    pub dropped: BTreeMap<String, u64>,
    /// The time of the first event, in seconds since the start.
    pub first_push_seconds: Option<f64>,
    /// The time of the last event, in seconds since the start.
    pub last_push_seconds: Option<f64>,
    /// The server's CPU time from the start to the last event, per event, in microseconds.
    pub server_cpu_us_per_event: Option<f64>,
    /// The longest turn of a Keytide during the run, as it reports it, in microseconds.
    pub longest_turn_us: Option<f64>,
    /// Probing GETs without a reply, and so without a latency.
    pub probes_unanswered: Option<u64>,
}

impl Delivery {
    /// The number of ended subscriptions.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}
