//! The thread that writes the snapshots of all shards: aside, and under their names once the log is on the disk up to
//! where they end.

use crate::limits::SNAPSHOT_SLICE_BYTES_MAX;
use keytide_engine::log::keeper::LogStatus;
use keytide_engine::position::{RingOffset, ShardId};
use keytide_engine::snapshot::{SnapshotFile, keep_newest, snapshot_path};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What a core has the thread do.
pub enum Order {
    /// Begin the file of a snapshot; what there is of an earlier one of the shard is given up.
    Begin {
        /// The shard.
        shard: ShardId,
        /// The directory of its files.
        directory: PathBuf,
        /// From where the log will have to be replayed.
        start: RingOffset,
        /// Who wants to know how it goes.
        reports: Sender<Report>,
    },
    /// Write the next bytes.
    Rows {
        /// The shard.
        shard: ShardId,
        /// The bytes.
        rows: Vec<u8>,
    },
    /// All is written: wait for the log, then give the file its name, and remove older ones.
    Finish {
        /// The shard.
        shard: ShardId,
        /// How far the log has to be on the disk.
        end: RingOffset,
        /// Who says how far it is.
        synced: Receiver<Result<RingOffset, String>>,
        /// Its log, of which less is needed then.
        log: LogStatus,
        /// How many snapshots are kept.
        keep: usize,
    },
    /// Give it up.
    Abort(ShardId),
    /// Give everything up.
    End,
}

/// What a core is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Report {
    /// So many bytes are written.
    Written {
        /// How many.
        bytes: usize,
        /// What they stood in, for the next ones, where that is of a usual size.
        spare: Vec<u8>,
    },
    /// The snapshot is complete: its bytes.
    Saved(u64),
    /// It has failed, and nothing is left of it.
    Failed(String),
}

/// The thread. When this is dropped it gives up what it is writing, and ends.
pub struct SnapshotThread {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl SnapshotThread {
    /// Starts it, for so many shards.
    ///
    /// # Errors
    /// Where the system has no thread left.
    pub fn start(shards: u16) -> io::Result<SnapshotThread> {
        let (orders, received) = channel();
        let jobs = (0..shards).map(|_| None).collect();
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || run(&received, jobs))?;
        Ok(SnapshotThread { orders, thread: Some(thread) })
    }

    /// What takes orders.
    pub fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }
}

impl Drop for SnapshotThread {
    fn drop(&mut self) {
        // Where it has ended already, there is nobody to tell.
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            // A panic was told where it happened.
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
                    Err(error) => tell(&reports, Report::Failed(describe(&directory, &error))),
                }
            }
            Order::Rows { shard, mut rows } => {
                let Some(job) = &mut jobs[shard.0 as usize] else { continue };
                match job.file.write(&rows) {
                    Ok(()) => {
                        let bytes = rows.len();
                        job.bytes += bytes as u64;
                        rows.clear();
                        // Giving a large one back to the system takes time, which is rather this thread's than a core's.
                        let spare = if rows.capacity() <= 2 * SNAPSHOT_SLICE_BYTES_MAX { rows } else { Vec::new() };
                        tell(&job.reports, Report::Written { bytes, spare });
                    }
                    Err(error) => {
                        tell(&job.reports, Report::Failed(describe(&job.directory, &error)));
                        jobs[shard.0 as usize] = None;
                    }
                }
            }
            Order::Finish { shard, end, synced, log, keep } => {
                let Some(job) = jobs[shard.0 as usize].take() else { continue };
                let (bytes, reports) = (job.bytes, job.reports.clone());
                tell(
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
    // Before the file has its name: rows may contain changes that a power loss would take from the log, and a start
    // would then find them twice, or at offsets that belong to others.
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
            tracing::warn!(%directory, %error, "snapshots that are no longer kept cannot be looked for");
        }
    }
    Ok(())
}

fn describe(directory: &Path, error: &io::Error) -> String {
    format!("snapshot in {}: {error}", directory.display())
}

/// A core that stops listens no more.
fn tell(reports: &Sender<Report>, report: Report) {
    let _ = reports.send(report);
}
