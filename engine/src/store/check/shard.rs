//! Checks one shard: which segments of its log are contiguous, and which snapshots are valid.

use super::report::{CheckError, Problem, ShardReport};
use crate::log::LogIdentity;
use crate::log::index::{Sealed, SparseIndex};
use crate::log::scan::{Extent, ScanError, SegmentFile, is_zero};
use crate::log::segment::{HEADER_BYTES, HeaderError, index_path, segment_number};
use crate::log::storage::is_unfinished;
use crate::log::streams::{StreamBlocks, streams_path};
use crate::log::synced;
use crate::position::{Position, RingOffset};
use crate::ring::{Record, record};
use crate::snapshot::{self, SnapshotError, SnapshotInfo, snapshot_files};
use crate::store::recovery::{RecoveryError, Trust, examine_log, open_closed_log};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Segments that follow each other without a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentRun {
    /// The offset of the first record, and the position of the last record before it.
    pub start: (RingOffset, Position),
    /// The offset behind the last valid record, and the position of that record.
    pub end: (RingOffset, Position),
    /// The offset behind the last complete command, and the position of its last record.
    pub whole: (RingOffset, Position),
    /// The segments' files, in order.
    pub files: Vec<PathBuf>,
    /// Whether nonzero bytes follow the last valid record.
    pub is_torn: bool,
}

/// A checked shard: its report, and what a repair needs.
pub(super) struct CheckedShard {
    pub identity: LogIdentity,
    pub report: ShardReport,
    /// The contiguous parts of the log, in order; more than one where something between them is damaged.
    pub runs: Vec<SegmentRun>,
    /// Files with the name of a segment that are not usable as one.
    pub lost_files: Vec<PathBuf>,
    /// The valid snapshots.
    pub snapshots: Vec<(PathBuf, SnapshotInfo)>,
    /// The damaged snapshots.
    pub damaged_snapshots: Vec<PathBuf>,
    /// Files derived from a segment that is missing. They would be wrong beside a later segment with the same number.
    pub orphans: Vec<PathBuf>,
    pub is_mark_damaged: bool,
    /// Whether the shard is of the current generation; those of older ones are only read.
    pub is_current: bool,
}

