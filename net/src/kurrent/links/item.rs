//! What waits behind a link: messages that are written, links whose events are looked for, the end of the call.

use super::super::event::recorded;
use super::super::wire::Recorded;
use crate::grpc::Status;
use crate::grpc::message::append;
use bytes::Bytes;
use keytide_engine::event::EventType;
use keytide_engine::position::{Position, Revision};
use keytide_engine::ring::Record;
use keytide_engine::stream_name::LINK_TYPE;
use std::borrow::Cow;

/// What waits.
pub enum Item {
    /// A message, with what precedes it.
    Message(Vec<u8>),
    /// A link.
    Link(Box<Link>),
    /// The call ends so.
    End(Status),
}

/// A link, and what it points to.
pub struct Link {
    id: [u8; 16],
    /// The stream that it is in.
    own: Box<[u8]>,
    own_revision: Revision,
    position: Position,
    timestamp_ms: u64,
    is_json: bool,
    meta: Vec<u8>,
    data: Vec<u8>,
    /// How often it was delivered again, where a group delivers it.
    pub retries: Option<u32>,
    /// The stream of its event.
    pub stream: Bytes,
    /// The revision of its event; none where no event has it.
    pub revision: Option<u64>,
}

/// Whether a client has written a record as a link.
#[inline]
pub fn is_link(record: &Record<'_>) -> bool {
    record.type_name() == LINK_TYPE && record.event_type() == EventType::Custom
}

impl Item {
    /// The link that a record is, `retries` says how often it was delivered again. None where the record is no link, or points
    /// to no event: then it is an event like any other.
    pub fn link(record: &Record<'_>, retries: Option<u32>) -> Option<Item> {
        if !is_link(record) {
            return None;
        }
        let Recorded { id, stream, revision, position, timestamp_ms, is_json, meta, data, .. } = recorded(record);
        let (target, target_revision) = target(&data)?;
        Some(Item::Link(Box::new(Link {
            id,
            own: stream.into(),
            own_revision: revision,
            position,
            timestamp_ms,
            is_json,
            meta: meta.to_vec(),
            stream: Bytes::copy_from_slice(target),
            revision: target_revision,
            data: data.into_owned(),
            retries,
        })))
    }

    /// A message that `encode` writes.
    pub fn message(encode: impl FnOnce(&mut Vec<u8>)) -> Item {
        let mut message = Vec::new();
        append(&mut message, encode);
        Item::Message(message)
    }

    /// About its memory, in bytes.
    pub fn bytes(&self) -> usize {
        size_of::<Item>()
            + match self {
                Item::Message(message) => message.len(),
                Item::Link(link) => {
                    size_of::<Link>() + link.own.len() + link.stream.len() + link.meta.len() + link.data.len()
                }
                Item::End(_) => 0,
            }
    }
}

impl Link {
    /// The link as a client sees it.
    pub fn recorded(&self) -> Recorded<'_> {
        Recorded {
            id: self.id,
            stream: &self.own,
            revision: self.own_revision,
            position: self.position,
            event_type: LINK_TYPE,
            timestamp_ms: self.timestamp_ms,
            is_json: self.is_json,
            meta: Cow::Borrowed(&self.meta),
            data: Cow::Borrowed(&self.data),
        }
    }
}

/// The stream and the revision of the event that a link with this data points to. None for what does not begin with a number; no
/// revision, and maybe no stream, where there cannot be such an event.
fn target(data: &[u8]) -> Option<(&[u8], Option<u64>)> {
    let end = data.iter().position(|byte| *byte == b'@').unwrap_or(data.len());
    let number: i64 = std::str::from_utf8(&data[..end]).ok()?.trim().parse().ok()?;
    let stream = data.get(end + 1..).unwrap_or_default();
    Some((stream, u64::try_from(number).ok().filter(|_| !stream.is_empty())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_points_to_a_revision_of_a_stream() {
        for (data, wanted) in [
            ("0@orders", Some(("orders", Some(0)))),
            ("17@a@b", Some(("a@b", Some(17)))),
            (" 7 @x", Some(("x", Some(7)))),
            ("+7@x", Some(("x", Some(7)))),
            ("-1@x", Some(("x", None))),
            ("7", Some(("", None))),
            ("7@", Some(("", None))),
            ("9223372036854775807@x", Some(("x", Some(i64::MAX as u64)))),
            ("9223372036854775808@x", None),
            ("", None),
            ("@x", None),
            ("seven@x", None),
            ("7.0@x", None),
        ] {
            let wanted = wanted.map(|(stream, revision)| (stream.as_bytes(), revision));
            assert_eq!(target(data.as_bytes()), wanted, "{data}");
        }
        assert_eq!(target(b"\xff@x"), None);
    }
}
