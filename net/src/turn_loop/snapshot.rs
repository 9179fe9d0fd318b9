//! The snapshots that a core takes of its shard, a slice at the end of a turn: when its log has grown enough since the
//! last one, or when somebody asks.

use super::Core;
use crate::limits::{SNAPSHOT_QUEUE_BYTES, SNAPSHOT_RETRY_MS, SNAPSHOT_RETRY_MS_MAX};
use crate::net_ring::NetRing;
use crate::server::{OnDisk, Server};
use crate::snapshots::{Order, Pace, Report};
use keytide_engine::clock;
use keytide_engine::log::LogWriter;
use keytide_engine::log::keeper::KeeperRequest;
use keytide_engine::position::{RingOffset, ShardId};
use keytide_engine::shard::{Shard, SnapshotProgress};
use keytide_engine::snapshot::snapshot_files;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Instant;

/// How often a core polls the progress of the writing thread, milliseconds.
const LOOK_EVERY_MS: u64 = 1;

/// What a core knows of its shard's snapshots. Nothing is ever done where the server keeps nothing on disk.
pub(super) struct Snapshots {
    shard: ShardId,
    /// The latest request that it has taken up.
    request: u64,
    /// Where the newest snapshot begins.
    newest: RingOffset,
    running: Option<Running>,
    pace: Pace,
    /// After a snapshot that has failed: when the next is tried, steady milliseconds, and how long that waits.
    retry: Option<(u64, u64)>,
}

struct Running {
    /// The request that it is for; none where the log has grown.
    request: Option<u64>,
    start: RingOffset,
    /// How many events the shard had recorded when it began.
    recorded: u64,
    reports: Receiver<Report>,
    /// How many bytes wait to be written.
    queued: usize,
    /// What rows that are written stood in: as much as was ever queued.
    spares: Vec<Vec<u8>>,
    /// Whether all rows are taken.
    is_taken: bool,
}

impl Snapshots {
    pub(super) fn new(shard: &Shard) -> Snapshots {
        // A directory that cannot be read is found out by the first snapshot.
        let starts = |log: &LogWriter| snapshot_files(&log.identity().directory).unwrap_or_default();
        let files = shard.turn().log().map(starts).unwrap_or_default();
        Snapshots {
            shard: shard.id(),
            request: 0,
            newest: files.into_iter().map(|(start, _)| start).max().unwrap_or(RingOffset(0)),
            running: None,
            pace: Pace::default(),
            retry: None,
        }
    }

    /// Whether nobody has asked for a snapshot that could begin now.
    pub(super) fn is_idle(&self, server: &Server) -> bool {
        let requested = server.on_disk.as_ref().map_or(0, |disk| disk.board.requested());
        self.running.is_some() || self.request == requested
    }

    /// When there is something to do although nothing comes in, steady milliseconds.
    pub(super) fn next_timer_ms(&self, now_ms: u64) -> Option<u64> {
        match &self.running {
            Some(_) => Some(now_ms + LOOK_EVERY_MS),
            None => self.retry.map(|(at_ms, _)| at_ms),
        }
    }

    /// Begins a snapshot where one is due, and follows the running one. Returns whether a slice can be taken.
    fn prepare(&mut self, shard: &mut Shard, server: &Server, now_ms: u64) -> bool {
        let Some(disk) = &server.on_disk else { return false };
        if server.is_stopping() {
            self.give_up(shard, disk);
            return false;
        }
        self.hear(shard, disk, now_ms);
        if self.running.is_none()
            && let Some(request) = self.due(shard, disk, now_ms)
        {
            self.begin(shard, disk, request, now_ms);
        }
        let can_go_on = |running: &Running| !running.is_taken && running.queued < SNAPSHOT_QUEUE_BYTES;
        self.running.as_ref().is_some_and(can_go_on) && !shard.turn().is_dirty()
    }

    /// Whether a snapshot is due: the inner one is the request that it is for.
    fn due(&mut self, shard: &Shard, disk: &OnDisk, now_ms: u64) -> Option<Option<u64>> {
        let requested = disk.board.requested();
        if requested > self.request {
            self.request = requested;
            return Some(Some(requested));
        }
        let is_due = match self.retry {
            Some((at_ms, _)) => now_ms >= at_ms,
            None => shard.history_end().0.saturating_sub(self.newest.0) >= disk.snapshot_bytes,
        };
        if is_due && shard.turn().log().is_none_or(|log| log.keeper().has_failed()) {
            // For good.
            self.retry = None;
            return None;
        }
        is_due.then_some(None)
    }

    fn begin(&mut self, shard: &mut Shard, disk: &OnDisk, request: Option<u64>, now_ms: u64) {
        let (reports, told) = channel();
        let start = shard.history_end();
        let recorded = shard.turn().recorded();
        self.running =
            Some(Running { request, start, recorded, reports: told, queued: 0, spares: Vec::new(), is_taken: false });
        disk.board.begin(self.shard);
        let refusal = match shard.turn().log() {
            None => Some("the shard has no log".to_owned()),
            Some(log) => log.keeper().failure(),
        };
        if let Some(reason) = refusal {
            return self.fail(shard, disk, &reason, now_ms);
        }
        let directory = shard.turn().log().map(|log| log.identity().directory.clone()).unwrap_or_default();
        self.order(&disk.orders, Order::Begin { shard: self.shard, directory, start, reports });
        let mut rows = Vec::new();
        match shard.begin_snapshot(disk.shards, &mut rows) {
            Ok(()) => self.send(&disk.orders, rows),
            Err(error) => self.fail(shard, disk, &error.to_string(), now_ms),
        }
    }

