//! The net ring: one io_uring per core for its sockets, in which the core also sleeps.
//!
//! A turn is [`NetRing::poll`] (one system call that submits everything queued since the last one and collects
//! completions, or none if there is nothing to do on either side), the work on what arrived, and [`NetOps::send`] for
//! the replies, which are submitted with the next poll. A core without work calls [`NetRing::park`].
//!
//! The ring is set up so that the kernel never interrupts the core: completions are only made during the core's own
//! system calls (`DEFER_TASKRUN`). The ring belongs to the thread that created it. Everything else that crosses threads
//! uses lanes, and wakes the ring through [`NetRing::waker`].

mod buffers;
mod driver;
mod error;
mod op;
mod pages;
mod park;
mod slab;

use std::{fmt, io, marker::PhantomData, net::TcpListener, os::fd::RawFd, time::Duration};

use io_uring::{IoUring, cqueue};
use keytide_engine::limits::COMMANDS_AHEAD;
use socket2::SockRef;

pub use driver::NetOps;
pub use error::{NetRingError, Refusal};
pub use pages::SharedBytes;
pub use park::{Parked, executor_rings};
pub use slab::{ConnectionId, SendBuffer};

use crate::limits::SHARED_FILES_MAX;
use crate::wake::Waker;
use buffers::ReceiveBuffers;
use op::OpKind;

/// The sizes of a net ring.
#[derive(Clone, Debug)]
pub struct NetRingOptions {
    /// Entries of the submission queue, a power of two from 8 to 32,768. More may be queued in a turn, at the cost of
    /// an extra system call.
    pub submissions: u32,
    /// Entries of the completion queue, a power of two of at least `submissions`. More may complete at once, but
    /// multishot operations then end and are restarted.
    pub completions: u32,
    /// Receive buffers, a power of two from 2 to 32,768. A buffer is in use only from its completion to the handler's
    /// return. Only as many are touched as receives complete together: the kernel gets a few, and more when those were
    /// not enough.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer, 64 to 16 MiB.
    pub receive_buffer_bytes: u32,
    /// The most connections, up to [`ConnectionId::INDEX_MAX`]. Further accepted sockets are closed at once and
    /// counted.
    pub connections_max: usize,
    /// The most memory files for buffers that many connections send, each with a descriptor; further buffers are
    /// copied.
    pub shared_files_max: usize,
}

impl Default for NetRingOptions {
    fn default() -> NetRingOptions {
        NetRingOptions {
            submissions: 1024,
            completions: 8192,
            receive_buffers: 1024,
            receive_buffer_bytes: 16 * 1024,
            connections_max: 65_536,
            shared_files_max: SHARED_FILES_MAX,
        }
    }
}

impl NetRingOptions {
    fn check(&self) -> Result<(), NetRingError> {
        let power = |n: u64, low: u64, high: u64| n.is_power_of_two() && (low..=high).contains(&n);
        let options: [(&'static str, u64, bool, &'static str); 5] = [
            (
                "submissions",
                self.submissions.into(),
                power(self.submissions.into(), 8, 32_768),
                "a power of two from 8 to 32768",
            ),
            (
                "completions",
                self.completions.into(),
                power(self.completions.into(), self.submissions.into(), 65_536),
                "a power of two from `submissions` to 65536",
            ),
            (
                "receive_buffers",
                self.receive_buffers.into(),
                power(self.receive_buffers.into(), 2, 32_768),
                "a power of two from 2 to 32768",
            ),
            (
                "receive_buffer_bytes",
                self.receive_buffer_bytes.into(),
                (64..=16 << 20).contains(&self.receive_buffer_bytes),
                "64 bytes to 16 MiB",
            ),
            (
                "connections_max",
                self.connections_max as u64,
                (1..=ConnectionId::INDEX_MAX as usize).contains(&self.connections_max),
                "1 to 16777215",
            ),
        ];
        match options.into_iter().find(|(_, _, allowed, _)| !allowed) {
            Some((name, value, _, bounds)) => Err(NetRingError::Option { name, value, bounds }),
            None => Ok(()),
        }
    }
}

