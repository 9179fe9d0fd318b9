//! The ids of events and calls: UUIDs, which clients write as text or as two numbers.

use super::proto::{Uuid as UuidMessage, uuid as message};
use crate::grpc::Status;
use keytide_engine::position::Position;

/// How a client wants ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdForm {
    /// As two numbers.
    #[default]
    Structured,
    /// As text.
    Text,
}

/// Fills the first half of ids that are made of positions, with the version of a UUID whose meaning is the maker's.
const EVENT: [u8; 8] = *b"keytid\x80e";
/// The same, for the link to an event.
const LINK: [u8; 8] = *b"keytid\x80l";

/// The id of an event to which no client has given one.
pub fn of_position(position: Position) -> [u8; 16] {
    made_of(EVENT, position)
}

/// The id of a link to the event at a position. Links of several streams to one event have the same one.
pub fn of_link(position: Position) -> [u8; 16] {
    made_of(LINK, position)
}

/// The position is below 2^53, so the variant's bits are free.
fn made_of(kind: [u8; 8], position: Position) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&kind);
    id[8..].copy_from_slice(&(position.0 | 1 << 63).to_be_bytes());
    id
}

/// Reads an id.
///
/// # Errors
/// It is missing, or no UUID.
pub fn read(id: Option<&UuidMessage>) -> Result<[u8; 16], Status> {
    match id.and_then(|id| id.value.as_ref()) {
        Some(message::Value::Structured(parts)) => {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&parts.most_significant_bits.to_be_bytes());
            id[8..].copy_from_slice(&parts.least_significant_bits.to_be_bytes());
            Ok(id)
        }
        Some(message::Value::String(text)) => {
            let parsed = uuid::Uuid::try_parse(text).map_err(|_| Status::invalid("an id is not a UUID"))?;
            Ok(parsed.into_bytes())
        }
        None => Err(Status::invalid("an id is missing")),
    }
}

/// A new random id, as text.
pub fn random() -> String {
    uuid::Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_positions_are_uuids_and_differ() {
        let (a, b, link) = (of_position(Position(1)), of_position(Position(2)), of_link(Position(1)));
        assert!(a != b && a != link);
        for id in [a, b, link, of_position(Position((1 << 53) - 1))] {
            let uuid = uuid::Uuid::from_bytes(id);
            assert_eq!((uuid.get_version_num(), uuid.get_variant()), (8, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn both_forms_are_read() {
        let text = "01020304-0506-0708-890a-0b0c0d0e0f10";
        let of_text = UuidMessage { value: Some(message::Value::String(text.into())) };
        let parts = message::Structured {
            most_significant_bits: 0x0102030405060708,
            least_significant_bits: 0x890a0b0c0d0e0f10u64 as i64,
        };
        let of_parts = UuidMessage { value: Some(message::Value::Structured(parts)) };
        assert_eq!(read(Some(&of_text)), read(Some(&of_parts)));
        assert_eq!(read(Some(&of_text)).unwrap()[..3], [1, 2, 3]);
        assert!(read(None).is_err() && read(Some(&UuidMessage { value: None })).is_err());
    }
}
