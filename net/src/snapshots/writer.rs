//! The thread that writes the snapshots of all shards. A snapshot is written under a temporary name, and renamed once the
//! log is synced up to the snapshot's end.

use crate::limits::SNAPSHOT_SLICE_BYTES_MAX;
use keytide_engine::log::keeper::LogStatus;
use keytide_engine::position::{RingOffset, ShardId};
use keytide_engine::snapshot::{SnapshotFile, keep_newest, snapshot_path};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A core's order to the thread.
pub enum Order {
    /// Begin the file of a snapshot. An unfinished one of the shard is removed.
    Begin {
        /// The shard.
        shard: ShardId,
        /// The directory of its files.
        directory: PathBuf,
        /// The offset from which on the log must be replayed.
        start: RingOffset,
        /// Takes the thread's reports.
        reports: Sender<Report>,
    },
    /// Write the next bytes.
    Rows {
        /// The shard.
        shard: ShardId,
        /// The bytes.
        rows: Vec<u8>,
    },
    /// Complete the snapshot: wait for the log, rename the file, and remove older snapshots.
    Finish {
        /// The shard.
        shard: ShardId,
        /// The offset up to which the log must be synced.
        end: RingOffset,
        /// Receives the offset up to which the log is synced.
        synced: Receiver<Result<RingOffset, String>>,
        /// The shard's log, whose retention may then continue.
        log: LogStatus,
        /// The number of snapshots to keep.
        keep: usize,
    },
    /// Abandon the snapshot of a shard.
    Abort(ShardId),
    /// Abandon all snapshots, and end the thread.
    End,
}

/// The thread's report to a core.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// Bytes were written.
    Written {
        /// Their number.
        bytes: usize,
        /// Their buffer, for reuse; empty where it was unusually large.
        spare: Vec<u8>,
    },
    /// The snapshot is complete. Its length in bytes.
    Saved(u64),
    /// The snapshot has failed, and its file is removed.
    Failed(String),
}

/// The thread. Dropping this abandons unfinished snapshots, and ends the thread.
pub struct SnapshotThread {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl SnapshotThread {
    /// Starts the thread for this number of shards.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start(shards: u16) -> io::Result<SnapshotThread> {
        let (orders, received) = channel();
        let jobs = (0..shards).map(|_| None).collect();
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || run(&received, jobs))?;
        Ok(SnapshotThread { orders, thread: Some(thread) })
    }

    /// The sender of orders.
    pub fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }
}

impl Drop for SnapshotThread {
    fn drop(&mut self) {
        // The thread may have ended already.
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            // A panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// A snapshot that is being written.
struct Job {
    directory: PathBuf,
    file: SnapshotFile,
    bytes: u64,
    reports: Sender<Report>,
}

fn run(orders: &Receiver<Order>, mut jobs: Vec<Option<Job>>) {
    while let Ok(order) = orders.recv() {
        match order {
            Order::Begin { shard, directory, start, reports } => {
                let place = &mut jobs[shard.0 as usize];
                *place = None;
                match SnapshotFile::create(&snapshot_path(&directory, start)) {
                    Ok(file) => *place = Some(Job { directory, file, bytes: 0, reports }),
                    Err(error) => report(&reports, Report::Failed(describe(&directory, &error))),
                }
            }
            Order::Rows { shard, mut rows } => {
                let Some(job) = &mut jobs[shard.0 as usize] else { continue };
                match job.file.write(&rows) {
                    Ok(()) => {
                        let bytes = rows.len();
                        job.bytes += bytes as u64;
                        rows.clear();
                        // Freeing a large buffer takes time, so this thread does it, not a core.
                        let spare = if rows.capacity() <= 2 * SNAPSHOT_SLICE_BYTES_MAX { rows } else { Vec::new() };
                        report(&job.reports, Report::Written { bytes, spare });
                    }
                    Err(error) => {
                        report(&job.reports, Report::Failed(describe(&job.directory, &error)));
                        jobs[shard.0 as usize] = None;
                    }
                }
            }
            Order::Finish { shard, end, synced, log, keep } => {
                let Some(job) = jobs[shard.0 as usize].take() else { continue };
                let (bytes, reports) = (job.bytes, job.reports.clone());
                report(
                    &reports,
                    finish(job, end, &synced, &log, keep).map_or_else(Report::Failed, |()| Report::Saved(bytes)),
                );
            }
            Order::Abort(shard) => jobs[shard.0 as usize] = None,
            Order::End => return,
        }
    }
}

fn finish(
    job: Job,
    end: RingOffset,
    synced: &Receiver<Result<RingOffset, String>>,
    log: &LogStatus,
    keep: usize,
) -> Result<(), String> {
    let Job { directory, file, .. } = job;
    // The log must be synced before the file is renamed: rows may contain changes whose records a power loss would remove
    // from the log. A start would then apply later records at the same offsets to entries that already differ.
    let through = synced.recv().map_err(|_| "the log has ended".to_owned())??;
    if through < end {
        return Err(format!("{}: the log is on the disk up to offset {through} only, not {end}", directory.display()));
    }
    file.finish().map_err(|error| describe(&directory, &error))?;
    match keep_newest(&directory, keep) {
        Ok(Some(needed)) => log.raise_floor(needed),
        Ok(None) => {}
        Err(error) => {
            let directory = directory.display();
            tracing::warn!(%directory, %error, "older snapshots cannot be listed for removal");
        }
    }
    Ok(())
}

fn describe(directory: &Path, error: &io::Error) -> String {
    format!("snapshot in {}: {error}", directory.display())
}

/// Sends a report. A core that stops has dropped its receiver.
fn report(reports: &Sender<Report>, report: Report) {
    let _ = reports.send(report);
}