/// An event of a net ring.
#[derive(Debug)]
pub enum NetEvent<'a> {
    /// A connection was accepted, and receives from now on.
    Accepted {
        /// Its id; the peer's address is [`NetOps::peer`].
        connection: ConnectionId,
        /// The listener that accepted it: the index of its `listen` call, from 0.
        listener: usize,
    },
    /// Bytes that follow with [`NetEvent::Received`] in the same poll: a chance to prefetch the memory that they will
    /// need. Not for a single completion, nor if all are long.
    Announced(Announced<'a>),
    /// Bytes have arrived. Also after `pause_receive`, if they had been received before; never after `close`.
    Received {
        /// The connection.
        connection: ConnectionId,
        /// At least one byte, in the kernel's buffer, which is returned to it after the handler.
        bytes: &'a [u8],
    },
    /// A send has ended.
    Sent {
        /// The connection.
        connection: ConnectionId,
        /// The buffer that was passed to `send`, unchanged.
        buffer: SendBuffer,
        /// Whether all of it was sent. After `close` it may be ECANCELED.
        result: io::Result<()>,
    },
    /// Nothing more will be received. The connection stays open for sending until `close` is called; a client may have
    /// closed only its own direction and wait for replies.
    Ended {
        /// The connection.
        connection: ConnectionId,
        /// The reason.
        reason: EndReason,
    },
    /// After `close`: the socket is closed and this id is unknown from now on. Comes once for each connection.
    Closed {
        /// The connection.
        connection: ConnectionId,
    },
}

/// Bytes that were received together, from at most [`COMMANDS_AHEAD`] receives.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    completions: &'a [cqueue::Entry],
    buffers: &'a ReceiveBuffers,
}

impl<'a> Announced<'a> {
    /// The connection and the bytes of each receive that is short enough to be a single command, from a client that
    /// waits for each reply. Commands that a client sends together are prefetched together anyway.
    pub fn iter(self) -> impl Iterator<Item = (ConnectionId, &'a [u8])> {
        const SHORT_BYTES_MAX: i32 = 512;
        self.completions.iter().filter_map(move |entry| {
            let is_short = (1..=SHORT_BYTES_MAX).contains(&entry.result());
            let (kind, index, generation) = op::unpack(entry.user_data()).filter(|_| is_short)?;
            let buffer = (kind == OpKind::Receive).then(|| cqueue::buffer_select(entry.flags()))??;
            Some((ConnectionId::new(index, generation), self.buffers.bytes(buffer, entry.result() as usize)))
        })
    }
}

/// Why nothing more is received.
#[derive(Debug)]
pub enum EndReason {
    /// The peer has closed its direction.
    EndOfStream,
    /// Receiving failed, usually because the peer has reset the connection.
    Error(io::Error),
}

/// Counters of a net ring since its creation.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct NetCounters {
    /// System calls into the ring.
    pub enters: u64,
    /// How often the core went to sleep.
    pub parks: u64,
    /// Completions handled.
    pub completions: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Sockets closed at once because of `connections_max`.
    pub accept_refused: u64,
    /// Errors of accept after which a listener paused, such as EMFILE.
    pub accept_errors: u64,
    /// Receives that found no free buffer and were restarted.
    pub receive_without_buffer: u64,
    /// Bytes passed to the handler.
    pub received_bytes: u64,
    /// Bytes of completed sends.
    pub sent_bytes: u64,
    /// Those of them that were sent as pages, not copied.
    pub handed_on_bytes: u64,
    /// How often another core or a watched descriptor woke the ring.
    pub watch_events: u64,
}

