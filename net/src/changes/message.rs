//! The messages of a channel of changes: maps with the same keys as JSON and as MessagePack.
//!
//! Their `kind` is `event`, or what CDC.SUBSCRIBE pushes beside events: `caughtup`, `fellbehind`, `checkpoint`, `gap`,
//! `dropped`.

use super::Format;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keytide_engine::event::EventType;
use keytide_engine::ring::{Record, RecordData};
use keytide_engine::stream_name::{FLUSHES, LINK_TYPE};
use keytide_engine::subscription::{EventForm, Push};
use rmp::encode;
use serde_json::json;

/// A value of a message.
enum Value<'a> {
    Nothing,
    Number(u64),
    /// A word of the protocol.
    Word(&'a str),
    /// Bytes of a client.
    Bytes(&'a [u8]),
    List(Vec<&'a [u8]>),
    /// The data of a link: a revision, and the stream that it is of.
    Link(u64, &'a [u8]),
}

fn link_data(revision: u64, stream: &[u8]) -> Vec<u8> {
    [itoa::Buffer::new().format(revision).as_bytes(), b"@", stream].concat()
}

type Fields<'a> = Vec<(&'static str, Value<'a>)>;

/// The message for what a subscription is sent. `reason` is the word for the reason of a `dropped`.
pub fn of_push(format: Format, push: Push<'_>, reason: &str) -> Vec<u8> {
    let at = |kind, position| vec![("kind", Value::Word(kind)), ("position", Value::Number(position))];
    let fields = match push {
        Push::Event(record, form) => event(record, form),
        Push::CaughtUp(position) => at("caughtup", position.0),
        Push::FellBehind(position) => at("fellbehind", position.0),
        Push::Checkpoint(position) => at("checkpoint", position.0),
        Push::Gap(from, to) => {
            vec![("kind", Value::Word("gap")), ("from", Value::Number(from.0)), ("to", Value::Number(to.0))]
        }
        Push::Dropped(_, position) => {
            let mut fields = at("dropped", position.0);
            fields.push(("reason", Value::Word(reason)));
            fields
        }
    };
    write(format, &fields)
}

/// The message for a subscription that could not be made.
pub fn of_refusal(format: Format, error: &[u8]) -> Vec<u8> {
    write(format, &[("kind", Value::Word("dropped")), ("reason", Value::Bytes(error))])
}

/// The fields of an event.
fn event<'a>(record: &'a Record<'a>, form: EventForm<'a>) -> Fields<'a> {
    let is_flush = record.event_type() == EventType::FlushDb;
    let form = if is_flush { EventForm::Event } else { form };
    let position = Value::Number(record.position().0);
    let mut fields = vec![("kind", Value::Word("event")), ("position", position)];
    if let EventForm::Link(stream) = form {
        fields.extend([
            ("stream", Value::Bytes(stream)),
            ("revision", Value::Number(record.position().0)),
            ("type", Value::Bytes(LINK_TYPE)),
            ("timestamp", Value::Number(record.timestamp_ms())),
            ("data", Value::Link(record.revision().0, record.key())),
            ("meta", Value::Nothing),
        ]);
        return fields;
    }
    let data = match record.data() {
        None => Value::Nothing,
        Some(RecordData::One(bytes)) => Value::Bytes(bytes),
        Some(RecordData::Parts(parts)) => Value::List(parts.collect()),
    };
    fields.extend([
        ("stream", Value::Bytes(if is_flush { FLUSHES } else { record.key() })),
        ("revision", Value::Number(record.revision().0)),
        ("type", Value::Bytes(record.type_name())),
        ("timestamp", Value::Number(record.timestamp_ms())),
        ("data", data),
        ("meta", record.meta().map_or(Value::Nothing, Value::Bytes)),
    ]);
    if let EventForm::Resolved(stream) = form {
        fields.push(("link", Value::Bytes(stream)));
    }
    fields
}

fn write(format: Format, fields: &[(&'static str, Value<'_>)]) -> Vec<u8> {
    match format {
        Format::Json => write_json(fields),
        Format::MessagePack => write_message_pack(fields),
    }
}

fn write_json(fields: &[(&'static str, Value<'_>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for (place, (name, value)) in fields.iter().enumerate() {
        out.push(if place == 0 { b'{' } else { b',' });
        json_text(&mut out, name);
        out.push(b':');
        match value {
            Value::Nothing => out.extend_from_slice(b"null"),
            Value::Number(number) => out.extend_from_slice(itoa::Buffer::new().format(*number).as_bytes()),
            Value::Word(word) => json_text(&mut out, word),
            Value::Bytes(bytes) => json_bytes(&mut out, bytes),
            Value::Link(revision, stream) => json_bytes(&mut out, &link_data(*revision, stream)),
            Value::List(parts) => {
                out.push(b'[');
                for (place, part) in parts.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    json_bytes(&mut out, part);
                }
                out.push(b']');
            }
        }
    }
    out.push(b'}');
    out
}

/// Bytes that are no UTF-8 are `{"base64":"…"}`, as in the metadata of KurrentDB's clients.
fn json_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => json_text(out, text),
        Err(_) => out.extend_from_slice(json!({ "base64": BASE64_STANDARD.encode(bytes) }).to_string().as_bytes()),
    }
}

