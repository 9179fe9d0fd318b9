//! The protocols that connections speak, for the rooms that know none of them.

use crate::changes::{Channel, message};
use crate::channels::{Finished, Kind, Message};
use crate::resp;
use keytide_engine::subscription::Push;

/// What the messages to a connection are encoded as. Connections with equal encodings are sent the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The Redis protocol, in one of its versions.
    Resp(resp::Protocol),
}

impl Encoding {
    /// Appends a message of the subscription `id`.
    #[inline]
    pub fn push(self, out: &mut Vec<u8>, id: u64, push: Push<'_>) {
        match self {
            Encoding::Resp(version) => resp::push::push(out, version, id, push),
        }
    }

    /// Appends a message of the subscription for a channel of changes.
    pub fn change(self, out: &mut Vec<u8>, channel: &Channel, push: Push<'_>) {
        let reason = if let Push::Dropped(reason, _) = push { resp::push::reason_word(reason) } else { "" };
        let payload = message::of_push(channel.format, push, reason);
        self.published(out, Message { kind: Kind::Channel, channel: &channel.name, payload: &payload }, None);
    }

    /// Appends what a client is told of a change of its channels.
    pub fn channels(self, out: &mut Vec<u8>, finished: &Finished) {
        match self {
            Encoding::Resp(version) => resp::channels::changed(out, version, finished),
        }
    }

    /// Appends a published message, for a subscriber of its channel or of this pattern.
    #[inline]
    pub fn published(self, out: &mut Vec<u8>, message: Message<'_>, pattern: Option<&[u8]>) {
        match self {
            Encoding::Resp(version) => resp::channels::published(out, version, message, pattern),
        }
    }
}
