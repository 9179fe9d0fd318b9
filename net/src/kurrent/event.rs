//! What a record is to a client of KurrentDB.
//!
//! The data of an event is bytes, and Keytide's own events may have several parts: the last part is the data, those before
//! it are custom metadata, as a JSON object: `HSet`'s is `{"field":"…"}`. A part that is no UTF-8 is `{"base64":"…"}`
//! there.

use super::id;
use crate::kurrent::wire::Recorded;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keytide_engine::event::EventType;
use keytide_engine::position::Revision;
use keytide_engine::ring::{Record, RecordData};
use keytide_engine::stream_metadata::DELETED_TYPE;
use keytide_engine::stream_name::{FLUSHES, LINK_TYPE};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The names of the parts before the last one.
fn part_names(event_type: EventType) -> &'static [&'static str] {
    match event_type {
        EventType::HSet | EventType::HTtlSet => &["field"],
        EventType::LSet | EventType::LInsert => &["index"],
        EventType::LRem => &["count"],
        EventType::LTrim => &["first"],
        EventType::ZAdd => &["score"],
        EventType::Rename | EventType::Copy => &["source", "kind"],
        EventType::Restore => &["kind"],
        EventType::SetRange => &["offset"],
        _ => &[],
    }
}

/// The event as a client sees it.
pub fn recorded<'a>(record: &'a Record<'a>) -> Recorded<'a> {
    let (data, meta) = match record.data() {
        None => (&b""[..], None),
        Some(RecordData::One(data)) => (data, None),
        Some(RecordData::Parts(parts)) => {
            let parts: Vec<&[u8]> = parts.collect();
            let (data, before) = parts.split_last().map_or((&b""[..], &[][..]), |(data, before)| (*data, before));
            (data, Some(Cow::Owned(parts_as_json(part_names(record.event_type()), before))))
        }
    };
    Recorded {
        id: record.id().unwrap_or_else(|| id::of_position(record.position())),
        stream: if record.event_type() == EventType::FlushDb { FLUSHES } else { record.key() },
        // The end of a stream comes behind all that it could ever have.
        revision: if record.type_name() == DELETED_TYPE { Revision(i64::MAX as u64) } else { record.revision() },
        position: record.position(),
        event_type: record.type_name(),
        timestamp_ms: record.timestamp_ms(),
        is_json: record.is_json(),
        meta: meta.or_else(|| record.meta().map(Cow::Borrowed)).unwrap_or_default(),
        data: Cow::Borrowed(data),
    }
}

/// The link to an event in a stream of links.
pub fn link<'a>(record: &'a Record<'a>, stream: &'a [u8]) -> Recorded<'a> {
    let target = if record.event_type() == EventType::FlushDb { FLUSHES } else { record.key() };
    Recorded {
        id: id::of_link(record.position()),
        stream,
        // Revisions of a stream of links are positions.
        revision: Revision(record.position().0),
        position: record.position(),
        event_type: LINK_TYPE,
        timestamp_ms: record.timestamp_ms(),
        is_json: false,
        meta: Cow::Borrowed(b""),
        data: Cow::Owned([record.revision().to_string().as_bytes(), b"@", target].concat()),
    }
}

fn parts_as_json(names: &[&str], parts: &[&[u8]]) -> Vec<u8> {
    let value = |part: &&[u8]| match std::str::from_utf8(part) {
        Ok(text) => json!(text),
        Err(_) => json!({ "base64": BASE64_STANDARD.encode(part) }),
    };
    let mut fields: Map<String, Value> =
        names.iter().zip(parts).map(|(name, part)| ((*name).to_owned(), value(part))).collect();
    if parts.len() > names.len() {
        fields.insert("parts".to_owned(), parts[names.len()..].iter().map(value).collect());
    }
    Value::Object(fields).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_before_the_last_have_names() {
        let json = |event_type, parts: &[&[u8]]| {
            String::from_utf8(parts_as_json(part_names(event_type), parts)).expect("JSON")
        };
        assert_eq!(json(EventType::HSet, &[b"name"]), r#"{"field":"name"}"#);
        assert_eq!(json(EventType::HSet, &[b"\xff"]), r#"{"field":{"base64":"/w=="}}"#);
        assert_eq!(json(EventType::Rename, &[b"a", b"list", b"x"]), r#"{"kind":"list","parts":["x"],"source":"a"}"#);
    }
}
