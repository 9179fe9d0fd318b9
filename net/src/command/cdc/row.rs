//! The encoding of an event: `[seq, key, op, value|nil, timestamp_ms]`, for some commands followed by `revision,
//! meta|nil`.

use crate::resp::push::{data, meta};
use crate::resp::{Protocol, Reply};
use keytide_engine::group::Row;
use keytide_engine::position::Position;
use keytide_engine::ring::Record;

/// The columns of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// The five documented columns of change capture.
    Five,
    /// These plus revision and metadata.
    Seven,
}

/// Rows, encoded before their number is known.
pub(super) struct Rows {
    bytes: Vec<u8>,
    count: usize,
    protocol: Protocol,
    columns: Columns,
    now_ms: u64,
}

impl Rows {
    /// No rows. `now_ms` is the time in rows of gaps, Unix milliseconds.
    pub(super) fn new(protocol: Protocol, columns: Columns, now_ms: u64) -> Rows {
        Rows { bytes: Vec::new(), count: 0, protocol, columns, now_ms }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an event; returns its size in bytes.
    pub(super) fn event(&mut self, record: &Record<'_>) -> u64 {
        let before = self.bytes.len();
        event_row(&mut Reply::new(&mut self.bytes, self.protocol), record, self.columns);
        self.count += 1;
        (self.bytes.len() - before) as u64
    }

    /// Adds a gap; returns its size in bytes.
    pub(super) fn gap(&mut self, last: Position, lost: Option<u64>) -> u64 {
        let before = self.bytes.len();
        gap_row(&mut Reply::new(&mut self.bytes, self.protocol), last, lost, self.now_ms);
        self.count += 1;
        (self.bytes.len() - before) as u64
    }

    /// Adds a group's row; returns its size in bytes.
    pub(super) fn group_row(&mut self, row: Row<'_>) -> u64 {
        match row {
            Row::Gap { last, lost } => self.gap(last, lost),
            Row::Event(record) => self.event(record),
        }
    }

    /// Replies with the rows as one array.
    pub(super) fn reply(&self, reply: &mut Reply<'_>) {
        reply.array(self.count);
        reply.raw(&self.bytes);
    }
}

/// One event.
pub(super) fn event_row(reply: &mut Reply<'_>, record: &Record<'_>, columns: Columns) {
    reply.array(match columns {
        Columns::Five => 5,
        Columns::Seven => 7,
    });
    reply.unsigned(record.position().0);
    reply.bulk(record.key());
    match record.event_type().name() {
        Some(name) => capitals(reply, name),
        None => reply.bulk(record.type_name()),
    }
    data(reply, record);
    reply.unsigned(record.timestamp_ms());
    if columns == Columns::Seven {
        reply.unsigned(record.revision().0);
        meta(reply, record);
    }
}

/// A built-in type's name, in upper case.
fn capitals(reply: &mut Reply<'_>, name: &str) {
    let mut capitals = [0; 16];
    match capitals.get_mut(..name.len()) {
        Some(capitals) => {
            capitals.copy_from_slice(name.as_bytes());
            capitals.make_ascii_uppercase();
            reply.bulk(capitals);
        }
        None => reply.text(&name.to_ascii_uppercase()),
    }
}

/// Events that are no longer available: `last` is the last of them, `lost` their number.
fn gap_row(reply: &mut Reply<'_>, last: Position, lost: Option<u64>, now_ms: u64) {
    reply.array(5);
    reply.unsigned(last.0);
    reply.bulk(b"");
    reply.bulk(b"GAP");
    match lost {
        Some(count) => reply.unsigned(count),
        None => reply.null(),
    }
    reply.unsigned(now_ms);
}

#[cfg(test)]
mod tests {
    use super::*;
    use keytide_engine::event::CustomType;
    use keytide_engine::filter::Filter;
    use keytide_engine::history::{History, Request};
    use keytide_engine::position::ShardId;
    use keytide_engine::ring;
    use keytide_engine::sequencer::Sequencer;
    use keytide_engine::shard::{Expected, Shard};
    use keytide_engine::turn::ClientEvent;
    use std::sync::Arc;

    /// A shard's recorded events, encoded for RESP2.
    fn told(columns: Columns, act: impl Fn(&mut Shard)) -> String {
        let (writer, ring) = ring::create(4096).unwrap();
        let sequencer = Arc::new(Sequencer::new(Position(7), 1));
        let mut shard = Shard::new(ShardId(0), sequencer.clone(), Some(writer), 16);
        shard.set_now_ms(99);
        act(&mut shard);
        shard.commit();
        let mut rows = Rows::new(Protocol::Resp2, columns, 50);
        let request = Request { cursor: Position(0), count: 10, bytes: 10_000, filter: &Filter::default() };
        History::new(sequencer, &[ring]).read(&request, |_, record| rows.event(record)).unwrap();
        let mut out = Vec::new();
        rows.reply(&mut Reply::new(&mut out, Protocol::Resp2));
        String::from_utf8(out).unwrap().replace("\r\n", " ")
    }

    #[test]
    fn built_in_types_are_in_upper_case_and_others_unchanged() {
        let event_type = CustomType::new(b"Paid").expect("no built-in name");
        let event = ClientEvent { event_type, data: b"1", meta: Some(b"m"), id: None, json: false };
        let act = |shard: &mut Shard| {
            shard.set(b"k", b"v").unwrap();
            shard.append_event(b"k", event, Expected::Any).unwrap();
        };
        let five = "*2 *5 :7 $1 k $3 SET $1 v :99 *5 :8 $1 k $4 Paid $1 1 :99 ";
        assert_eq!(told(Columns::Five, act), five);
        let seven = "*2 *7 :7 $1 k $3 SET $1 v :99 :0 $-1 *7 :8 $1 k $4 Paid $1 1 :99 :1 $1 m ";
        assert_eq!(told(Columns::Seven, act), seven);
    }

    #[test]
    fn an_event_without_data_has_the_value_nil() {
        let act = |shard: &mut Shard| {
            shard.set(b"k", b"").unwrap();
            shard.delete(b"k");
        };
        assert_eq!(told(Columns::Five, act), "*2 *5 :7 $1 k $3 SET $0  :99 *5 :8 $1 k $3 DEL $-1 :99 ");
    }

    #[test]
    fn a_gap_is_a_row_whose_number_may_be_unknown() {
        let mut rows = Rows::new(Protocol::Resp3, Columns::Five, 50);
        rows.gap(Position(9), Some(3));
        rows.gap(Position(10), None);
        let mut out = Vec::new();
        rows.reply(&mut Reply::new(&mut out, Protocol::Resp3));
        let expected = "*2 *5 :9 $0  $3 GAP :3 :50 *5 :10 $0  $3 GAP _ :50 ";
        assert_eq!(String::from_utf8(out).unwrap().replace("\r\n", " "), expected);
    }
}
