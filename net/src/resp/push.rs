//! The messages of subscriptions, in RESP3 as pushes and in RESP2 as arrays.

use super::{Protocol, Reply};
use keytide_engine::event::EventType;
use keytide_engine::ring::{Record, RecordData};
use keytide_engine::stream_name::{FLUSHES, LINK_TYPE};
use keytide_engine::subscription::{EventForm, Push, Reason};

/// Appends a message of the subscription `id`.
pub fn push(out: &mut Vec<u8>, protocol: Protocol, id: u64, push: Push<'_>) {
    let mut reply = Reply::new(out, protocol);
    match push {
        Push::Event(record, form) => event(&mut reply, id, record, form),
        Push::CaughtUp(position) => notice(&mut reply, "cdc.caughtup", id, &[position.0]),
        Push::FellBehind(position) => notice(&mut reply, "cdc.fellbehind", id, &[position.0]),
        Push::Checkpoint(position) => notice(&mut reply, "cdc.checkpoint", id, &[position.0]),
        Push::Gap(from, to) => notice(&mut reply, "cdc.gap", id, &[from.0, to.0]),
        Push::Dropped(reason, position) => {
            reply.push(4);
            reply.text("cdc.dropped");
            reply.unsigned(id);
            reply.text(reason_word(reason));
            reply.unsigned(position.0);
        }
    }
}

/// The word that names the reason to the client.
pub fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Unsubscribed => "unsubscribed",
        Reason::TooSlow => "too-slow",
        Reason::PositionEvicted => "position-evicted",
        Reason::PositionAhead => "position-ahead",
        Reason::RevisionAhead => "revision-ahead",
        Reason::AccessRevoked => "access-revoked",
        Reason::ShuttingDown => "shutting-down",
        Reason::Internal => "internal",
    }
}

fn notice(reply: &mut Reply<'_>, name: &str, id: u64, numbers: &[u64]) {
    reply.push(2 + numbers.len());
    reply.text(name);
    reply.unsigned(id);
    numbers.iter().for_each(|number| reply.unsigned(*number));
}

fn event(reply: &mut Reply<'_>, id: u64, record: &Record<'_>, form: EventForm<'_>) {
    let is_flush = record.event_type() == EventType::FlushDb;
    let form = if is_flush { EventForm::Event } else { form };
    let (values, link) = match form {
        EventForm::Event => (9, None),
        EventForm::Link(stream) => (9, Some(stream)),
        EventForm::Resolved(_) => (11, None),
    };
    reply.push(values);
    reply.raw(b"$9\r\ncdc.event\r\n");
    reply.unsigned(id);
    body(reply, record, link);
    if let EventForm::Resolved(stream) = form {
        reply.bulk(stream);
        reply.unsigned(record.position().0);
    }
}

/// Encodes the fields of an event behind the subscription's id: position, stream, revision, type, timestamp, data, metadata.
/// With `link`, those of the link to the event in that stream.
fn body(reply: &mut Reply<'_>, record: &Record<'_>, link: Option<&[u8]>) {
    reply.unsigned(record.position().0);
    match link {
        None => {
            let is_flush = record.event_type() == EventType::FlushDb;
            reply.bulk(if is_flush { FLUSHES } else { record.key() });
            reply.unsigned(record.revision().0);
            reply.bulk(record.type_name());
            reply.unsigned(record.timestamp_ms());
            data(reply, record);
            meta(reply, record);
        }
        Some(stream) => {
            reply.bulk(stream);
            reply.unsigned(record.position().0);
            reply.bulk(LINK_TYPE);
            reply.unsigned(record.timestamp_ms());
            let revision = record.revision().0;
            reply.bulk(&[itoa::Buffer::new().format(revision).as_bytes(), b"@", record.key()].concat());
            reply.null();
        }
    }
}

/// An event's data: nil where it has none, an array where it has parts.
pub fn data(reply: &mut Reply<'_>, record: &Record<'_>) {
    match record.data() {
        None => reply.null(),
        Some(RecordData::One(bytes)) => reply.bulk(bytes),
        Some(RecordData::Parts(parts)) => {
            reply.array(parts.clone().count());
            parts.for_each(|part| reply.bulk(part));
        }
    }
}