/// One core's io_uring for sockets. Not `Send`: only the thread that created it may use it.
pub struct NetRing {
    // Order matters: the ring is dropped before the buffers that are registered with it.
    ops: NetOps,
    buffers: ReceiveBuffers,
    waker: Waker,
    /// Completions that were collected and not handed out yet, oldest first.
    completions: Vec<cqueue::Entry>,
    /// Submitted silent sends.
    submitted: Vec<(ConnectionId, u64)>,
    not_send: PhantomData<*const ()>,
}

impl NetRing {
    /// Creates a net ring for the calling thread.
    ///
    /// # Errors
    /// Which step was refused and why; see [`NetRingError::remedy`] for what to do.
    pub fn new(options: NetRingOptions) -> Result<NetRing, NetRingError> {
        options.check()?;
        let uring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(options.completions)
            .dontfork()
            .build(options.submissions)
            .map_err(|source| NetRingError::Setup { cause: Refusal::of(source) })?;
        let mut buffers = ReceiveBuffers::new(options.receive_buffers, options.receive_buffer_bytes)?;
        buffers.register(&uring.submitter())?;
        let waker = Waker::new().map_err(|source| NetRingError::Event { source })?;
        let mut ops = NetOps::new(uring, options.connections_max, options.shared_files_max);
        op::watch::watch(&mut ops, waker.event());
        Ok(NetRing { ops, buffers, waker, completions: Vec::new(), submitted: Vec::new(), not_send: PhantomData })
    }

