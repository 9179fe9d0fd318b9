//! The answers to reads and subscriptions, written by hand: there is one for each event, and this takes a quarter of the
//! time. Each function appends one message; the numbers of the fields are those of KurrentDB's `streams.proto`.

use super::id::IdForm;
use keytide_engine::position::{Position, Revision};
use std::borrow::Cow;

/// An event, or a link, as a client sees it.
pub struct Recorded<'a> {
    /// Its id.
    pub id: [u8; 16],
    /// Its stream.
    pub stream: &'a [u8],
    /// Its revision.
    pub revision: Revision,
    /// Its position.
    pub position: Position,
    /// The name of its type.
    pub event_type: &'a [u8],
    /// Its time, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Whether its data is JSON.
    pub is_json: bool,
    /// Its custom metadata.
    pub meta: Cow<'a, [u8]>,
    /// Its data.
    pub data: Cow<'a, [u8]>,
}

const JSON: &[u8] = b"application/json";
const BINARY: &[u8] = b"application/octet-stream";

/// How many 100-nanosecond ticks a millisecond has.
const TICKS_PER_MS: u64 = 10_000;

/// The most that a number takes, in bytes.
const NUMBER_BYTES_MAX: usize = 10;

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// A field that is a number.
fn number(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    put_number(out, value);
}

/// A field of bytes, or of text.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    put_number(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A field that is a message, whose fields `write` writes.
fn message(out: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(field << 3 | 2);
    // Most are shorter than 128 bytes, or than 16 KiB: room for two digits of the length is left, and the rest is moved
    // where it needs more or fewer.
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out);
    let length = out.len() - start - 2;
    match number_bytes(length as u64) {
        1 => {
            out[start] = length as u8;
            out.remove(start + 1);
        }
        2 => (out[start], out[start + 1]) = (length as u8 | 0x80, (length >> 7) as u8),
        more => {
            let mut digits = Vec::with_capacity(NUMBER_BYTES_MAX);
            put_number(&mut digits, length as u64);
            debug_assert_eq!(digits.len(), more);
            out.splice(start..start + 2, digits);
        }
    }
}

fn id(out: &mut Vec<u8>, field: u8, id: &[u8; 16], form: IdForm) {
    match form {
        IdForm::Text => {
            let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
            let text = uuid::Uuid::from_bytes(*id).hyphenated().encode_lower(&mut text);
            out.extend_from_slice(&[field << 3 | 2, 38, 2 << 3 | 2, 36]);
            out.extend_from_slice(text.as_bytes());
        }
        IdForm::Structured => message(out, field, |out| {
            message(out, 1, |out| {
                let both = u128::from_be_bytes(*id);
                number(out, 1, (both >> 64) as u64);
                number(out, 2, both as u64);
            });
        }),
    }
}

/// A stream's name as a message. Names are text there; what is no UTF-8 is replaced.
fn stream(out: &mut Vec<u8>, field: u8, name: &[u8]) {
    let name = String::from_utf8_lossy(name);
    message(out, field, |out| bytes(out, 3, name.as_bytes()));
}

/// An entry of the system's metadata.
fn property(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    message(out, 6, |out| {
        bytes(out, 1, name);
        bytes(out, 2, value);
    });
}

/// A recorded event.
fn recorded(out: &mut Vec<u8>, field: u8, event: &Recorded<'_>, form: IdForm) {
    out.reserve(event.data.len() + event.meta.len() + 256);
    message(out, field, |out| {
        id(out, 1, &event.id, form);
        stream(out, 2, event.stream);
        number(out, 3, event.revision.0);
        number(out, 4, event.position.0);
        number(out, 5, event.position.0);
        property(out, b"type", event.event_type);
        property(out, b"content-type", if event.is_json { JSON } else { BINARY });
        let ticks = event.timestamp_ms * TICKS_PER_MS;
        property(out, b"created", itoa::Buffer::new().format(ticks).as_bytes());
        bytes(out, 7, &event.meta);
        bytes(out, 8, &event.data);
    });
}

/// An event, its link where it was resolved, or a link alone, as an answer to a read or to a persistent subscription.
fn read_event(out: &mut Vec<u8>, (event, link): (Option<&Recorded<'_>>, Option<&Recorded<'_>>), form: IdForm) {
    if let Some(event) = event {
        recorded(out, 1, event, form);
    }
    if let Some(link) = link {
        recorded(out, 2, link, form);
    }
    if let Some(original) = link.or(event) {
        number(out, 3, original.position.0);
    }
}

/// An event of a read or a subscription.
pub fn event(out: &mut Vec<u8>, event: (Option<&Recorded<'_>>, Option<&Recorded<'_>>), form: IdForm) {
    message(out, 1, |out| read_event(out, event, form));
}

/// An event of a consumer group, which was delivered again so many times.
pub fn group_event(
    out: &mut Vec<u8>,
    event: (Option<&Recorded<'_>>, Option<&Recorded<'_>>),
    retries: u32,
    form: IdForm,
) {
    message(out, 1, |out| {
        read_event(out, event, form);
        number(out, 5, u64::from(retries));
    });
}

/// A subscription begins.
pub fn confirmation(out: &mut Vec<u8>, subscription: &str) {
    message(out, 2, |out| bytes(out, 1, subscription.as_bytes()));
}

fn timestamp(out: &mut Vec<u8>, field: u8, now_ms: u64) {
    message(out, field, |out| {
        number(out, 1, now_ms / 1_000);
        number(out, 2, now_ms % 1_000 * 1_000_000);
    });
}

/// Everything up to this position was looked at.
pub fn checkpoint(out: &mut Vec<u8>, position: Position, now_ms: u64) {
    message(out, 3, |out| {
        number(out, 1, position.0);
        number(out, 2, position.0);
        timestamp(out, 3, now_ms);
    });
}

/// The stream of a read does not exist.
pub fn stream_not_found(out: &mut Vec<u8>, name: &[u8]) {
    message(out, 4, |out| stream(out, 1, name));
}

/// The first event that can be read.
pub fn first_stream_position(out: &mut Vec<u8>, revision: Revision) {
    number(out, 5, revision.0);
}

/// The last event of the stream.
pub fn last_stream_position(out: &mut Vec<u8>, revision: Revision) {
    number(out, 6, revision.0);
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// In a stream; none where nothing of it was sent.
    Stream(Option<Revision>),
    /// In all events.
    All(Position),
}

/// A subscription is live from here on.
pub fn caught_up(out: &mut Vec<u8>, progress: Progress, now_ms: u64) {
    message(out, 8, |out| notice(out, progress, now_ms));
}

/// A subscription was too slow, and reads the history again.
pub fn fell_behind(out: &mut Vec<u8>, progress: Progress, now_ms: u64) {
    message(out, 9, |out| notice(out, progress, now_ms));
}

fn notice(out: &mut Vec<u8>, progress: Progress, now_ms: u64) {
    timestamp(out, 1, now_ms);
    match progress {
        Progress::Stream(None) => {}
        Progress::Stream(Some(revision)) => number(out, 2, revision.0),
        Progress::All(position) => message(out, 3, |out| {
            number(out, 1, position.0);
            number(out, 2, position.0);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_digits_as_they_need() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut out = vec![9];
            message(&mut out, 1, |out| out.resize(out.len() + length, b'x'));
            let mut expected = vec![9, 1 << 3 | 2];
            put_number(&mut expected, length as u64);
            expected.resize(expected.len() + length, b'x');
            assert_eq!(out, expected, "{length}");
        }
        for value in [0, 1, 127, 128, 300, u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(out.len(), number_bytes(value), "{value}");
        }
    }
}
