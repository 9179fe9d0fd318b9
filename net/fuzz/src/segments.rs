//! The files of a shard's log, valid or damaged: a scan finds the records that an independent reader finds, a start
//! recovers the log or refuses it, a recovered log is recovered again with the same records, and a repaired one is sound.
//!
//! ```text
//!  flags │ sums │ mark, 2 │ flip, 2 │ bits │ cut │ records of the first and of the second segment │ base │ after
//!        │ records, and other bytes behind them …
//! ```

use super::Input;
use super::records;
use super::scratch::Scratch;
use super::unsynced::Unsynced;
use keytide_engine::log::LogIdentity;
use keytide_engine::log::index::SparseIndex;
use keytide_engine::log::scan::{Extent, ScanError, SegmentFile, is_zero};
use keytide_engine::log::segment::{FORMAT_VERSION, HEADER_BYTES, SegmentHeader, index_path, segment_path};
use keytide_engine::log::streams::{BLOCK_BYTES, StreamBits, StreamBlocks};
use keytide_engine::log::synced::{self, Mark};
use keytide_engine::position::{Position, RingOffset, ShardId};
use keytide_engine::sequencer::Sequencer;
use keytide_engine::shard::Shard;
use keytide_engine::store::check::{CheckError, check as check_directory};
use keytide_engine::store::directory::{Directory, DirectoryOptions};
use keytide_engine::store::recovery::{
    RecoveredLog, RecoveryError, RecoveryOptions, Trust, examine_log, open_closed_log, recover_log,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The used bytes of a header, the place of its second copy, and the place of its checksum.
const HEADER_USED: usize = 64;
const SECOND_COPY: usize = HEADER_BYTES as usize / 2;
const HEADER_SUMMED: usize = 56;

/// Checks one input.
pub fn check(data: &[u8]) {
    let scratch = Scratch::new();
    let storage = Arc::new(Unsynced);
    let options = DirectoryOptions { boot_id: "this one".to_owned(), storage, ..DirectoryOptions::default() };
    let directory = Directory::open(&scratch.0, 1, options).expect("a new directory can be made");
    directory.create_shard_directories(1, 1).expect("a directory can be made");
    let shard = ShardId(0);
    let identity = LogIdentity { directory: directory.shard_directory(1, shard), generation: 1, shard, shards: 1 };
    for path in write(data, &identity.directory) {
        check_file(&path);
    }
    check_log(&directory, &identity);
}

/// How the log of an input is built.
struct Plan {
    flags: u8,
    /// The number of records whose checksums are computed; the others keep theirs.
    sums: usize,
    /// The durable mark, in bytes behind the first base.
    mark: u64,
    flip: (usize, u8),
    /// The bytes cut off the last file, and the zeros at the end of each file.
    cut: usize,
    zeros: usize,
    /// The number of records of the first two segments; a segment with 0 gets all that are left and is the last.
    counts: [usize; 2],
    base: u64,
    after: u64,
}

impl Plan {
    fn read(input: &mut Input<'_>) -> Plan {
        let (flags, sums, mark, flip, bits) = (input.byte(), input.byte(), input.short(), input.short(), input.byte());
        let (cut, first, second) = (usize::from(input.byte()), usize::from(input.byte()), usize::from(input.byte()));
        let (base, after) = (u64::from(input.byte()) * 1024, u64::from(input.byte()));
        // By default all records get their checksums.
        let sums = if sums == 0 { usize::MAX } else { usize::from(sums) - 1 };
        let (cut, zeros) = ((cut >> 4) * 8, (cut & 15) * 256);
        Plan {
            flags,
            sums,
            mark: mark as u64 * 8,
            flip: (flip, bits),
            cut,
            zeros,
            counts: [first, second],
            base,
            after,
        }
    }

    fn flag(&self, bit: u8) -> bool {
        self.flags & 1 << bit != 0
    }
}

/// Writes the files of an input into a directory; returns the paths of the segments.
fn write(data: &[u8], directory: &Path) -> Vec<PathBuf> {
    let mut input = Input(data);
    let plan = Plan::read(&mut input);
    // The header of the last segment may be part of the input.
    let raw_header = plan.flag(6).then(|| input.take(HEADER_USED));
    let index_numbers = plan.flag(7).then(|| input.take(24));
    let mut body = input.0.to_vec();
    let version = if plan.flag(0) { 1 } else { FORMAT_VERSION };
    let (mut base, mut last, mut number, mut at, mut seen) = (plan.base, plan.after, 0, 0, 0);
    let mut files: Vec<Vec<u8>> = Vec::new();
    for count in plan.counts.into_iter().chain([0]) {
        let (start, after) = (at, last);
        while let Some(length) = records::length(&body[at..])
            && (count == 0 || seen < count)
        {
            let record = &mut body[at..at + length];
            if plan.flag(3) {
                let position = last + 1 + (records::position(record) & 3);
                record[8..16].copy_from_slice(&position.to_le_bytes());
            }
            last = records::position(record);
            if seen < plan.sums {
                records::seal(record, (version > 1).then_some(base + (at - start) as u64));
            }
            (at, seen) = (at + length, seen + 1);
        }
        let is_last = count == 0 || records::length(&body[at..]).is_none();
        let part = if is_last { &body[start..] } else { &body[start..at] };
        number += 1;
        let file_bytes = HEADER_BYTES + (part.len() + plan.zeros) as u64;
        let (header_base, after) = (RingOffset(base), Position(after));
        let header = SegmentHeader {
            version,
            generation: 1,
            shard: ShardId(0),
            shards: 1,
            number,
            base: header_base,
            after,
            file_bytes,
        };
        files.push([&header.encode(), part, &vec![0; plan.zeros]].concat());
        base += part.len() as u64;
        if is_last {
            break;
        }
    }
    let paths: Vec<PathBuf> = (1..=number).map(|number| segment_path(directory, number)).collect();
    spoil(&plan, raw_header, &mut files);
    for (path, bytes) in paths.iter().zip(&files) {
        fs::write(path, bytes).expect("a file can be written");
    }
    if plan.flag(1) {
        let segments = plan.flag(2).then_some((1, number));
        let mark = Mark { synced: RingOffset(plan.base + plan.mark), segments };
        synced::write(&Unsynced, directory, mark).expect("a mark can be written");
    }
    if plan.flag(4) {
        write_index(&paths[0], index_numbers);
    }
    paths
}

fn spoil(plan: &Plan, raw_header: Option<&[u8]>, files: &mut [Vec<u8>]) {
    let Some(last) = files.last_mut() else { return };
    if let Some(raw) = raw_header {
        let mut header = [0; HEADER_USED];
        header[..raw.len()].copy_from_slice(raw);
        let sum = crc32c::crc32c(&header[..HEADER_SUMMED]);
        header[HEADER_SUMMED..HEADER_SUMMED + 4].copy_from_slice(&sum.to_le_bytes());
        [0, SECOND_COPY].into_iter().for_each(|at| last[at..at + HEADER_USED].copy_from_slice(&header));
    }
    if plan.flag(5) {
        last[..HEADER_BYTES as usize].fill(0);
    }
    last.truncate(last.len() - plan.cut.min(last.len()));
    let (mut place, bits) = plan.flip;
    for file in files {
        match file.get_mut(place) {
            Some(byte) => return *byte ^= bits,
            None => place -= file.len(),
        }
    }
}

/// Writes the index of a segment, with the numbers of the input where it has some.
fn write_index(path: &Path, numbers: Option<&[u8]>) {
    let Ok(file) = SegmentFile::open(path) else { return };
    let (extent, index) = file.measure().expect("it can be read");
    let mut bytes = index.encode(&extent.sealed());
    if let Some(numbers) = numbers {
        bytes[24..24 + numbers.len()].copy_from_slice(numbers);
        let body = bytes.len() - 4;
        let sum = crc32c::crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&sum.to_le_bytes());
    }
    fs::write(index_path(path), bytes).expect("an index can be written");
}

