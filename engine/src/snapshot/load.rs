//! A snapshot's file read back. It is read from front to back through a buffer; more than one row, and the value that
//! it belongs to, is never in memory. Damage is an error, never a panic, and nothing that is damaged is taken for whole.

use super::format::{self, FOOTER_BYTES, HEADER_BYTES};
use super::{SnapshotError, SnapshotInfo, row};
use crate::keyspace::Value;
use crate::position::RingOffset;
use crate::ring::layout::HEADER_BYTES as RECORD_BYTES_MIN;
use crate::ring::{Checksum, Record};
use crate::shard::{Shard, StoredEntry};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a file is read at once, in bytes.
const READ_BYTES: usize = 256 << 10;

/// Fills an empty shard with the snapshot in a file; see [`load_from`].
pub fn load(path: &Path, shard: &mut Shard) -> Result<SnapshotInfo, SnapshotError> {
    load_from(File::open(path)?, shard)
}

/// Fills an empty shard with a snapshot of its own. The log is then to be replayed from
/// [`start`](SnapshotInfo::start) on.
///
/// # Errors
/// Where the snapshot is damaged or of another shard, or the shard has keys. What a damaged one has left in the shard is
/// of no use: the shard has to be dropped.
pub fn load_from(reader: impl Read + Seek, shard: &mut Shard) -> Result<SnapshotInfo, SnapshotError> {
    if !shard.is_blank() {
        return Err(SnapshotError::NotEmpty);
    }
    let mut rows = Rows::open(reader)?;
    if rows.info.shard != shard.id() {
        return Err(SnapshotError::OtherShard { wanted: shard.id(), found: rows.info.shard });
    }
    while let Some(entry) = rows.next_entry()? {
        shard.restore(entry);
    }
    shard.end_restore(rows.info.db_next_revision, rows.info.db_last);
    Ok(rows.info)
}

/// Hands out the entries of the snapshot in a file; see [`entries_from`].
pub fn entries(path: &Path, visit: impl FnMut(StoredEntry<'_>)) -> Result<SnapshotInfo, SnapshotError> {
    entries_from(File::open(path)?, visit)
}

/// Hands out the entries of a snapshot, in no order, for who gives them to other shards. A key may come twice; then the
/// one with the later [`last`](StoredEntry::last) counts, which is what [`Shard::restore`] sees to.
///
/// # Errors
/// Where the snapshot is damaged. What was handed out until then is then of no use.
pub fn entries_from(
    reader: impl Read + Seek,
    mut visit: impl FnMut(StoredEntry<'_>),
) -> Result<SnapshotInfo, SnapshotError> {
    let mut rows = Rows::open(reader)?;
    while let Some(entry) = rows.next_entry()? {
        visit(entry);
    }
    Ok(rows.info)
}

/// What the snapshot in a file says of itself; see [`inspect_from`].
pub fn inspect(path: &Path, whole: bool) -> Result<SnapshotInfo, SnapshotError> {
    inspect_from(File::open(path)?, whole)
}

/// What a snapshot says of itself. Reads its two ends, which are checked; with `whole` all rows too, without making
/// values of them.
///
/// # Errors
/// Where it is damaged, as far as that was looked at.
pub fn inspect_from(reader: impl Read + Seek, whole: bool) -> Result<SnapshotInfo, SnapshotError> {
    let mut rows = Rows::open(reader)?;
    if whole {
        while rows.next()?.is_some() {}
    }
    Ok(rows.info)
}

/// The rows of a snapshot, one after the other.
struct Rows<R> {
    reader: BufReader<R>,
    info: SnapshotInfo,
    /// The digest that the footer tells, and that of the rows read.
    digest: (u32, u32),
    /// How many rows were read.
    count: u64,
    /// Where the next row starts, in bytes of the file, and where the footer does.
    at: u64,
    end: u64,
    /// The latest row.
    row: Vec<u8>,
    key: Vec<u8>,
}

impl<R: Read + Seek> Rows<R> {
    fn open(mut reader: R) -> Result<Rows<R>, SnapshotError> {
        let bytes = reader.seek(SeekFrom::End(0))?;
        let end = bytes.saturating_sub(FOOTER_BYTES as u64);
        if end < HEADER_BYTES as u64 {
            return Err(SnapshotError::TooShort { bytes });
        }
        let (mut header, mut footer) = ([0; HEADER_BYTES], [0; FOOTER_BYTES]);
        reader.seek(SeekFrom::Start(end))?;
        reader.read_exact(&mut footer)?;
        reader.seek(SeekFrom::Start(0))?;
        reader.read_exact(&mut header)?;
        let (info, digest) = format::parse(&header, &footer)?;
        Ok(Rows {
            reader: BufReader::with_capacity(READ_BYTES, reader),
            info,
            digest: (digest, format::digest_of_header(&header)),
            count: 0,
            at: HEADER_BYTES as u64,
            end,
            row: Vec::new(),
            key: Vec::new(),
        })
    }

    /// The next row and where it starts; none after the last one, once all of them are known to be right.
    fn next(&mut self) -> Result<Option<Record<'_>>, SnapshotError> {
        let (at, left) = (self.at, self.end - self.at);
        if left == 0 {
            let is_whole = self.digest.0 == self.digest.1 && self.count == self.info.rows;
            return if is_whole { Ok(None) } else { Err(SnapshotError::Rows) };
        }
        let damaged = || SnapshotError::Row { at };
        if left < RECORD_BYTES_MIN {
            return Err(damaged());
        }
        let mut first = [0; 8];
        self.reader.read_exact(&mut first)?;
        let length = u64::from(u32::from_le_bytes([first[0], first[1], first[2], first[3]]));
        if length < RECORD_BYTES_MIN || length > left {
            return Err(damaged());
        }
        self.row.clear();
        self.row.extend_from_slice(&first);
        // Grows as it reads: a length that is wrong does not ask for its memory at once.
        self.reader.by_ref().take(length - 8).read_to_end(&mut self.row)?;
        self.at += length;
        self.count += 1;
        self.digest.1 = format::digest_with(self.digest.1, &self.row);
        let row = Record::parse(&self.row, RingOffset(at))
            .filter(|row| row.is_intact(Checksum::Alone))
            .ok_or_else(damaged)?;
        Ok(Some(row))
    }

    /// The next entry, from as many rows as it has.
    fn next_entry(&mut self) -> Result<Option<StoredEntry<'_>>, SnapshotError> {
        let at = self.at;
        let damaged = || SnapshotError::Row { at };
        // Taken out, and used again, for rows are borrowed from `self` meanwhile.
        let mut key = std::mem::take(&mut self.key);
        let Some(first) = self.next()? else { return Ok(None) };
        key.clear();
        key.extend_from_slice(first.key());
        let mut value = row::begin(&first).ok_or_else(damaged)?;
        let (head, mut has_more) = (row::head(&first), first.has_more());
        let (expire_at_ms, next_revision, last) = (head.expire_at_ms, head.next_revision, head.last);
        let is_split = has_more;
        while has_more {
            let row = self.next()?.ok_or_else(damaged)?;
            let goes_on = row.key() == key && value.as_mut().is_some_and(|value| row::go_on(&row, value));
            has_more = row.has_more();
            if !goes_on {
                return Err(damaged());
            }
        }
        self.key = key;
        if is_split && let Some(Value::Str(bytes)) = &mut value {
            bytes.shrink_to_fit();
        }
        Ok(Some(StoredEntry { key: &self.key, value, expire_at_ms, next_revision, last }))
    }
}
