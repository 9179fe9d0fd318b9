//! Starts the cores, and runs each one's loop: turns while there is work, then spinning for a while, then sleep.

use super::{AfterTurn, Core, note_settings};
use crate::config::Spin;
use crate::groups::Groups;
use crate::limits::{LANE_BATCHES, SHARED_FILES_MAX, STOP_GRACE_MS};
use crate::mesh::message::Batch;
use crate::mesh::{LaneReceiver, LaneSender, Outbound, lane};
use crate::net_ring::{NetRing, NetRingError, NetRingOptions};
use crate::server::Server;
use crate::task_queues;
use glommio::{BuilderErrorKind, ExecutorJoinHandle, GlommioError, LocalExecutorBuilder, Placement};
use keytide_engine::position::ShardId;
use keytide_engine::shard::LentShard;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why the cores could not be started, or one of them stopped.
#[derive(Debug, Error)]
pub enum CoreError {
    /// The system refused a core's io_uring.
    #[error("core {core}: {source}; {}", source.remedy())]
    NetRing {
        /// The shard's number.
        core: ShardId,
        /// What was refused.
        source: NetRingError,
    },
    /// The system refused a core's executor.
    #[error(
        "core {core}: {message}; allow 512 KiB of locked memory for each shard (ulimit -l, LimitMEMLOCK=) or give fewer --shards, and allow io_uring (kernel.io_uring_disabled=0)"
    )]
    Executor {
        /// The shard's number.
        core: ShardId,
        /// What was refused.
        message: String,
    },
    /// The system refused the memory of a core's ring.
    #[error("core {core}: --ring-bytes {bytes}: {source}; give fewer bytes or fewer --shards")]
    Memory {
        /// The shard's number.
        core: ShardId,
        /// The size of each shard's ring.
        bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// The core stopped by itself: a defect of this program.
    #[error("core {core} panicked, see above; this is a defect, please report it")]
    Broken {
        /// The shard's number.
        core: ShardId,
    },
    /// The net ring has failed.
    #[error("core {core}: {source}")]
    Ring {
        /// The shard's number.
        core: ShardId,
        /// The system's error.
        source: io::Error,
    },
}

/// The parts that a core is made of.
struct Start {
    id: ShardId,
    shard: LentShard,
    groups: Groups,
    listeners: Vec<TcpListener>,
    outbound: Vec<Option<Outbound>>,
    inbound: Vec<(ShardId, LaneReceiver<Batch>)>,
}

/// A core's ends of the lanes: to each other core, at its place, and from each.
type LaneEnds = (Vec<Option<Outbound>>, Vec<(ShardId, LaneReceiver<Batch>)>);

/// Creates the lanes between all cores. Returns the ends of each core.
fn mesh(cores: u16) -> Vec<LaneEnds> {
    let mut ends: Vec<LaneEnds> = (0..cores).map(|_| ((0..cores).map(|_| None).collect(), Vec::new())).collect();
    for source in 0..cores {
        for target in (0..cores).filter(|target| *target != source) {
            let (sender, receiver): (LaneSender<Batch>, LaneReceiver<Batch>) = lane(LANE_BATCHES);
            ends[source as usize].0[target as usize] = Some(Outbound::new(sender));
            ends[target as usize].1.push((ShardId(source), receiver));
        }
    }
    ends
}

