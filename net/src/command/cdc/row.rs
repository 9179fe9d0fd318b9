//! How an event is told: `[seq, key, op, value|nil, timestamp_ms]`, for some commands with `revision, meta|nil` behind.

use crate::resp::{Protocol, Reply};
use keytide_engine::group::Row;
use keytide_engine::position::Position;
use keytide_engine::ring::{Record, RecordData};

/// What a row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// The five that change capture is documented with.
    Five,
    /// These with revision and metadata.
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
    /// None so far. `now_ms` is the time that a gap is told with, Unix milliseconds.
    pub(super) fn new(protocol: Protocol, columns: Columns, now_ms: u64) -> Rows {
        Rows { bytes: Vec::new(), count: 0, protocol, columns, now_ms }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an event; answers the bytes that it took.
    pub(super) fn event(&mut self, record: &Record<'_>) -> u64 {
        let before = self.bytes.len();
        event_row(&mut Reply::new(&mut self.bytes, self.protocol), record, self.columns);
        self.count += 1;
        (self.bytes.len() - before) as u64
    }

    /// Adds a gap; answers the bytes that it took.
    pub(super) fn gap(&mut self, last: Position, lost: Option<u64>) -> u64 {
        let before = self.bytes.len();
        gap_row(&mut Reply::new(&mut self.bytes, self.protocol), last, lost, self.now_ms);
        self.count += 1;
        (self.bytes.len() - before) as u64
    }

    /// Adds what a group gives; answers the bytes that it took.
    pub(super) fn group_row(&mut self, row: Row<'_>) -> u64 {
        match row {
            Row::Gap { last, lost } => self.gap(last, lost),
            Row::Event(record) => self.event(record),
        }
    }

    /// Answers the rows as one array.
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
    match record.data() {
        None => reply.null(),
        Some(RecordData::One(bytes)) => reply.bulk(bytes),
        Some(RecordData::Parts(parts)) => {
            reply.array(parts.clone().count());
            parts.for_each(|part| reply.bulk(part));
        }
    }
    reply.unsigned(record.timestamp_ms());
    if columns == Columns::Seven {
        reply.unsigned(record.revision().0);
        match record.meta() {
            Some(meta) => reply.bulk(meta),
            None => reply.null(),
        }
    }
}

/// A built-in type's name, in capitals.
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

/// Events that are no longer available: `last` is the last of them, `lost` how many.
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
