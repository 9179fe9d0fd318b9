//! The net ring: one io_uring per core for its sockets, in which the core also sleeps.
//!
//! A turn is [`NetRing::poll`] (one system call that submits everything queued since the last one and collects
//! completions, or none if neither side has anything), the work on what arrived, and [`NetOps::send`] for the replies,
//! which leave with the next poll. A core without work calls [`NetRing::park`].
//!
//! The ring is set up so that the kernel never interrupts the core: completions are made only inside our own system
//! calls (`DEFER_TASKRUN`). It belongs to the thread that made it. Everything else that crosses threads goes
//! through lanes, and wakes the ring through [`NetRing::waker`].

mod buffers;
mod driver;
mod error;
mod op;
mod pages;
mod park;
mod slab;

use std::{fmt, io, marker::PhantomData, net::TcpListener, os::fd::AsRawFd, os::fd::RawFd, time::Duration};

use io_uring::{IoUring, cqueue};
use keytide_engine::limits::COMMANDS_AHEAD;

pub use driver::NetOps;
pub use error::{NetRingError, Refusal};
pub use pages::SharedBytes;
pub use park::{Parked, executor_rings};
pub use slab::{ConnectionId, SendBuffer};

use crate::limits::SHARED_FILES_MAX;
use crate::wake::Waker;
use buffers::ReceiveBuffers;
use op::Kind;

/// How large a net ring is.
#[derive(Clone, Debug)]
pub struct NetRingOptions {
    /// Entries of the submission queue, a power of two from 8 to 32,768. More may be queued in a turn, at the price of
    /// an extra system call.
    pub submissions: u32,
    /// Entries of the completion queue, a power of two of at least `submissions`. More may complete at once, but
    /// multishot operations then end and are started again.
    pub completions: u32,
    /// Receive buffers, a power of two from 2 to 32,768. A buffer is in use only from its completion to the handler's
    /// return. No more of them are touched than receives come together: the kernel gets a few, and more when those did
    /// not do.
    pub receive_buffers: u16,
    /// Bytes of one receive buffer, 64 to 16 MiB.
    pub receive_buffer_bytes: u32,
    /// Connections, at most [`ConnectionId::INDEX_MAX`]. Above it, accepted sockets are closed at once and counted.
    pub connections_max: usize,
    /// Memory files for what many connections send, each with a descriptor; further buffers are copied.
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

/// What a net ring reports.
#[derive(Debug)]
pub enum NetEvent<'a> {
    /// A connection has come in, and receives from now on.
    Accepted {
        /// Its id; the peer's address is [`NetOps::peer`].
        connection: ConnectionId,
        /// Which listener it came to: the index of its `listen` call, from 0.
        listener: usize,
    },
    /// Bytes that follow with [`NetEvent::Received`] in the same poll: time to ask for the memory that they will need.
    /// Not of one completion alone, nor where all are long.
    Announced(Announced<'a>),
    /// Bytes have arrived. Also after `pause_receive`, if they had been received before; never after `close`.
    Received {
        /// From whom.
        connection: ConnectionId,
        /// At least one byte; the kernel's buffer, which is taken back when the handler returns.
        bytes: &'a [u8],
    },
    /// A send is over.
    Sent {
        /// To whom.
        connection: ConnectionId,
        /// The buffer that was given to `send`, unchanged.
        buffer: SendBuffer,
        /// Whether all of it was sent. After `close` it may be ECANCELED.
        result: io::Result<()>,
    },
    /// Nothing more will be received. The connection stays, and can still send, until `close` is called; a client may
    /// have closed only its own direction and wait for replies.
    Ended {
        /// Whose stream.
        connection: ConnectionId,
        /// Why.
        reason: EndReason,
    },
    /// After `close`: the socket is closed and this id is unknown from now on. Comes once for each connection.
    Closed {
        /// Which one it was.
        connection: ConnectionId,
    },
}

/// Bytes that were received together, at most [`COMMANDS_AHEAD`] receives.
#[derive(Clone, Copy, Debug)]
pub struct Announced<'a> {
    completions: &'a [cqueue::Entry],
    buffers: &'a ReceiveBuffers,
}