/// An event's metadata: nil where it has none.
pub fn meta(reply: &mut Reply<'_>, record: &Record<'_>) {
    match record.meta() {
        Some(meta) => reply.bulk(meta),
        None => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keytide_engine::event::CustomType;
    use keytide_engine::filter::Filter;
    use keytide_engine::history::{History, Request};
    use keytide_engine::position::{Position, ShardId};
    use keytide_engine::ring;
    use keytide_engine::sequencer::Sequencer;
    use keytide_engine::shard::{Expected, Shard};
    use keytide_engine::subscription::Reason;
    use keytide_engine::turn::ClientEvent;
    use std::sync::Arc;

    /// Shows each record of what a shard does, from position 7 on, at the time 99.
    fn records(act: impl FnOnce(&mut Shard), mut show: impl FnMut(&Record<'_>)) {
        let (writer, ring) = ring::create(1 << 20).unwrap();
        let sequencer = Arc::new(Sequencer::new(Position(7), 1));
        let mut shard = Shard::new(ShardId(0), sequencer.clone(), Some(writer), 16);
        shard.set_now_ms(99);
        act(&mut shard);
        shard.commit();
        let request = Request { cursor: Position(0), count: 10_000, bytes: u64::MAX, filter: &Filter::default() };
        let seen = |_, record: &Record<'_>| {
            show(record);
            1
        };
        History::new(sequencer, &[ring]).read(&request, seen).unwrap();
    }

    fn text(out: Vec<u8>) -> String {
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    /// The messages of subscription 3 for the records of a shard.
    fn messages(protocol: Protocol, form: EventForm<'_>, act: impl FnOnce(&mut Shard)) -> String {
        let mut out = Vec::new();
        records(act, |record| push(&mut out, protocol, 3, Push::Event(record, form)));
        text(out)
    }

    #[test]
    fn an_event_has_all_fields_of_its_record() {
        let event = ClientEvent {
            event_type: CustomType::new(b"Paid").expect("no built-in name"),
            data: b"1",
            meta: Some(b"m"),
            id: None,
            json: false,
        };
        let act = |shard: &mut Shard| {
            shard.set(b"k", b"v").unwrap();
            shard.append_event(b"k", event, Expected::Any).unwrap();
            shard.delete(b"k");
        };
        let wanted = ">9 $9 cdc.event :3 :7 $1 k :0 $3 Set :99 $1 v _ \
                      >9 $9 cdc.event :3 :8 $1 k :1 $4 Paid :99 $1 1 $1 m \
                      >9 $9 cdc.event :3 :9 $1 k :2 $3 Del :99 _ _ ";
        assert_eq!(messages(Protocol::Resp3, EventForm::Event, act), wanted);
        let act = |shard: &mut Shard| {
            shard.set(b"k", b"").unwrap();
            shard.delete(b"k");
        };
        let wanted =
            "*9 $9 cdc.event :3 :7 $1 k :0 $3 Set :99 $0  $-1 *9 $9 cdc.event :3 :8 $1 k :1 $3 Del :99 $-1 $-1 ";
        assert_eq!(messages(Protocol::Resp2, EventForm::Event, act), wanted);
    }

    #[test]
    fn data_of_several_parts_is_an_array() {
        let act = |shard: &mut Shard| {
            shard.set_fields(b"h", std::iter::once((&b"f"[..], &b"v"[..]))).unwrap();
        };
        let wanted = ">9 $9 cdc.event :3 :7 $1 h :0 $4 HSet :99 *2 $1 f $1 v _ ";
        assert_eq!(messages(Protocol::Resp3, EventForm::Event, act), wanted);
    }

    #[test]
    fn a_link_points_to_its_event_and_a_resolved_event_carries_its_link() {
        let act = |shard: &mut Shard| shard.set(b"user-1", b"v").unwrap();
        let wanted = ">9 $9 cdc.event :3 :7 $8 $ce-user :7 $2 $> :99 $8 0@user-1 _ ";
        assert_eq!(messages(Protocol::Resp3, EventForm::Link(b"$ce-user"), act), wanted);
        let wanted = "*11 $9 cdc.event :3 :7 $6 user-1 :0 $3 Set :99 $1 v $-1 $8 $ce-user :7 ";
        assert_eq!(messages(Protocol::Resp2, EventForm::Resolved(b"$ce-user"), act), wanted);
    }

    #[test]
    fn notices_are_short() {
        let mut sent = String::new();
        for notice in [
            Push::CaughtUp(Position(1)),
            Push::FellBehind(Position(2)),
            Push::Checkpoint(Position(3)),
            Push::Gap(Position(4), Position(5)),
            Push::Dropped(Reason::TooSlow, Position(6)),
        ] {
            let mut out = Vec::new();
            push(&mut out, Protocol::Resp3, 9, notice);
            sent += &text(out);
        }
        let wanted = ">3 $12 cdc.caughtup :9 :1 >3 $14 cdc.fellbehind :9 :2 >3 $14 cdc.checkpoint :9 :3 \
                      >4 $7 cdc.gap :9 :4 :5 >4 $11 cdc.dropped :9 $8 too-slow :6 ";
        assert_eq!(sent, wanted);
    }
}
