//! What a client says of a group. Some of it says what the group does; the rest has no meaning here and is kept with the group,
//! so that clients read what they have written.

use super::super::proto::persistent_subscriptions::create_req::Settings as Message;
use super::super::proto::persistent_subscriptions::create_req::settings::{CheckpointAfter, MessageTimeout};
use crate::grpc::Status;
use keytide_engine::group::{
    Dispatch, GROUP_AHEAD_MAX, GROUP_PENDING_DEFAULT, GroupOptions, GroupSpec, PushOptions, Selection,
};
use serde::{Deserialize, Serialize};

/// How many 100-nanosecond ticks a millisecond has.
const TICKS_PER_MS: i64 = 10_000;

/// What a client says of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether the events behind links are sent.
    pub resolve_links: bool,
    /// Where it starts, as clients read it.
    pub start_from: String,
    pub extra_statistics: bool,
    pub message_timeout_ms: i32,
    pub max_retry_count: i32,
    pub checkpoint_after_ms: i32,
    pub min_checkpoint_count: i32,
    pub max_checkpoint_count: i32,
    pub max_subscriber_count: i32,
    pub live_buffer_size: i32,
    pub read_batch_size: i32,
    pub history_buffer_size: i32,
    /// The name of its strategy.
    pub strategy: String,
}

/// The strategies, by their names.
const STRATEGIES: [(&str, Dispatch); 4] = [
    ("DispatchToSingle", Dispatch::First),
    ("RoundRobin", Dispatch::RoundRobin),
    ("Pinned", Dispatch::PinnedByStream),
    ("PinnedByCorrelation", Dispatch::PinnedByCorrelation),
];

/// Why settings are refused.
pub enum Wrong {
    /// They are no settings.
    Invalid(Status),
    /// A group cannot be so, for this reason.
    Reason(String),
}

impl Settings {
    /// Reads what a client says.
    ///
    /// # Errors
    /// They contradict each other, or a number is negative that cannot be.
    pub fn read(message: Message, start_from: String) -> Result<Settings, Wrong> {
        let missing = |what: &str| Wrong::Invalid(Status::invalid(format!("{what} is missing")));
        let of_ticks = |ticks: i64| i32::try_from(ticks / TICKS_PER_MS).unwrap_or(i32::MAX);
        let strategy = match (&message.consumer_strategy[..], message.named_consumer_strategy) {
            ("", number) => STRATEGIES
                .get(..3)
                .and_then(|named| named.get(usize::try_from(number).ok()?))
                .map(|(name, _)| (*name).to_owned())
                .ok_or_else(|| Wrong::Reason(format!("Consumer strategy {number} does not exist.")))?,
            (name, _) => name.to_owned(),
        };
        if STRATEGIES.iter().all(|(name, _)| *name != strategy) {
            return Err(Wrong::Reason(format!("Consumer strategy {strategy} does not exist.")));
        }
        let settings = Settings {
            resolve_links: message.resolve_links,
            start_from,
            extra_statistics: message.extra_statistics,
            message_timeout_ms: match message.message_timeout.ok_or_else(|| missing("message_timeout"))? {
                MessageTimeout::MessageTimeoutMs(ms) => ms,
                MessageTimeout::MessageTimeoutTicks(ticks) => of_ticks(ticks),
            },
            max_retry_count: message.max_retry_count,
            checkpoint_after_ms: match message.checkpoint_after.ok_or_else(|| missing("checkpoint_after"))? {
                CheckpointAfter::CheckpointAfterMs(ms) => ms,
                CheckpointAfter::CheckpointAfterTicks(ticks) => of_ticks(ticks),
            },
            min_checkpoint_count: message.min_checkpoint_count,
            max_checkpoint_count: message.max_checkpoint_count,
            max_subscriber_count: message.max_subscriber_count,
            live_buffer_size: message.live_buffer_size,
            read_batch_size: message.read_batch_size,
            history_buffer_size: message.history_buffer_size,
            strategy,
        };
        let positive = [
            ("message_timeout", settings.message_timeout_ms),
            ("max_retry_count", settings.max_retry_count),
            ("max_subscriber_count", settings.max_subscriber_count),
            ("live_buffer_size", settings.live_buffer_size),
            ("read_batch_size", settings.read_batch_size),
            ("history_buffer_size", settings.history_buffer_size),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value < 0) {
            return Err(Wrong::Reason(format!("{name} must not be negative.")));
        }
        if settings.read_batch_size >= settings.history_buffer_size {
            let (batch, buffer) = (settings.read_batch_size, settings.history_buffer_size);
            let text = format!("read_batch_size {batch} must be smaller than history_buffer_size {buffer}.");
            return Err(Wrong::Reason(text));
        }
        Ok(settings)
    }

    /// The options of the group.
    pub fn options(&self) -> GroupOptions {
        GroupOptions {
            idle_ms: self.message_timeout_ms.max(0) as u64,
            // The first delivery is no retry. Without a limit there is no other number for it.
            max_deliveries: if self.max_retry_count == i32::MAX { 0 } else { self.max_retry_count.max(0) as u32 + 1 },
            max_pending: GROUP_PENDING_DEFAULT,
        }
    }

    /// What the group is made of.
    pub fn spec(&self, selection: Selection) -> GroupSpec {
        let dispatch = STRATEGIES.iter().find(|(name, _)| *name == self.strategy).map(|(_, dispatch)| *dispatch);
        let ahead = (self.history_buffer_size.max(1) as usize).min(GROUP_AHEAD_MAX);
        GroupSpec {
            selection: Some(selection),
            push: PushOptions {
                dispatch: dispatch.unwrap_or_default(),
                max_seats: self.max_subscriber_count.max(0) as u32,
                ahead,
            },
            // These fields are always JSON.
            notes: serde_json::to_vec(self).unwrap_or_default().into(),
        }
    }

    /// The settings of a group, also of one that a client of another protocol has made, whose first event is at `start_from`.
    pub fn of(options: &GroupOptions, spec: &GroupSpec, start_from: &str) -> Settings {
        if let Ok(settings) = serde_json::from_slice(&spec.notes) {
            return settings;
        }
        let name = STRATEGIES.iter().find(|(_, dispatch)| *dispatch == spec.push.dispatch).map_or("", |(name, _)| name);
        Settings {
            resolve_links: false,
            start_from: start_from.to_owned(),
            extra_statistics: false,
            message_timeout_ms: i32::try_from(options.idle_ms).unwrap_or(i32::MAX),
            max_retry_count: match options.max_deliveries {
                0 => i32::MAX,
                deliveries => i32::try_from(deliveries - 1).unwrap_or(i32::MAX),
            },
            checkpoint_after_ms: 0,
            min_checkpoint_count: 1,
            max_checkpoint_count: 1,
            max_subscriber_count: i32::try_from(spec.push.max_seats).unwrap_or(i32::MAX),
            live_buffer_size: i32::try_from(spec.push.ahead).unwrap_or(i32::MAX),
            read_batch_size: 1,
            history_buffer_size: i32::try_from(spec.push.ahead).unwrap_or(i32::MAX),
            strategy: name.to_owned(),
        }
    }
}