/// Starts a core for each shard, with its groups and its listeners, one for each of the server's ports in their order. Calls
/// `ready` once all of them serve, and returns when all have stopped.
///
/// # Errors
/// The first core's error, after the others were asked to stop.
pub fn run(
    server: &Arc<Server>,
    shards: Vec<LentShard>,
    groups: Vec<Groups>,
    listeners: Vec<Vec<TcpListener>>,
    ready: impl FnOnce(),
) -> Result<(), CoreError> {
    let starts = mesh(server.shards()).into_iter().zip(shards).zip(groups).zip(listeners).enumerate();
    let mut starting = Vec::new();
    let mut refused = None;
    // The cores start in parallel, since each prefaults its ring, which takes seconds if the ring is large.
    for (index, ((((outbound, inbound), shard), groups), listeners)) in starts {
        let id = ShardId(index as u16);
        let start = Start { id, shard, groups, listeners, outbound, inbound };
        match start_core(server.clone(), start) {
            Ok(core) => starting.push(core),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    // A core that fails to start drops its sender, and its result has the error.
    let all_serve = refused.is_none() && starting.iter().all(|core| core.is_open.recv().is_ok());
    let (handles, go): (Vec<Handle>, Vec<Sender<()>>) = starting.into_iter().map(|core| (core.handle, core.go)).unzip();
    if !all_serve {
        server.stop();
        drop(go);
        let error = refused.or(join(handles).into_iter().next());
        let ended = || CoreError::Executor { core: ShardId(0), message: "the core ended at once".to_owned() };
        return Err(error.unwrap_or_else(ended));
    }
    // A core that has ended meanwhile reports its error when it is joined.
    go.iter().for_each(|go| {
        let _ = go.send(());
    });
    ready();
    join(handles).into_iter().next().map_or(Ok(()), Err)
}

type Handle = (ShardId, ExecutorJoinHandle<Result<(), CoreError>>);

/// A core that is starting.
struct Starting {
    handle: Handle,
    /// Receives once the core can serve; disconnected if it has failed.
    is_open: Receiver<()>,
    /// Lets the core serve; the core ends if this is dropped before.
    go: Sender<()>,
}

fn join(handles: Vec<Handle>) -> Vec<CoreError> {
    let mut errors = Vec::new();
    for (core, handle) in handles {
        match handle.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => errors.push(error),
            Err(GlommioError::BuilderError(BuilderErrorKind::ThreadPanic(_))) => {
                errors.push(CoreError::Broken { core })
            }
            // The executor is created on its own thread, so an error of its creation is found here.
            Err(error) => errors.push(CoreError::Executor { core, message: error.to_string() }),
        }
    }
    errors
}

fn start_core(server: Arc<Server>, start: Start) -> Result<Starting, CoreError> {
    let core = start.id;
    let cpu = server.config.cores[core.0 as usize];
    let (opened, is_open) = channel();
    let (go, may_go) = channel();
    let handle = LocalExecutorBuilder::new(Placement::Fixed(cpu))
        .name(&format!("keytide-{core}"))
        .io_memory(EXECUTOR_IO_BYTES)
        .spawn(move || async move { core_main(server, start, opened, may_go).await })
        .map_err(|error| CoreError::Executor { core, message: error.to_string() })?;
    Ok(Starting { handle: (core, handle), is_open, go })
}

/// The size of an executor's buffers for its own files and sockets, in bytes. It has none; the default of 10 MiB would be
/// resident for each core.
const EXECUTOR_IO_BYTES: usize = 64 << 10;

async fn core_main(server: Arc<Server>, start: Start, opened: Sender<()>, go: Receiver<()>) -> Result<(), CoreError> {
    let core = start.id;
    let broken = |source| CoreError::Ring { core, source };
    let shared_files_max = server.descriptors().map_or(SHARED_FILES_MAX, |descriptors| descriptors.shared_files);
    let options = NetRingOptions { shared_files_max, ..NetRingOptions::default() };
    let mut net = NetRing::new(options).map_err(|source| CoreError::NetRing { core, source })?;
    server.set_waker(core, net.waker());
    let LentShard(mut shard) = start.shard;
    shard.prefault().map_err(|source| CoreError::Memory { core, bytes: server.config.ring_bytes, source })?;
    // Before anybody is served.
    note_settings(&server, &mut shard);
    let unit = Core::new(server.clone(), shard, start.groups, start.outbound, start.inbound);
    // The starting thread waits for this message or the end of this core.
    let _ = opened.send(());
    if go.recv().is_err() {
        return Ok(());
    }
    for listener in start.listeners {
        net.listen(listener).map_err(broken)?;
    }
    glommio::spawn_local(bound_executor_sleep()).detach();
    let queue = task_queues::net();
    glommio::spawn_local_into(core_loop(unit, net), queue)
        .map_err(|error| CoreError::Executor { core, message: error.to_string() })?
        .await
        .map_err(broken)
}

/// Keeps a timer of the executor armed until the turn loop has its first turn.
///
/// glommio 0.9 goes to sleep although a task is ready if its thread loses the processor for a preemption interval (1 ms)
/// between setting the preemption timer and looking at its queues: it takes "ran nothing" for "has nothing to run".
/// Without a timer nothing would wake it. A change that adds a task to the executor, and lets the turn loop yield to it, needs
/// this for as long.
async fn bound_executor_sleep() {
    loop {
        glommio::timer::sleep(EXECUTOR_SLEEP_MAX).await;
    }
}

/// The longest time that a ready turn loop waits for the executor to wake.
const EXECUTOR_SLEEP_MAX: Duration = Duration::from_millis(5);

/// Runs turns until the server stops. Never yields: it is the only task with work on its executor, and sleeps in the net
/// ring.
async fn core_loop(mut core: Core, mut net: NetRing) -> io::Result<()> {
    let server = core.server.clone();
    let _end = EndsTheServer(server.clone());
    let (spin, shares_core) = (server.config.spin, server.config.shares_cores());
    let mut idle_since: Option<Instant> = None;
    loop {
        let after = core.turn(&mut net)?;
        if core.server.is_stopping() && core.stop(&mut net, after) {
            return Ok(());
        }
        if after != AfterTurn::Idle {
            idle_since = None;
        }
        let may_sleep = match spin {
            _ if after == AfterTurn::Again => false,
            // The kernel has refused sends for want of memory. The system call that sleeps would submit them, and no completion
            // would report their end.
            _ if after == AfterTurn::Idle && net.ops().has_unreported_sends() => false,
            // Sleeps even after a turn with work: the replies leave with the same system call. A stopping core needs an idle
            // turn first.
            Spin::Micros(0) => after == AfterTurn::Idle || !core.server.is_stopping(),
            _ if after == AfterTurn::Worked => false,
            Spin::Micros(micros) => {
                idle_since.get_or_insert_with(Instant::now).elapsed() >= Duration::from_micros(micros)
            }
            Spin::Forever => false,
        };
        if !may_sleep {
            if shares_core {
                // This core may wait for another one to publish or to empty a lane, and that one may run on the same
                // processor. A yield of the executor would not let it run.
                std::thread::yield_now();
            } else if after == AfterTurn::Idle {
                std::hint::spin_loop();
            }
            continue;
        }
        let timeout = core.next_timer_in_ms().map(|millis| Duration::from_millis(millis.clamp(1, PARK_MS_MAX)));
        net.park(Some(timeout.unwrap_or(Duration::from_millis(PARK_MS_MAX))), || core.is_idle())?;
        idle_since = None;
    }
}

/// Stops the other cores when this one ends in any way: they cannot serve without its keys.
struct EndsTheServer(Arc<Server>);

impl Drop for EndsTheServer {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The longest sleep, so that a stepped wall clock delays a TTL by no more than this.
const PARK_MS_MAX: u64 = 1_000;

/// The progress of a stopping core.
#[derive(Default)]
pub(super) struct Stopping {
    /// When the core ends although output has not left, steady milliseconds.
    pub at_ms: Option<u64>,
    /// Whether it has reported that it has nothing left to do.
    pub is_complete: bool,
}

impl Core {
    /// Continues the end of a stopping core: accepts no new clients, and waits until all requests are answered, here and on
    /// the other cores. Returns whether the core may end.
    fn stop(&mut self, net: &mut NetRing, after: AfterTurn) -> bool {
        let stop_at_ms = match self.stopping.at_ms {
            Some(at_ms) => at_ms,
            None => {
                net.stop_listening();
                *self.stopping.at_ms.insert(self.steady_ms + STOP_GRACE_MS)
            }
        };
        let is_done = after == AfterTurn::Idle
            && self.lending.hold.is_none()
            && self.lending.queue.is_empty()
            && self
                .connections
                .iter()
                .all(|c| !c.output.is_sending() && (c.replies.waiting() == 0 || c.stall.is_some()) && !c.has_jobs());
        if is_done && !self.stopping.is_complete {
            self.stopping.is_complete = true;
            self.server.note_through();
        }
        let may_go = self.server.all_are_through() || self.steady_ms >= stop_at_ms;
        if may_go {
            self.groups.close();
        }
        may_go
    }
}
