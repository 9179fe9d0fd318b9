//! The file of a snapshot: all functions that read it agree whether it is valid, and the shard loaded from it writes a
//! snapshot with the same entries.
//!
//! ```text
//!  which checksums are computed │ the file …
//! ```

use super::Input;
use super::records;
use keytide_engine::keyspace::Value;
use keytide_engine::position::{Position, RingOffset, ShardId};
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::{Shard, SnapshotProgress, StoredEntry};
use keytide_engine::snapshot::{SnapshotInfo, entries_from, inspect_from, load_from};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

const HEADER_BYTES: usize = 56;
const FOOTER_BYTES: usize = 40;

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let made = input.byte() & 3;
    let mut file = input.0.to_vec();
    if file.len() >= HEADER_BYTES + FOOTER_BYTES && made > 0 {
        seal(&mut file, made > 1, made > 2);
    }
    check_file(&file);
}

/// Computes the checksums of header and footer; `with_rows` also those of the rows, their number and their digest.
fn seal(file: &mut [u8], with_rows: bool, with_shard: bool) {
    let (header, rest) = file.split_at_mut(HEADER_BYTES);
    let (rows, footer) = rest.split_at_mut(rest.len() - FOOTER_BYTES);
    header[..12].copy_from_slice(b"KEYTSNAP\x01\0\0\0");
    if with_shard {
        header[12..16].copy_from_slice(&[0, 0, 1, 0]);
    }
    seal_end(header);
    footer[..8].copy_from_slice(b"KEYTSEND");
    if with_rows {
        let (mut rest, mut count) = (rows, 0_u64);
        let mut digest = u32::from_le_bytes([header[52], header[53], header[54], header[55]]);
        while let Some(length) = records::length(rest) {
            let (row, after) = rest.split_at_mut(length);
            records::seal(row, None);
            digest = crc32c::crc32c_append(digest, &row[..8]);
            (rest, count) = (after, count + 1);
        }
        footer[24..32].copy_from_slice(&count.to_le_bytes());
        footer[32..36].copy_from_slice(&digest.to_le_bytes());
    }
    seal_end(footer);
}

/// Writes the checksum of the header or the footer.
fn seal_end(end: &mut [u8]) {
    let body = end.len() - 4;
    let sum = crc32c::crc32c(&end[..body]);
    end[body..].copy_from_slice(&sum.to_le_bytes());
}

/// An entry, comparable.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    value: Option<Parts>,
    expire_at_ms: u64,
    next_revision: u64,
    last: RingOffset,
}

/// The kind of a value, and its parts in order.
type Parts = (char, Vec<Vec<u8>>);

fn parts(value: &Value) -> Parts {
    match value {
        Value::Str(bytes) => ('$', vec![bytes.clone()]),
        Value::Hash(map) => {
            ('%', map.view().iter().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]).collect())
        }
        Value::List(list) => ('*', list.view().iter().map(|element| element.to_vec()).collect()),
        Value::Set(set) => ('~', set.view().iter().map(|member| member.to_vec()).collect()),
        Value::Sorted(_) => ('z', value.view().parts().iter().map(|part| part.to_vec()).collect()),
        Value::RedisStream(_) => ('x', value.view().parts().iter().map(|part| part.to_vec()).collect()),
    }
}

fn row(entry: StoredEntry<'_>) -> (Vec<u8>, Row) {
    let StoredEntry { key, value, expire_at_ms, next_revision, last } = entry;
    (key.to_vec(), Row { value: value.as_ref().map(parts), expire_at_ms, next_revision, last })
}

fn empty(shard: ShardId) -> Shard {
    Shard::new(shard, Arc::new(Sequencer::new(Position(1), 1)), None, usize::MAX)
}

/// A shard loaded from a snapshot, and the snapshot's information; none where it is refused.
fn filled(file: &[u8], shard: ShardId) -> Option<(Shard, SnapshotInfo)> {
    let mut filled = empty(shard);
    let info = load_from(Cursor::new(file), &mut filled).ok()?;
    Some((filled, info))
}

fn rows(shard: Shard) -> BTreeMap<Vec<u8>, Row> {
    let mut rows = BTreeMap::new();
    shard.into_entries(|entry| rows.extend([row(entry)]));
    rows
}

fn check_file(file: &[u8]) {
    let ends = inspect_from(Cursor::new(file), false).ok();
    let whole = inspect_from(Cursor::new(file), true).ok();
    let mut handed_out = Vec::new();
    let given = entries_from(Cursor::new(file), |entry| handed_out.push(row(entry))).ok();
    let loaded = filled(file, ends.map_or(ShardId(0), |info| info.shard));
    // A function that reads more of the file refuses more files.
    assert!(whole.is_none() || whole == ends);
    assert!(given.is_none() || given == whole);
    assert_eq!(loaded.as_ref().map(|(_, info)| *info), given);
    let Some((mut shard, info)) = loaded else { return };
    assert!(load_from(Cursor::new(file), &mut empty(ShardId(info.shard.0 ^ 1))).is_err(), "it is of another shard");
    let keys = shard.key_count();
    let again = snapshot(&mut shard, info.shards);
    let before = rows(shard);
    let mut from_hand = empty(info.shard);
    let mut distinct = BTreeMap::new();
    for (key, row) in handed_out {
        let later = distinct.entry(key).or_insert(row.last);
        *later = row.last;
    }
    entries_from(Cursor::new(file), |entry| from_hand.restore(entry)).expect("it was read before");
    from_hand.end_restore(info.db_next_revision, info.db_last);
    assert_eq!(rows(from_hand), before);
    assert!(before.keys().all(|key| distinct.contains_key(key)));
    let (shard, info_again) = filled(&again, info.shard).expect("a shard's snapshot can be loaded");
    assert_eq!((shard.key_count(), info_again.db_next_revision), (keys, info.db_next_revision));
    let present = |rows: &BTreeMap<Vec<u8>, Row>| rows.values().filter(|row| row.value.is_some()).count();
    let after = rows(shard);
    assert_eq!((present(&after), &after), (keys, &before));
}

fn snapshot(shard: &mut Shard, shards: u16) -> Vec<u8> {
    let mut out = Vec::new();
    shard.begin_snapshot(shards, &mut out).expect("none is being taken");
    while shard.snapshot_slice(&mut out, 1_000) == SnapshotProgress::More {}
    shard.finish_snapshot(&mut out).expect("its slices are taken");
    out
}