/// Checks all that can be read of one file.
fn check_file(path: &Path) {
    let bytes = fs::read(path).expect("it was just written");
    assert_eq!(is_zero(path).expect("it can be read"), bytes.iter().all(|byte| *byte == 0));
    let file = match SegmentFile::open(path) {
        Ok(file) => file,
        Err(ScanError::Header { .. }) => return,
        Err(error @ ScanError::Io { .. }) => panic!("{error}"),
    };
    let header = file.header;
    let body = &bytes[HEADER_BYTES as usize..];
    let (extent, index) = file.measure().expect("it can be read");
    let (length, records, last) = records::walk(body, header.base.0, header.version > 1, header.after.0);
    assert_eq!(
        (extent.end, extent.records, extent.last),
        (RingOffset(header.base.0 + length), records, Position(last))
    );
    let residue = body[length as usize..].iter().filter(|byte| **byte != 0).count();
    assert_eq!(extent.residue, residue as u64);
    check_records(&file, &extent, &index);
    let used = file.used_end(extent.end).expect("it can be read");
    assert_eq!(used > extent.end, residue > 0);
    file.looks_unfinished(extent.end).expect("it can be read");
    let from = RingOffset(extent.end.0 + 8);
    if let Some(behind) = file.first_record(from, extent.last).expect("it can be read") {
        assert!(behind.offset >= from && behind.position > extent.last && residue > 0);
    }
}

