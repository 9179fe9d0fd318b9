//! Reads a snapshot's file, from front to back through a buffer: at most one row and the value of its entry are in memory.
//! Any damage is detected, and is an error, never a panic.

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

/// The size of the read buffer in bytes.
const READ_BYTES: usize = 256 << 10;

/// Fills an empty shard with the snapshot in a file; see [`load_from`].
pub fn load(path: &Path, shard: &mut Shard) -> Result<SnapshotInfo, SnapshotError> {
    load_from(File::open(path)?, shard)
}

/// Fills an empty shard with its snapshot. The log must then be replayed from [`start`](SnapshotInfo::start) on.
///
/// # Errors
/// Where the snapshot is damaged or of another shard, or the shard has keys. After an error the shard is partly filled and
/// must be dropped.
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

/// Visits the entries of the snapshot in a file; see [`entries_from`].
pub fn entries(path: &Path, visit: impl FnMut(StoredEntry<'_>)) -> Result<SnapshotInfo, SnapshotError> {
    entries_from(File::open(path)?, visit)
}

/// Visits the entries of a snapshot, in no order, to distribute them to other shards. A key may occur twice: the entry with
/// the later [`last`](StoredEntry::last) is valid, and [`Shard::restore`] keeps that one.
///
/// # Errors
/// Where the snapshot is damaged. The entries visited before must then not be used.
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

/// The fields of the snapshot in a file; see [`inspect_from`].
pub fn inspect(path: &Path, whole: bool) -> Result<SnapshotInfo, SnapshotError> {
    inspect_from(File::open(path)?, whole)
}

/// The fields of a snapshot. Reads and checks header and footer; if `whole`, all rows as well, without building values.
///
/// # Errors
/// Where a part that was read is damaged.
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
    /// The digest in the footer, and the digest of the rows read so far.
    digest: (u32, u32),
    /// The number of rows read so far.
    count: u64,
    /// The byte of the file at which the next row starts, and that at which the footer does.
    at: u64,
    end: u64,
    /// The last row read.
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

    /// The next row. None after the last one, once the number of rows and their digest were checked.
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
        // The buffer grows as bytes are read, so a wrong length does not allocate its memory at once.
        self.reader.by_ref().take(length - 8).read_to_end(&mut self.row)?;
        self.at += length;
        self.count += 1;
        self.digest.1 = format::digest_with(self.digest.1, &self.row);
        let row = Record::parse(&self.row, RingOffset(at))
            .filter(|row| row.is_intact(Checksum::Alone))
            .ok_or_else(damaged)?;
        Ok(Some(row))
    }

    /// The next entry, from one or more rows.
    fn next_entry(&mut self) -> Result<Option<StoredEntry<'_>>, SnapshotError> {
        let at = self.at;
        let damaged = || SnapshotError::Row { at };
        // The key's buffer is taken out of `self`, since rows borrow `self`, and is put back for reuse.
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
            let is_part = row.key() == key && value.as_mut().is_some_and(|value| row::extend(&row, value));
            has_more = row.has_more();
            if !is_part {
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
