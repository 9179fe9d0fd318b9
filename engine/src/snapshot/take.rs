//! A snapshot that is being taken: the rows so far, and the cursor of the scan over the table.

use super::row::{Head, RowWriter};
use super::{SnapshotInfo, format};
use crate::keyspace::{Bytes, Entry, Keys};
use crate::position::{Position, RingOffset};

pub(crate) struct Taking {
    /// The fields known so far.
    info: SnapshotInfo,
    rows: RowWriter,
    /// None once the scan is complete.
    cursor: Option<u64>,
    /// Entries that were forgotten and have no row yet: key, next revision, last record.
    forgotten: Vec<(Bytes, u64, RingOffset)>,
}

impl Taking {
    /// Begins a snapshot with the start in `info`. Appends its header to `out`.
    pub(crate) fn begin(info: SnapshotInfo, out: &mut Vec<u8>) -> Taking {
        let header = format::header(&info);
        out.extend_from_slice(&header);
        let rows = RowWriter::new(format::digest_of_header(&header));
        Taking { info, rows, cursor: Some(0), forgotten: Vec::new() }
    }

    /// Notes that an entry without a value is about to be forgotten. It needs no further row if it has one already, which
    /// later records find, or if its last record is older than the snapshot, so that none will be replayed.
    pub(crate) fn forget(&mut self, hash: u64, entry: Entry<'_>) {
        let is_taken = self.cursor.is_none_or(|cursor| Keys::order(hash) < cursor);
        if !is_taken && entry.last() != RingOffset::NONE && entry.last() >= self.info.start {
            self.forgotten.push((Bytes::from_slice(entry.key()), entry.next_revision(), entry.last()));
        }
    }

    /// Appends rows of about `max_bytes` to `out`.
    pub(crate) fn slice(&mut self, table: &Keys, out: &mut Vec<u8>, max_bytes: usize) {
        let end = out.len().saturating_add(max_bytes);
        self.put_forgotten(out);
        let Taking { rows, cursor, .. } = self;
        if let Some(from) = *cursor
            && out.len() < end
        {
            *cursor = table.scan(from, |entry| {
                put_entry(rows, entry, out);
                out.len() < end
            });
        }
    }

    /// Whether all entries have rows.
    pub(crate) fn is_complete(&self) -> bool {
        self.cursor.is_none()
    }

    /// Ends the snapshot at this offset and position. Appends its footer to `out`.
    pub(crate) fn finish(self, end: RingOffset, end_position: Position, out: &mut Vec<u8>) -> SnapshotInfo {
        debug_assert!(self.forgotten.is_empty(), "the last slice has written them");
        let info = SnapshotInfo { end, end_position, rows: self.rows.count, ..self.info };
        out.extend_from_slice(&format::footer(&info, self.rows.digest));
        info
    }

    fn put_forgotten(&mut self, out: &mut Vec<u8>) {
        for (key, next_revision, last) in self.forgotten.drain(..) {
            self.rows.entry(Head { key: &key, expire_at_ms: 0, next_revision, last }, None, out);
        }
    }
}

fn put_entry(rows: &mut RowWriter, entry: Entry<'_>, out: &mut Vec<u8>) {
    if entry.is_blank() {
        return;
    }
    let expire_at_ms = entry.expire_at_ms().unwrap_or(0);
    let head = Head { key: entry.key(), expire_at_ms, next_revision: entry.next_revision(), last: entry.last() };
    rows.entry(head, entry.value(), out);
}