impl<'a> Announced<'a> {
    /// The bytes of each receive that is so short that it may be one command, as a client sends that waits for each
    /// reply. Who sends many at once has them looked at together anyway.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        const SHORT_BYTES_MAX: i32 = 512;
        self.completions.iter().filter_map(move |entry| {
            let is_short = (1..=SHORT_BYTES_MAX).contains(&entry.result());
            let is_received = is_short && op::is_of(entry.user_data(), Kind::Receive);
            let buffer = is_received.then(|| cqueue::buffer_select(entry.flags()))??;
            Some(self.buffers.bytes(buffer, entry.result() as usize))
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

/// What has happened on a net ring since it was made.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct NetCounters {
    /// System calls into the ring.
    pub enters: u64,
    /// Times the core went to sleep.
    pub parks: u64,
    /// Completions handled.
    pub completions: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Sockets closed at once because of `connections_max`.
    pub accept_refused: u64,
    /// Errors of accept after which a listener paused, such as EMFILE.
    pub accept_errors: u64,
    /// Receives that found no free buffer and were started again.
    pub receive_without_buffer: u64,
    /// Bytes handed to the handler.
    pub received_bytes: u64,
    /// Bytes of sends that are over.
    pub sent_bytes: u64,
    /// Those of them that were handed on in pages, not copied.
    pub handed_on_bytes: u64,
    /// Times another core or a watched descriptor woke the ring.
    pub watch_events: u64,
}

/// One core's io_uring for sockets. Not `Send`: only the thread that made it may use it.
pub struct NetRing {
    // Order matters: the ring goes before the buffers that are registered with it.
    ops: NetOps,
    buffers: ReceiveBuffers,
    waker: Waker,
    /// Completions that were collected and not handed out yet, oldest first.
    completions: Vec<cqueue::Entry>,
    /// Silent sends that were submitted.
    submitted: Vec<(ConnectionId, u64)>,
    not_send: PhantomData<*const ()>,
}

impl NetRing {
    /// Makes a net ring for the calling thread.
    ///
    /// # Errors
    /// Says which step was refused and why; [`NetRingError::remedy`] says what can be done.
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

    /// Accepts connections from this listener. Sets TCP_NODELAY on it, which accepted sockets inherit.
    ///
    /// # Errors
    /// If that option can't be set.
    pub fn listen(&mut self, listener: TcpListener) -> io::Result<()> {
        let on: libc::c_int = 1;
        // SAFETY: the pointer and length describe `on`.
        let set = unsafe {
            libc::setsockopt(
                listener.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        op::accept::listen(&mut self.ops, listener);
        Ok(())
    }

    /// Stops accepting from all listeners; they are closed within the next turns. Connections stay.
    pub fn stop_listening(&mut self) {
        op::accept::stop(&mut self.ops);
    }

    /// Wakes from [`NetRing::park`] also when `descriptor` becomes readable: an edge, so what was readable before and
    /// stays so wakes once. Made for the rings of this core's executor, see [`executor_rings`]; lasts as long as the
    /// net ring.
    pub fn watch(&mut self, descriptor: RawFd) {
        op::watch::watch(&mut self.ops, descriptor);
    }

    /// What other cores wake this one with.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// What may also be done from within the handler.
    pub fn ops(&mut self) -> &mut NetOps {
        &mut self.ops
    }

    /// Lets the kernel have what is queued, so that replies need not wait for what their core does next.
    ///
    /// # Errors
    /// As [`NetRing::poll`].
    pub fn submit(&mut self) -> io::Result<()> {
        if self.ops.is_all_submitted() { Ok(()) } else { self.ops.enter() }
    }

    /// Submits what is queued, collects what has completed, and hands all of it to the handler. Doesn't wait. Returns how
    /// many completions there were (also those without an event) and how many sends were over without one.
    ///
    /// # Errors
    /// Those of `io_uring_enter` that don't pass by themselves: the ring is unusable.
    pub fn poll(&mut self, handler: &mut impl FnMut(&mut NetOps, NetEvent<'_>)) -> io::Result<usize> {
        self.poll_while(handler, || true)
    }

    /// As [`NetRing::poll`], but asks `may_go_on` after every [`COMMANDS_AHEAD`] completions: once that says no, the
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
        // Before the completions are looked at: of these sends, those that have failed are among them.
        if self.ops.is_all_submitted() {
            std::mem::swap(&mut self.submitted, &mut self.ops.silent);
        }
        // Only what is there now: a turn ends even if the handler's own operations complete at once.
        let mut completions = std::mem::take(&mut self.completions);
        let left = completions.len();
        completions.extend(self.ops.uring.completion());
        let reported = self.submitted.len();
        let starved = self.ops.counters.receive_without_buffer;
        // Sends first: who answers what comes in finds the connection free again.
        let is_send = |entry: &&cqueue::Entry| op::is_of(entry.user_data(), Kind::Send);
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
            Kind::Receive => op::recv::complete(ops, &mut self.buffers, (id, result, flags), handler),
            Kind::Send => op::send::complete(ops, (id, result), handler),
            Kind::CancelReceive | Kind::CancelSend => op::cancel::complete(ops, id, kind, result),
            Kind::Accept => op::accept::complete(ops, (index, result, flags), handler),
            Kind::AcceptRetry => op::accept::complete_retry(ops, index),
            Kind::CancelAccept => op::accept::complete_cancel(ops, index, result),
            Kind::Watch => op::watch::complete(ops, index, result, flags),
        }
    }
}

impl fmt::Debug for NetRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetRing").field("counters", &self.ops.counters).finish_non_exhaustive()
    }
}

impl Drop for NetRing {
    /// Ends everything in flight, so that the kernel no longer uses our memory when it is freed, and so that the
    /// listeners' ports are free on return. (Of a process that is killed, the kernel takes the ring apart in the
    /// background, and a port can stay busy for a moment after the process is gone.)
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
            // An error means that the ring is unusable or that this is another thread: go on to the leak.
            if self.ops.enter_wait(Some(Duration::from_millis(20))).is_err() || self.poll(&mut |_, _| {}).is_err() {
                break;
            }
        }
        // Something is still with the kernel. Better to lose the memory than to let it be used twice.
        self.ops.connections.leak();
        self.buffers.leak();
    }
}
