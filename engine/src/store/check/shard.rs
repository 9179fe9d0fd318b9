//! One shard looked at: what of its log hangs together, and what its snapshots can begin from.

use super::report::{CheckError, Problem, ShardReport};
use crate::log::LogIdentity;
use crate::log::index::{Sealed, SparseIndex};
use crate::log::scan::{Extent, ScanError, SegmentFile, is_zero};
use crate::log::segment::{HEADER_BYTES, HeaderError, index_path, segment_number};
use crate::log::storage::is_aside;
use crate::log::streams::{StreamBlocks, streams_path};
use crate::log::synced;
use crate::position::{Position, RingOffset};
use crate::ring::{Record, record};
use crate::snapshot::{self, SnapshotError, SnapshotInfo, snapshot_files};
use crate::store::recovery::{RecoveryError, Trust, find_closed, look_at_log};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Segments that follow each other without a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The offset of its first record, and the position of the record before.
    pub start: (RingOffset, Position),
    /// The offset behind its last whole record, and the position of that.
    pub end: (RingOffset, Position),
    /// The same of its last whole command.
    pub whole: (RingOffset, Position),
    /// The files, in order.
    pub files: Vec<PathBuf>,
    /// Whether something that is no record stands behind its end.
    pub is_torn: bool,
}

/// A shard as it was found.
pub(super) struct Seen {
    pub identity: LogIdentity,
    pub report: ShardReport,
    /// What hangs together of its log, in order. More than one where something is damaged between them.
    pub runs: Vec<Run>,
    /// The files that are no segments although they should be.
    pub lost_files: Vec<PathBuf>,
    /// Snapshots that are whole.
    pub snapshots: Vec<(PathBuf, SnapshotInfo)>,
    /// Snapshots that are not.
    pub damaged_snapshots: Vec<PathBuf>,
    /// Indexes and streams whose segment is not there. Beside another of the same number they would be wrong.
    pub orphans: Vec<PathBuf>,
    pub is_mark_damaged: bool,
    /// Whether it is written to; of others only history is left.
    pub is_current: bool,
}