    /// Takes a slice.
    fn slice(&mut self, shard: &mut Shard, disk: &OnDisk) {
        let began = Instant::now();
        let spare = self.running.as_mut().and_then(|running| running.spares.pop());
        let mut rows = spare.unwrap_or_default();
        // Room for the row that goes beyond, too.
        rows.reserve(self.pace.bytes() + self.pace.bytes() / 8);
        let progress = shard.snapshot_slice(&mut rows, self.pace.bytes());
        let end = match progress {
            SnapshotProgress::More => None,
            SnapshotProgress::Done => shard.finish_snapshot(&mut rows),
        };
        let bytes = rows.len();
        self.send(&disk.orders, rows);
        if let (Some(end), Some(log)) = (end, shard.turn().log()) {
            // What it has seen is written, so the keeper's next sync has it.
            let (done, synced) = channel();
            log.keeper().ask(KeeperRequest::Sync(done));
            let (log, keep) = (log.keeper().status(), disk.snapshots);
            self.order(&disk.orders, Order::Finish { shard: self.shard, end: end.end, synced, log, keep });
            self.running.iter_mut().for_each(|running| running.is_taken = true);
        }
        self.pace.note_slice(bytes, began.elapsed().as_nanos() as u64);
    }

    /// Hears how far the thread has come.
    fn hear(&mut self, shard: &mut Shard, disk: &OnDisk, now_ms: u64) {
        while let Some(running) = &mut self.running {
            match running.reports.try_recv() {
                Ok(Report::Written { bytes, spare }) => {
                    running.queued -= bytes;
                    running.spares.push(spare);
                }
                Ok(Report::Saved(bytes)) => {
                    let Running { request, start, recorded, .. } = *running;
                    self.running = None;
                    (self.newest, self.retry) = (start, None);
                    disk.board.count_bytes(self.shard, bytes);
                    disk.board.succeed(self.shard, request, recorded, clock::unix_millis());
                    tracing::info!(shard = %self.shard, bytes, offset = %start, "snapshot complete");
                    if let Some(log) = shard.turn().log() {
                        log.keeper().ask(KeeperRequest::Retain);
                    }
                }
                Ok(Report::Failed(reason)) => self.fail(shard, disk, &reason, now_ms),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    self.fail(shard, disk, "the thread that writes snapshots has ended", now_ms);
                }
            }
        }
        if self.running.is_some() && shard.turn().has_failed() {
            self.fail(shard, disk, "the log has failed", now_ms);
        }
    }

    fn fail(&mut self, shard: &mut Shard, disk: &OnDisk, reason: &str, now_ms: u64) {
        let Some(running) = self.running.take() else { return };
        shard.abort_snapshot();
        self.order(&disk.orders, Order::Abort(self.shard));
        let wait_ms = self.retry.map_or(SNAPSHOT_RETRY_MS, |(_, wait_ms)| (2 * wait_ms).min(SNAPSHOT_RETRY_MS_MAX));
        self.retry = Some((now_ms + wait_ms, wait_ms));
        tracing::warn!(shard = %self.shard, reason, again_in_ms = wait_ms, "no snapshot");
        disk.board.fail(self.shard, running.request, reason);
    }

    /// For a core that stops: the log has everything.
    fn give_up(&mut self, shard: &mut Shard, disk: &OnDisk) {
        if let Some(running) = self.running.take() {
            shard.abort_snapshot();
            self.order(&disk.orders, Order::Abort(self.shard));
            disk.board.fail(self.shard, running.request, "the server stops");
        }
        self.retry = None;
    }

    fn send(&mut self, orders: &Sender<Order>, rows: Vec<u8>) {
        self.running.iter_mut().for_each(|running| running.queued += rows.len());
        self.order(orders, Order::Rows { shard: self.shard, rows });
    }

    fn order(&self, orders: &Sender<Order>, order: Order) {
        // Where the thread has ended, there are no reports any more, and that is noticed.
        let _ = orders.send(order);
    }
}

impl Core {
    /// Goes on with a snapshot, after all other work of the turn. Returns whether there is more to take at once.
    pub(super) fn take_snapshot(&mut self, net: &mut NetRing, started: Instant, work: bool) -> io::Result<bool> {
        let Core { shard, server, snapshots, steady_ms, .. } = self;
        // One that is lent is back soon.
        let (Some(disk), Some(shard)) = (&server.on_disk, shard.as_deref_mut()) else { return Ok(false) };
        if !snapshots.prepare(shard, server, *steady_ms) {
            return Ok(false);
        }
        if !work || snapshots.pace.note_work(started.elapsed().as_nanos() as u64) {
            // What the turn has to send does not wait for the slice.
            net.submit()?;
            snapshots.slice(shard, disk);
        }
        Ok(true)
    }
}
