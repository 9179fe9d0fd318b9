//! The flags of subscribers to channels: how much of their messages they may leave unread.

use super::ConfigError;
use super::values::bytes_from;
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
}

impl PubsubFlags {
    /// Adds the values of the file, for flags that are not given elsewhere.
    pub(super) fn fill_from(&mut self, file: PubsubFlags) {
        self.pubsub_output_bytes = self.pubsub_output_bytes.take().or(file.pubsub_output_bytes);
        self.pubsub_output_soft_bytes = self.pubsub_output_soft_bytes.take().or(file.pubsub_output_soft_bytes);
        self.pubsub_output_soft_seconds = self.pubsub_output_soft_seconds.or(file.pubsub_output_soft_seconds);
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
