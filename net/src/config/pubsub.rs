//! The flags of publish/subscribe: how much of their messages subscribers to channels may leave unread, and what is published of
//! keys.

use super::ConfigError;
use super::values::{bytes_from, refused};
use crate::keyspace_events::Classes;
use crate::limits::{
    PUBSUB_OUTPUT_BYTES_DEFAULT, PUBSUB_OUTPUT_SOFT_BYTES_DEFAULT, PUBSUB_OUTPUT_SOFT_SECONDS_DEFAULT,
};
use crate::unread::SubscriberLimit;
use clap::Parser;
use serde::Deserialize;

/// The given flags of subscribers to channels.
#[derive(Parser, Deserialize, Debug, Default)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "Publish/subscribe")]
pub(super) struct PubsubFlags {
    /// Bytes of unread output at which a client that is subscribed to channels is closed; 0 = no limit; suffixes k, m, g
    /// [default: 32m]
    #[arg(long, env = "KEYTIDE_PUBSUB_OUTPUT_BYTES", value_name = "BYTES")]
    pubsub_output_bytes: Option<String>,
    /// Bytes of unread output that such a client may have for --pubsub-output-soft-seconds; 0 = no limit; suffixes k, m,
    /// g [default: 8m]
    #[arg(long, env = "KEYTIDE_PUBSUB_OUTPUT_SOFT_BYTES", value_name = "BYTES")]
    pubsub_output_soft_bytes: Option<String>,
    /// Seconds after which such a client is closed if it has more unread output than --pubsub-output-soft-bytes all the
    /// time [default: 60]
    #[arg(long, env = "KEYTIDE_PUBSUB_OUTPUT_SOFT_SECONDS", value_name = "SECONDS")]
    pubsub_output_soft_seconds: Option<u64>,
    /// The keyspace notifications to publish, by Redis's letters: K and E for channels of keys and of events, and g $ l s h z x e
    /// t d (A for all of these), n, m for classes of events [default: none]
    #[arg(long, env = "KEYTIDE_NOTIFY_KEYSPACE_EVENTS", value_name = "LETTERS")]
    notify_keyspace_events: Option<String>,
}

impl PubsubFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: PubsubFlags) {
        self.pubsub_output_bytes = self.pubsub_output_bytes.take().or(file.pubsub_output_bytes);
        self.pubsub_output_soft_bytes = self.pubsub_output_soft_bytes.take().or(file.pubsub_output_soft_bytes);
        self.pubsub_output_soft_seconds = self.pubsub_output_soft_seconds.or(file.pubsub_output_soft_seconds);
        self.notify_keyspace_events = self.notify_keyspace_events.take().or(file.notify_keyspace_events);
    }

    /// The classes of keyspace notifications.
    pub(super) fn classes(&self) -> Result<Classes, ConfigError> {
        let letters = self.notify_keyspace_events.as_deref().unwrap_or_default();
        Classes::parse(letters.as_bytes()).ok_or_else(|| refused("notify-keyspace-events", letters, Classes::INVALID))
    }

    /// The limit.
    pub(super) fn decide(&self) -> Result<SubscriberLimit, ConfigError> {
        let bytes = |flag, text: &Option<String>, default| bytes_from(flag, text.as_deref(), (0, default));
        Ok(SubscriberLimit {
            hard_bytes: bytes("pubsub-output-bytes", &self.pubsub_output_bytes, PUBSUB_OUTPUT_BYTES_DEFAULT)?,
            soft_bytes: bytes(
                "pubsub-output-soft-bytes",
                &self.pubsub_output_soft_bytes,
                PUBSUB_OUTPUT_SOFT_BYTES_DEFAULT,
            )?,
            soft_seconds: self.pubsub_output_soft_seconds.unwrap_or(PUBSUB_OUTPUT_SOFT_SECONDS_DEFAULT),
        })
    }
}