impl CheckedShard {
    /// Checks a shard. Its directory may be missing unless a run `is_begun`.
    pub fn check(
        identity: LogIdentity,
        is_begun: bool,
        is_current: bool,
        trust: Trust,
    ) -> Result<CheckedShard, CheckError> {
        let report = ShardReport {
            generation: identity.generation,
            shard: identity.shard,
            segments: 0,
            snapshots: 0,
            records: 0,
            bytes: 0,
            positions: None,
            synced: RingOffset(0),
            problems: Vec::new(),
        };
        let mut checked = CheckedShard {
            identity,
            report,
            runs: Vec::new(),
            lost_files: Vec::new(),
            snapshots: Vec::new(),
            damaged_snapshots: Vec::new(),
            orphans: Vec::new(),
            is_mark_damaged: false,
            is_current,
        };
        let directory = checked.identity.directory.clone();
        let refused = |source| CheckError::Io { path: directory.clone(), source };
        match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_begun {
                    checked.damage(&directory, None, "the shard's directory is missing: its keys and history are lost");
                }
                return Ok(checked);
            }
            entries => {
                let mut segments = Vec::new();
                for entry in entries.map_err(refused)? {
                    let path = entry.map_err(refused)?.path();
                    if is_unfinished(&path) {
                        checked.note(&path, "was never completed; a start removes it");
                    } else if let Some(number) = segment_number(&path) {
                        segments.push((number, path));
                    } else if path.extension().is_some_and(|end| end == "index" || end == "streams")
                        && !path.with_extension("segment").exists()
                    {
                        checked.note(&path, "the segment that it is made from is not there");
                        checked.orphans.push(path);
                    }
                }
                segments.sort_unstable();
                checked.check_mark()?;
                checked.check_segments(&segments)?;
            }
        }
        checked.check_as_start(trust)?;
        checked.check_end(&directory);
        checked.check_snapshots().map_err(refused)?;
        Ok(checked)
    }

    fn damage(&mut self, path: &Path, place: Option<(RingOffset, u64)>, what: impl Into<String>) {
        self.report.problems.push(Problem { path: path.to_owned(), place, what: what.into(), is_damage: true });
    }

    fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.report.problems.push(Problem { path: path.to_owned(), place: None, what: what.into(), is_damage: false });
    }

    fn check_mark(&mut self) -> Result<(), CheckError> {
        let path = self.identity.directory.join("synced");
        match synced::read(&self.identity.directory) {
            Ok(mark) => self.report.synced = mark.unwrap_or_default().synced,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.is_mark_damaged = true;
                self.damage(&path, None, "the mark of what is surely on the disk is damaged: no server starts with it");
            }
            Err(source) => return Err(CheckError::Io { path, source }),
        }
        Ok(())
    }

    fn check_segments(&mut self, segments: &[(u64, PathBuf)]) -> Result<(), CheckError> {
        // Segments that were created ahead of time: normally the last ones.
        let mut unused: Vec<&PathBuf> = Vec::new();
        for (number, path) in segments {
            let place = |checked: &CheckedShard| Some((checked.end().0, 0));
            match SegmentFile::open(path) {
                Ok(file) => {
                    for path in unused.drain(..) {
                        self.damage(path, place(self), "its header is gone, and other segments follow");
                        self.lost_files.push(path.clone());
                    }
                    self.check_segment(*number, &file)?;
                }
                Err(ScanError::Header { source: HeaderError::Unused, .. }) => unused.push(path),
                Err(ScanError::Header { source, .. }) => {
                    self.damage(path, place(self), format!("{source}: none of its records can be read"));
                    self.lost_files.push(path.clone());
                }
                Err(ScanError::Io { source, .. }) => return Err(CheckError::Io { path: path.clone(), source }),
            }
        }
        for path in unused {
            let refused = |error: ScanError| CheckError::Recovery(error.into());
            if self.end().0 < self.report.synced && !is_zero(path).map_err(refused)? {
                self.damage(path, Some((self.end().0, 0)), "its header is gone: none of its records can be read");
                self.lost_files.push(path.clone());
            }
        }
        Ok(())
    }

    /// The end of the log so far: the offset behind the last valid record, and its position.
    fn end(&self) -> (RingOffset, Position) {
        self.runs.last().map_or((RingOffset(0), Position(0)), |run| run.end)
    }

    fn check_segment(&mut self, number: u64, file: &SegmentFile) -> Result<(), CheckError> {
        let (header, path) = (&file.header, &file.path);
        let io = |source| CheckError::Io { path: path.clone(), source };
        let scan = |error: ScanError| CheckError::Recovery(error.into());
        if !self.identity.owns(header, number) {
            let what = format!(
                "it is segment {} of generation {}, shard {} of {}: it belongs elsewhere",
                header.number, header.generation, header.shard, header.shards
            );
            self.damage(path, Some((self.end().0, 0)), what);
            self.lost_files.push(path.clone());
            return Ok(());
        }
        if !file.is_header_whole {
            self.damage(path, None, "a part of its header is damaged; the other copy of it is used, nothing is lost");
        }
        let (extent, _) = file.measure().map_err(scan)?;
        self.report.segments += 1;
        self.report.records += extent.records;
        self.report.bytes += extent.end.0 - header.base.0;
        if extent.records > 0 {
            let first = Position(first_position(file).map_err(scan)?);
            self.report.positions = Some((self.report.positions.map_or(first, |(first, _)| first), extent.last));
        }
        self.append(file, &extent);
        if extent.residue > 0 {
            let place = Some((extent.end, file.file_at(extent.end)));
            let what = format!(
                "{}; the {} bytes behind it cannot be used",
                reason(file, &extent).map_err(io)?,
                extent.residue
            );
            let is_damage = extent.end < self.report.synced;
            self.report.problems.push(Problem { path: path.clone(), place, what, is_damage });
        }
        self.check_derived_files(file, &extent)
    }

    /// Appends a segment to the run before it, or begins a new run.
    fn append(&mut self, file: &SegmentFile, extent: &Extent) {
        let (header, path) = (&file.header, &file.path);
        let place = Some((header.base, 0));
        let start = (header.base, header.after);
        let is_torn = extent.residue > 0;
        let (whole, files) = (extent.whole, vec![path.clone()]);
        let new = SegmentRun { start, end: (extent.end, extent.last), whole, files, is_torn };
        match self.runs.last_mut() {
            Some(run) if !run.is_torn && run.end == start => {
                // Where the whole segment belongs to a command that begins before, the last complete command ends before.
                if extent.whole.0 > header.base {
                    run.whole = extent.whole;
                }
                (run.end, run.is_torn) = (new.end, is_torn);
                run.files.push(path.clone());
                return;
            }
            // The damage in the previous segment is reported already.
            Some(run) if run.is_torn => {}
            Some(run) => {
                let what = format!("it begins at offset {}, but the log before it ends at {}", start.0, run.end.0);
                self.damage(path, place, format!("{what}: the records in between are missing"));
            }
            None => {}
        }
        self.runs.push(new);
    }

    /// Checks the index and the streams of a segment, which can be rebuilt.
    fn check_derived_files(&mut self, file: &SegmentFile, extent: &Extent) -> Result<(), CheckError> {
        let base = file.header.base;
        let read = |path: &Path| match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CheckError::Io { path: path.to_owned(), source }),
            Ok(bytes) => Ok(Some(bytes)),
        };
        let index = index_path(&file.path);
        if let Some(bytes) = read(&index)? {
            match SparseIndex::decode(&bytes, base) {
                Err(_) => self.note(&index, "damaged; it is rebuilt"),
                Ok((_, Sealed { end, last, .. })) if (end, last) != (extent.end, extent.last) => {
                    let what = format!("the segment ended at offset {end} when it was complete");
                    self.damage(&index, None, format!("{what}, and ends at {} now", extent.end));
                }
                Ok(_) => {}
            }
        }
        let streams = streams_path(&file.path);
        if read(&streams)?.is_some_and(|bytes| StreamBlocks::decode(&bytes, base).is_none()) {
            self.note(&streams, "damaged; it is not used, or rebuilt");
        }
        Ok(())
    }

    /// Classifies the problems as a start would: what makes it refuse the log is damage, what it cuts off by itself is not.
    fn check_as_start(&mut self, trust: Trust) -> Result<(), CheckError> {
        let examined = match self.is_current {
            true => examine_log(&self.identity, trust).map(drop),
            false => open_closed_log(&self.identity).map(drop),
        };
        let synced = self.report.synced;
        match examined {
            Ok(()) => {
                let is_cut = |problem: &&mut Problem| problem.place.is_some_and(|(offset, _)| offset >= synced);
                for problem in self.report.problems.iter_mut().filter(is_cut) {
                    problem.is_damage = false;
                    problem
                        .what
                        .push_str("; a start cuts it off, and continues at positions that were never published");
                }
            }
            Err(RecoveryError::Damaged { path, what, offset, evidence }) => {
                let is_same = |problem: &&mut Problem| {
                    problem.path == path && problem.place.is_some_and(|(place, _)| place == offset)
                };
                match self.report.problems.iter_mut().find(is_same) {
                    Some(problem) => {
                        problem.is_damage = true;
                        problem.what.push_str(&format!("; it is not a torn end, for {evidence}"));
                    }
                    None => self.damage(&path, Some((offset, 0)), format!("{what}, though {evidence}")),
                }
            }
            Err(RecoveryError::Mark { .. }) => {}
            Err(RecoveryError::Scan(ScanError::Header { path, source })) => {
                if !self.lost_files.contains(&path) {
                    self.damage(&path, None, source.to_string());
                }
            }
            Err(error @ (RecoveryError::Io { .. } | RecoveryError::Scan(ScanError::Io { .. }))) => {
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn check_end(&mut self, directory: &Path) {
        let (end, synced) = (self.end().0, self.report.synced);
        let is_reported = self.report.problems.iter().any(|problem| problem.is_damage && problem.place.is_some());
        if end < synced && !is_reported {
            let path = self.runs.last().and_then(|run| run.files.last()).map_or(directory, PathBuf::as_path).to_owned();
            let what = format!("the log ends here, though everything up to offset {synced} was on the disk");
            self.damage(&path, Some((end, 0)), what);
        } else if self.runs.last().is_some_and(|run| run.whole != run.end) {
            let path = self.runs.last().and_then(|run| run.files.last()).map_or(directory, PathBuf::as_path).to_owned();
            self.note(&path, "the last command is incomplete; a start cuts it off");
        }
    }

    fn check_snapshots(&mut self) -> io::Result<()> {
        let mut files = snapshot_files(&self.identity.directory)?;
        files.sort_unstable();
        self.report.snapshots = files.len();
        for (start, path) in files {
            match snapshot::inspect(&path, true) {
                Ok(info) if (info.shard, info.start) != (self.identity.shard, start) => {
                    self.damage(&path, None, "it belongs to another shard or offset than its name says");
                    self.damaged_snapshots.push(path);
                }
                Ok(info) => {
                    if info.end > self.end().0 {
                        let what = "the log does not reach its end; a start uses an older one, or the whole log";
                        self.note(&path, what);
                    } else if info.start < self.runs.first().map_or(self.end().0, |run| run.start.0) {
                        self.note(&path, "the log begins behind it; it is not used");
                    }
                    self.snapshots.push((path, info));
                }
                Err(SnapshotError::Io(error)) => return Err(error),
                Err(error) => {
                    self.damage(&path, None, format!("{error}; a start uses an older one, or the whole log"));
                    self.damaged_snapshots.push(path);
                }
            }
        }
        let is_empty = self.runs.is_empty() && (self.identity.generation == 1 || !self.snapshots.is_empty());
        if self.is_current && self.runs.len() <= 1 && !is_empty && self.kept_run().is_none() {
            let path = self.identity.directory.clone();
            self.damage(
                &path,
                None,
                "the log has lost its beginning, and no snapshot takes its place: the keys are lost",
            );
        }
        Ok(())
    }

    /// The index of the run that a repair keeps: the latest one from which the keys can be restored.
    pub fn kept_run(&self) -> Option<usize> {
        if !self.is_current {
            return self.runs.len().checked_sub(1);
        }
        let is_in = |run: &SegmentRun, info: &SnapshotInfo| run.start.0 <= info.start && info.end <= run.whole.0;
        // A later generation begins with a snapshot of the keys before it.
        let is_first = self.identity.generation == 1;
        let begins = |run: &SegmentRun| {
            is_first && run.start.0 == RingOffset(0) || self.snapshots.iter().any(|(_, info)| is_in(run, info))
        };
        (0..self.runs.len()).rfind(|index| begins(&self.runs[*index]))
    }
}

fn first_position(file: &SegmentFile) -> Result<u64, ScanError> {
    let mut bytes = [0; 16];
    let opened = File::open(&file.path).and_then(|opened| opened.read_exact_at(&mut bytes, HEADER_BYTES));
    opened.map_err(|source| ScanError::Io { path: file.path.clone(), source })?;
    let (_, position) = bytes.split_at(8);
    Ok(position.first_chunk().map_or(0, |word| u64::from_le_bytes(*word)))
}

/// Why the valid records of a segment end where they do although nonzero bytes follow.
fn reason(file: &SegmentFile, extent: &Extent) -> io::Result<String> {
    let at = file.file_at(extent.end);
    let left = file.file_bytes.saturating_sub(at);
    if left < record::HEADER_BYTES {
        return Ok(format!("{left} bytes are left, fewer than a record has"));
    }
    let opened = File::open(&file.path)?;
    let mut head = [0; 8];
    opened.read_exact_at(&mut head, at)?;
    let length = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
    if length == 0 {
        return Ok("the record has no length".to_owned());
    }
    if length > left {
        return Ok(format!("the record would be {length} bytes long, and {left} are left"));
    }
    let mut bytes = vec![0; length as usize];
    opened.read_exact_at(&mut bytes, at)?;
    Ok(match Record::parse(&bytes, extent.end) {
        None => "the record's lengths do not fit".to_owned(),
        Some(record) if !record.is_intact(file.header.checksum()) => "the record's checksum does not fit".to_owned(),
        Some(record) => format!("the record's position is {}, not behind {}", record.position(), extent.last),
    })
}