impl Seen {
    /// Looks at a shard. Where nothing was ever begun its directory may be missing.
    pub fn look(identity: LogIdentity, is_begun: bool, is_current: bool, trust: Trust) -> Result<Seen, CheckError> {
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
        let mut seen = Seen {
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
        let directory = seen.identity.directory.clone();
        let refused = |source| CheckError::Io { path: directory.clone(), source };
        match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if is_begun {
                    seen.damage(&directory, None, "the shard's directory is missing: its keys and history are lost");
                }
                return Ok(seen);
            }
            entries => {
                let mut segments = Vec::new();
                for entry in entries.map_err(refused)? {
                    let path = entry.map_err(refused)?.path();
                    if is_aside(&path) {
                        seen.note(&path, "was never completed; a start removes it");
                    } else if let Some(number) = segment_number(&path) {
                        segments.push((number, path));
                    } else if path.extension().is_some_and(|end| end == "index" || end == "streams")
                        && !path.with_extension("segment").exists()
                    {
                        seen.note(&path, "the segment that it is made from is not there");
                        seen.orphans.push(path);
                    }
                }
                segments.sort_unstable();
                seen.look_at_mark()?;
                seen.look_at_segments(&segments)?;
            }
        }
        seen.look_as_a_start(trust)?;
        seen.look_at_end(&directory);
        seen.look_at_snapshots().map_err(refused)?;
        Ok(seen)
    }

    fn damage(&mut self, path: &Path, place: Option<(RingOffset, u64)>, what: impl Into<String>) {
        self.report.problems.push(Problem { path: path.to_owned(), place, what: what.into(), is_damage: true });
    }

    fn note(&mut self, path: &Path, what: impl Into<String>) {
        self.report.problems.push(Problem { path: path.to_owned(), place: None, what: what.into(), is_damage: false });
    }

    fn look_at_mark(&mut self) -> Result<(), CheckError> {
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

    fn look_at_segments(&mut self, segments: &[(u64, PathBuf)]) -> Result<(), CheckError> {
        // Those that were made beforehand: the last ones.
        let mut unused: Vec<&PathBuf> = Vec::new();
        for (number, path) in segments {
            let place = |seen: &Seen| Some((seen.end().0, 0));
            match SegmentFile::open(path) {
                Ok(file) => {
                    for path in unused.drain(..) {
                        self.damage(path, place(self), "its header is gone, and other segments follow");
                        self.lost_files.push(path.clone());
                    }
                    self.look_at_segment(*number, &file)?;
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

    fn end(&self) -> (RingOffset, Position) {
        self.runs.last().map_or((RingOffset(0), Position(0)), |run| run.end)
    }

    fn look_at_segment(&mut self, number: u64, file: &SegmentFile) -> Result<(), CheckError> {
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
        self.join(file, &extent);
        if extent.residue > 0 {
            let place = Some((extent.end, file.file_at(extent.end)));
            let what = format!("{}; {} bytes behind it are no use", reason(file, &extent).map_err(io)?, extent.residue);
            let is_damage = extent.end < self.report.synced;
            self.report.problems.push(Problem { path: path.clone(), place, what, is_damage });
        }
        self.look_beside(file, &extent)
    }

    /// Adds a segment to the run before it, or begins one.
    fn join(&mut self, file: &SegmentFile, extent: &Extent) {
        let (header, path) = (&file.header, &file.path);
        let place = Some((header.base, 0));
        let start = (header.base, header.after);
        let is_torn = extent.residue > 0;
        let (whole, files) = (extent.whole, vec![path.clone()]);
        let new = Run { start, end: (extent.end, extent.last), whole, files, is_torn };
        match self.runs.last_mut() {
            Some(run) if !run.is_torn && run.end == start => {
                // Where all of it belongs to a command that began before, the whole ones end before.
                if extent.whole.0 > header.base {
                    run.whole = extent.whole;
                }
                (run.end, run.is_torn) = (new.end, is_torn);
                run.files.push(path.clone());
                return;
            }
            // What tore is told of.
            Some(run) if run.is_torn => {}
            Some(run) => {
                let what = format!("it begins at offset {}, but what is before it ends at {}", start.0, run.end.0);
                self.damage(path, place, format!("{what}: what was between is missing"));
            }
            None => {}
        }
        self.runs.push(new);
    }

    /// Index and streams of a segment, which can be made anew.
    fn look_beside(&mut self, file: &SegmentFile, extent: &Extent) -> Result<(), CheckError> {
        let base = file.header.base;
        let read = |path: &Path| match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CheckError::Io { path: path.to_owned(), source }),
            Ok(bytes) => Ok(Some(bytes)),
        };
        let index = index_path(&file.path);
        if let Some(bytes) = read(&index)? {
            match SparseIndex::decode(&bytes, base) {
                Err(_) => self.note(&index, "damaged; it is made anew"),
                Ok((_, Sealed { end, last, .. })) if (end, last) != (extent.end, extent.last) => {
                    let what = format!("the segment ended at offset {end} when it was complete");
                    self.damage(&index, None, format!("{what}, and ends at {} now", extent.end));
                }
                Ok(_) => {}
            }
        }
        let streams = streams_path(&file.path);
        if read(&streams)?.is_some_and(|bytes| StreamBlocks::decode(&bytes, base).is_none()) {
            self.note(&streams, "damaged; it is done without or made anew");
        }
        Ok(())
    }

    /// Looks with the eyes of a start: what that refuses is damage, and what it cuts off by itself is none.
    fn look_as_a_start(&mut self, trust: Trust) -> Result<(), CheckError> {
        let looked = match self.is_current {
            true => look_at_log(&self.identity, trust).map(drop),
            false => find_closed(&self.identity).map(drop),
        };
        let synced = self.report.synced;
        match looked {
            Ok(()) => {
                let is_cut = |problem: &&mut Problem| problem.place.is_some_and(|(offset, _)| offset >= synced);
                for problem in self.report.problems.iter_mut().filter(is_cut) {
                    problem.is_damage = false;
                    problem.what.push_str("; a start cuts it off, and goes on at positions that nobody has seen");
                }
            }
            Err(RecoveryError::Damaged { path, what, offset, why }) => {
                let is_it = |problem: &&mut Problem| {
                    problem.path == path && problem.place.is_some_and(|(place, _)| place == offset)
                };
                match self.report.problems.iter_mut().find(is_it) {
                    Some(problem) => {
                        problem.is_damage = true;
                        problem.what.push_str(&format!("; it is no torn end, for {why}"));
                    }
                    None => self.damage(&path, Some((offset, 0)), format!("{what}, though {why}")),
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

    fn look_at_end(&mut self, directory: &Path) {
        let (end, synced) = (self.end().0, self.report.synced);
        let is_told = self.report.problems.iter().any(|problem| problem.is_damage && problem.place.is_some());
        if end < synced && !is_told {
            let path = self.runs.last().and_then(|run| run.files.last()).map_or(directory, PathBuf::as_path).to_owned();
            let what = format!("the log ends here, though everything up to offset {synced} was on the disk");
            self.damage(&path, Some((end, 0)), what);
        } else if self.runs.last().is_some_and(|run| run.whole != run.end) {
            let path = self.runs.last().and_then(|run| run.files.last()).map_or(directory, PathBuf::as_path).to_owned();
            self.note(&path, "the last command is not there as a whole; a start cuts off what there is of it");
        }
    }

    fn look_at_snapshots(&mut self) -> io::Result<()> {
        let mut files = snapshot_files(&self.identity.directory)?;
        files.sort_unstable();
        self.report.snapshots = files.len();
        for (start, path) in files {
            match snapshot::inspect(&path, true) {
                Ok(info) if (info.shard, info.start) != (self.identity.shard, start) => {
                    self.damage(&path, None, "it is of another shard or offset than its name says");
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

    /// The run that is kept in a repair: the latest one that keys can be brought back from.
    pub fn kept_run(&self) -> Option<usize> {
        if !self.is_current {
            return self.runs.len().checked_sub(1);
        }
        let is_in = |run: &Run, info: &SnapshotInfo| run.start.0 <= info.start && info.end <= run.whole.0;
        // A later generation begins with a snapshot of what was before it.
        let is_first = self.identity.generation == 1;
        let begins = |run: &Run| {
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

/// Why the records of a segment end where they do, although something follows.
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