    /// Accepts connections from this listener. Sets TCP_NODELAY on it, which those inherit that come from now on.
    ///
    /// # Errors
    /// If that option cannot be set.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        op::accept::listen(&mut self.ops, listener);
        Ok(())
    }

    /// Stops accepting from all listeners; they are closed within the next turns. Connections stay.
    pub fn stop_listening(&mut self) {
        op::accept::stop(&mut self.ops);
    }

    /// Also wakes from [`NetRing::park`] when `descriptor` becomes readable: edge-triggered, so a descriptor that stays
    /// readable wakes once. Meant for the rings of this core's executor, see [`executor_rings`]; lasts as long as the
    /// net ring.
    pub fn watch(&mut self, descriptor: RawFd) {
        op::watch::watch(&mut self.ops, descriptor);
    }

    /// The handle by which other cores wake this one.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The operations that the handler may use too.
    pub fn ops(&mut self) -> &mut NetOps {
        &mut self.ops
    }

    /// Submits the queued entries, so that replies need not wait for the core's next work.
    ///
    /// # Errors
    /// As [`NetRing::poll`].
    pub fn submit(&mut self) -> io::Result<()> {
        if self.ops.is_all_submitted() { Ok(()) } else { self.ops.enter() }
    }

    /// Submits the queued entries, collects completions, and passes all their events to the handler. Does not wait.
    /// Returns the number of completions (including those without an event) and of sends that ended without one.
    ///
    /// # Errors
    /// Permanent errors of `io_uring_enter`: the ring is unusable.
    pub fn poll(&mut self, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>)) -> io::Result<usize> {
        self.poll_while(handler, || true)
    }

    /// As [`NetRing::poll`], but calls `may_go_on` after every [`COMMANDS_AHEAD`] completions: once it returns false, the
    /// rest is left for the next poll. Ends of sends are always reported, and at least one completion is handed out.
    ///
    /// # Errors
    /// As [`NetRing::poll`].
    pub fn poll_while(
        &mut self,
        handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>),
        mut may_go_on: impl FnMut() -> bool,
    ) -> io::Result<usize> {
        if self.ops.wants_enter() {
            self.ops.enter()?;
        }
        // Before the completions are handled: of these sends, the failed ones are among them.
        if self.ops.is_all_submitted() {
            std::mem::swap(&mut self.submitted, &mut self.ops.silent);
        }
        // Only the completions that are there now: a turn ends even if the handler's own operations complete at once.
        let mut completions = std::mem::take(&mut self.completions);
        let left = completions.len();
        completions.extend(self.ops.uring.completion());
        let reported = self.submitted.len();
        let starved = self.ops.counters.receive_without_buffer;
        // Sends first: a reply to a received command then finds the connection free.
        let is_send = |entry: &&cqueue::Entry| op::has_kind(entry.user_data(), OpKind::Send);
        // Those of earlier polls are reported already.
        completions[left..].iter().filter(is_send).for_each(|entry| self.complete(entry, handler));
        let mut submitted = std::mem::take(&mut self.submitted);
        submitted.drain(..).for_each(|send| op::send::report(&mut self.ops, send, handler));
        self.submitted = submitted;
        let mut count = 0;
        for together in completions.chunks(COMMANDS_AHEAD) {
            if count > 0 && !may_go_on() {
                break;
            }
            count += together.len();
            let announced = Announced { completions: together, buffers: &self.buffers };
            if together.len() > 1 && announced.iter().next().is_some() {
                handler(&mut self.ops, NetEvent::Announced(announced));
            }
            together.iter().filter(|entry| !is_send(entry)).for_each(|entry| self.complete(entry, handler));
        }
        if count > 0 {
            self.buffers.publish();
            self.ops.counters.completions += count as u64;
        }
        if self.ops.counters.receive_without_buffer > starved {
            self.buffers.double();
        }
        completions.drain(..count);
        self.completions = completions;
        while let Some(connection) = self.ops.released.pop() {
            handler(&mut self.ops, NetEvent::Closed { connection });
        }
        Ok(count + reported)
    }

    /// Whether the last poll has left completions for the next one.
    #[inline]
    pub fn has_left(&self) -> bool {
        !self.completions.is_empty()
    }

    #[inline]
    fn complete(&mut self, entry: &cqueue::Entry, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>)) {
        let (word, result, flags) = (entry.user_data(), entry.result(), entry.flags());
        let Some((kind, index, generation)) = op::unpack(word) else {
            debug_assert!(false, "a completion with foreign user data {word:#x}");
            return;
        };
        let ops = &mut self.ops;
        let id = ConnectionId::new(index, generation);
        match kind {
            OpKind::Receive => op::recv::complete(ops, &mut self.buffers, (id, result, flags), handler),
            OpKind::Send => op::send::complete(ops, (id, result), handler),
            OpKind::CancelReceive | OpKind::CancelSend => op::cancel::complete(ops, id, kind, result),
            OpKind::Accept => op::accept::complete(ops, (index, result, flags), handler),
            OpKind::AcceptRetry => op::accept::complete_retry(ops, index),
            OpKind::CancelAccept => op::accept::complete_cancel(ops, index, result),
            OpKind::Watch => op::watch::complete(ops, index, result, flags),
        }
    }
}

impl fmt::Debug for NetRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetRing").field("counters", &self.ops.counters).finish_non_exhaustive()
    }
}

impl Drop for NetRing {
    /// Ends everything in flight, so that the kernel no longer uses this memory when it is freed, and so that the
    /// listeners' ports are free on return. (If a process is killed, the kernel dismantles the ring in the background,
    /// and a port may stay in use for a moment after the process has gone.)
    fn drop(&mut self) {
        const ROUNDS: usize = 100;
        self.stop_listening();
        for connection in self.ops.connections.ids() {
            self.ops.close(connection);
        }
        for _ in 0..ROUNDS {
            if self.ops.connections.len() == 0 && !op::accept::any_armed(&self.ops) {
                return;
            }
            // An error means that the ring is unusable or that this is another thread: continue with the leak.
            if self.ops.enter_wait(Some(Duration::from_millis(20))).is_err() || self.poll(&mut |_, _| {}).is_err() {
                break;
            }
        }
        // The kernel still has operations in flight: leaking the memory is better than letting it be used twice.
        self.ops.connections.leak();
        self.buffers.leak();
    }
}