/// Checks the indexes of a file against its records.
fn check_records(file: &SegmentFile, extent: &Extent, index: &SparseIndex) {
    let blocks = StreamBlocks::build(file, extent.end).expect("it can be read");
    let blocks = StreamBlocks::decode(&blocks.encode(), file.header.base).expect("it was just encoded");
    let sealed = extent.sealed();
    let (index, again) = SparseIndex::decode(&index.encode(&sealed), file.header.base).expect("it was just encoded");
    assert_eq!(again, sealed);
    let (mut at, mut unchecked) = (file.header.base, 0);
    let start = (file.header.base, file.header.after);
    let scanned = file.scan::<ScanError>(start, Some(extent.end), |record| {
        assert_eq!(record.offset(), at);
        at = record.end();
        assert!(index.before(record.position()) <= record.offset());
        let block = (record.offset().0 - file.header.base.0) / BLOCK_BYTES * BLOCK_BYTES;
        let block = RingOffset(file.header.base.0 + block);
        assert_eq!(blocks.next(block, StreamBits::of(record.key())), Some(block));
        // The fields that readers use.
        let _ = (record.type_name(), record.data(), record.meta(), record.id(), record.revision(), record.back_link());
        Ok(())
    });
    assert_eq!(scanned.expect("it can be read").end, extent.end);
    file.scan_unchecked(extent.end, |_| unchecked += 1).expect("it can be read");
    assert_eq!((at, unchecked), (extent.end, extent.records));
}

fn recover(identity: &LogIdentity, trust: Trust) -> Result<RecoveredLog, RecoveryError> {
    recover_log(identity, &Unsynced, RecoveryOptions { trust, note_cut: &|_| Ok(()) })
}

/// Checks the log as a whole: what a start does with it, and `keytide check`.
fn check_log(directory: &Directory, identity: &LogIdentity) {
    let looks = [Trust::All, Trust::Written, Trust::Synced].map(|trust| examine_log(identity, trust));
    let is_ok = looks.each_ref().map(Result::is_ok);
    assert_eq!(is_ok[0], is_ok[1], "{looks:?}");
    assert!(is_ok[2] || !is_ok[1], "a start that trusts less refuses less: {looks:?}");
    let _ = open_closed_log(identity);
    let report =
        check_directory(directory, false, |_| {}).unwrap_or_else(|error| panic!("it can be looked at: {error}"));
    if !report.is_sound() {
        match check_directory(directory, true, |_| {}) {
            Ok(_) => {}
            Err(CheckError::NothingLeft { .. }) => return,
            Err(error) => panic!("it cannot be repaired: {error}"),
        }
        let again =
            check_directory(directory, false, |_| {}).unwrap_or_else(|error| panic!("it was repaired: {error}"));
        assert!(again.is_sound(), "{again:?}\n was repaired: {report:?}");
    }
    let trust = directory.trust();
    let found = recover(identity, trust).unwrap_or_else(|error| panic!("it is sound: {error}"));
    let first = replay(&found);
    drop(found);
    let found = recover(identity, trust).unwrap_or_else(|error| panic!("a start has taken it: {error}"));
    assert_eq!(replay(&found), first);
    let end = (found.end.end, found.end.last);
    found.close(&identity.directory, &Unsynced).expect("what was found can be closed");
    let (_, offset, position) = open_closed_log(identity).unwrap_or_else(|error| panic!("it was closed: {error}"));
    assert_eq!((offset, position), end);
}

/// The number of records of the log, and its end. A shard may refuse to replay them, but must not panic.
fn replay(found: &RecoveredLog) -> (u64, RingOffset, Position) {
    let mut shard = Shard::new(ShardId(0), Arc::new(Sequencer::new(Position(1), 1)), None, 16);
    let (mut records, mut last, mut is_replayed) = (0, Position(0), true);
    let read = found.replay::<RecoveryError>(RingOffset(0), |record| {
        assert!(record.position() > last);
        (records, last) = (records + 1, record.position());
        is_replayed = is_replayed && shard.replay(record).is_ok();
        Ok(())
    });
    read.unwrap_or_else(|error| panic!("what was found can be read: {error}"));
    (records, found.end.end, found.end.last)
}
