//! The protocols that connections speak, for the rooms that know none of them.

use crate::resp;
use keytide_engine::subscription::Push;

/// What the messages to a connection are encoded as. Connections with equal encodings are sent the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The Redis protocol, in one of its versions.
    Resp(resp::Protocol),
}

/// One core's encoders, with what they keep from message to message.
#[derive(Default)]
pub struct Encoders {
    resp: resp::push::Tails,
}

impl Encoders {
    /// Appends a message of the subscription `id`. `is_shared` says that its bytes go to all who get it, so that nothing
    /// of it need be kept for another encoding.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, encoding: Encoding, id: u64, push: Push<'_>, is_shared: bool) {
        match encoding {
            Encoding::Resp(version) => resp::push::push(out, version, &mut self.resp, id, push, is_shared),
        }
    }
}