fn json_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text is written into memory");
}

fn write_message_pack(fields: &[(&'static str, Value<'_>)]) -> Vec<u8> {
    const MEMORY: &str = "it is written into memory, which takes any number of bytes";
    let mut out = Vec::with_capacity(256);
    encode::write_map_len(&mut out, fields.len() as u32).expect(MEMORY);
    for (name, value) in fields {
        encode::write_str(&mut out, name).expect(MEMORY);
        match value {
            Value::Nothing => encode::write_nil(&mut out).expect(MEMORY),
            Value::Number(number) => _ = encode::write_uint(&mut out, *number).expect(MEMORY),
            Value::Word(word) => encode::write_str(&mut out, word).expect(MEMORY),
            Value::Bytes(bytes) => message_pack_bytes(&mut out, bytes),
            Value::Link(revision, stream) => message_pack_bytes(&mut out, &link_data(*revision, stream)),
            Value::List(parts) => {
                _ = encode::write_array_len(&mut out, parts.len() as u32).expect(MEMORY);
                parts.iter().for_each(|part| message_pack_bytes(&mut out, part));
            }
        }
    }
    out
}

/// Text where it is UTF-8, so that names and types are strings in every language, else bytes.
fn message_pack_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    const MEMORY: &str = "it is written into memory";
    match std::str::from_utf8(bytes) {
        Ok(text) => encode::write_str(out, text).expect(MEMORY),
        Err(_) => encode::write_bin(out, bytes).expect(MEMORY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keytide_engine::position::Position;
    use keytide_engine::subscription::Reason;

    fn json(push: Push<'_>) -> String {
        String::from_utf8(of_push(Format::Json, push, "too-slow")).expect("JSON is text")
    }

    #[test]
    fn notices_name_their_kind() {
        assert_eq!(json(Push::CaughtUp(Position(7))), r#"{"kind":"caughtup","position":7}"#);
        assert_eq!(json(Push::Gap(Position(1), Position(3))), r#"{"kind":"gap","from":1,"to":3}"#);
        let dropped = Push::Dropped(Reason::TooSlow, Position(9));
        assert_eq!(json(dropped), r#"{"kind":"dropped","position":9,"reason":"too-slow"}"#);
        let refused = of_refusal(Format::Json, b"ERR invalid \"regex\"");
        assert_eq!(refused, br#"{"kind":"dropped","reason":"ERR invalid \"regex\""}"#);
        let packed = of_push(Format::MessagePack, Push::CaughtUp(Position(7)), "");
        assert_eq!(packed, b"\x82\xa4kind\xa8caughtup\xa8position\x07");
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        let fields = || vec![("data", Value::List(vec![b"a\n", b"\xff"])), ("meta", Value::Nothing)];
        assert_eq!(write_json(&fields()), br#"{"data":["a\n",{"base64":"/w=="}],"meta":null}"#);
        assert_eq!(write_message_pack(&fields()), b"\x82\xa4data\x92\xa2a\n\xc4\x01\xff\xa4meta\xc0");
    }
}
