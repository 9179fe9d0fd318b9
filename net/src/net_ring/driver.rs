//! The submission side of a net ring: queueing entries, entering the kernel, and operations on connections.

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, RawFd},
    rc::Rc,
    time::Duration,
};

use io_uring::{EnterFlags, IoUring, squeue, types};
use socket2::SockRef;

use super::{
    NetCounters,
    op::{self, accept::Listener, watch::Watch},
    pages::Spool,
    slab::{ConnectionId, RingConnection, SendBuffer, SendMode, Sending, Slab},
};

/// The operations of a net ring, also available while it hands out events. Everything is queued and submitted with the
/// next enter.
pub struct NetOps {
    pub(super) uring: IoUring,
    /// Entries that did not fit into the submission queue even after submitting; in order, before newer ones.
    backlog: VecDeque<squeue::Entry>,
    pub(super) connections: Slab,
    pub(super) connections_max: usize,
    pub(super) listeners: Vec<Listener>,
    pub(super) watches: Vec<Watch>,
    /// The unreported silent sends, with their numbers: the kernel makes a completion for them only if they fail.
    pub(super) silent: Vec<(ConnectionId, u64)>,
    /// The number of silent sends so far.
    pub(super) silent_sends: u64,
    /// The pipe for pages that several connections send; created when needed.
    pub(super) spool: Option<Rc<Spool>>,
    pub(super) shared_files_max: usize,
    /// Closed connections whose `Closed` has not been handed out.
    pub(super) released: Vec<ConnectionId>,
    pub(super) counters: NetCounters,
}

impl NetOps {
    pub(super) fn new(uring: IoUring, connections_max: usize, shared_files_max: usize) -> NetOps {
        NetOps {
            uring,
            backlog: VecDeque::new(),
            connections: Slab::default(),
            connections_max,
            listeners: Vec::new(),
            watches: Vec::new(),
            silent: Vec::new(),
            silent_sends: 0,
            spool: None,
            shared_files_max,
            released: Vec::new(),
            counters: NetCounters::default(),
        }
    }

    /// Sends `buffer`; [`NetEvent::Sent`](super::NetEvent::Sent) returns it once the kernel has all of it or sending
    /// has failed. A send that the kernel completes at once, as nearly always, is reported by the poll after the enter
    /// that submitted it, and does not end [`NetRing::park`](super::NetRing::park): to wait for `Sent`, poll first.
    ///
    /// # Errors
    /// Returns the buffer if the connection is closed or unknown, or has a send in flight: there is one at a time.
    #[inline]
    pub fn send(&mut self, id: ConnectionId, buffer: impl Into<SendBuffer>) -> Result<(), SendBuffer> {
        let buffer = buffer.into();
        match self.connections.get_mut(id) {
            Some(connection) if !connection.closing && connection.sending.is_none() => {
                self.silent_sends += 1;
                connection.sending = Some(Sending { buffer, done: 0, mode: SendMode::Silent(self.silent_sends) });
                op::send::begin(self, id);
                Ok(())
            }
            Some(_) | None => Err(buffer),
        }
    }

    /// Whether this connection has a send in flight.
    pub fn is_sending(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.sending.is_some())
    }

    /// How many bytes of the send in flight the kernel has accepted, as far as it has reported: for a slow peer in
    /// steps of some hundred KiB. 0 if none is in flight.
    pub fn taken_bytes(&self, id: ConnectionId) -> usize {
        self.connections.get(id).and_then(|connection| connection.sending.as_ref()).map_or(0, |sending| sending.done)
    }

    /// Stops receiving for this connection. Bytes that the kernel has already received still arrive.
    pub fn pause_receive(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.receive_wanted = false;
            if connection.receive_armed && !connection.receive_cancelling {
                connection.receive_cancelling = true;
                op::cancel::receive(self, id);
            }
        }
    }

    /// Resumes receiving after [`NetOps::pause_receive`].
    pub fn resume_receive(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.receive_wanted = true;
            self.start_operations(id);
        }
    }

    /// Closes a connection: nothing more is received or sent. A send in flight is cancelled and `Sent` returns its
    /// buffer; last comes one `Closed`, when the socket is closed. Closing twice does nothing.
    ///
    /// To close after the last reply, close on its `Sent`.
    pub fn close(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.closing {
            return;
        }
        connection.closing = true;
        let cancel_receive = connection.receive_armed && !connection.receive_cancelling;
        connection.receive_cancelling |= cancel_receive;
        // A silent send is over as soon as it is submitted.
        let cancel_send = connection.sending.as_ref().is_some_and(|sending| sending.silent().is_none());
        if cancel_receive {
            op::cancel::receive(self, id);
        }
        if cancel_send {
            op::cancel::send(self, id);
        }
        self.start_operations(id);
    }

    /// Closes a connection that was just accepted, before anything was received or sent: its descriptor is free when
    /// this returns. `text` is sent to the client if the socket accepts it at once.
    pub fn refuse(&mut self, id: ConnectionId, text: &[u8]) {
        if let Some(connection) = self.connections.get(id) {
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            // On failure the client has gone, or sees the end of the stream.
            let _ = socket2::SockRef::from(&connection.stream).send_with_flags(text, flags);
        }
        self.close(id);
    }

    /// Adds a connected stream as if it had been accepted here, but without an `Accepted`.
    ///
    /// # Errors
    /// Returns the socket if the net ring has `connections_max` connections.
    pub fn adopt(&mut self, stream: TcpStream) -> Result<ConnectionId, TcpStream> {
        if self.connections.len() >= self.connections_max {
            return Err(stream);
        }
        let id = self.connections.insert(RingConnection::new(stream));
        self.start_operations(id);
        Ok(id)
    }

    /// Removes a connection that is handed to another core: only if the kernel has no operation on it, so after
    /// `pause_receive` has taken effect. No `Closed` follows.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] while an operation is in flight, `NotFound` if the id is unknown or closing.
    pub fn release(&mut self, id: ConnectionId) -> io::Result<TcpStream> {
        match self.connections.get(id) {
            Some(c) if !c.closing && (c.receive_armed || c.sending.is_some()) => Err(io::ErrorKind::WouldBlock.into()),
            Some(c) if !c.closing => {
                self.connections.remove(id).map(|connection| connection.stream).ok_or(io::ErrorKind::NotFound.into())
            }
            Some(_) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The peer's address, from the kernel.
    ///
    /// # Errors
    /// `NotFound` if the id is unknown, else the error of `getpeername`, such as for a disconnected peer.
    pub fn peer(&self, id: ConnectionId) -> io::Result<SocketAddr> {
        self.connections.get(id).ok_or(io::ErrorKind::NotFound)?.stream.peer_addr()
    }

    /// The local address, from the kernel.
    ///
    /// # Errors
    /// `NotFound` if the id is unknown, else the error of `getsockname`.
    pub fn local(&self, id: ConnectionId) -> io::Result<SocketAddr> {
        self.connections.get(id).ok_or(io::ErrorKind::NotFound)?.stream.local_addr()
    }

    /// Acknowledges what has been received at once. The kernel otherwise waits, up to 40 ms, for something to send along;
    /// and a peer that leaves Nagle's algorithm on sends nothing more meanwhile unless it fills a packet. Lasts until this
    /// side sends something.
    ///
    /// # Errors
    /// `NotFound` if the id is unknown, else the error of `setsockopt`.
    pub fn acknowledge(&self, id: ConnectionId) -> io::Result<()> {
        let connection = self.connections.get(id).ok_or(io::ErrorKind::NotFound)?;
        SockRef::from(&connection.stream).set_tcp_quickack(true)
    }

    /// Whether what is received now would be acknowledged at once, as after [`NetOps::acknowledge`].
    ///
    /// # Errors
    /// As there.
    pub fn acknowledges_at_once(&self, id: ConnectionId) -> io::Result<bool> {
        SockRef::from(&self.connections.get(id).ok_or(io::ErrorKind::NotFound)?.stream).tcp_quickack()
    }

    /// The socket's descriptor, for display only: the ring owns the socket. `None` if the id is unknown.
    pub fn descriptor(&self, id: ConnectionId) -> Option<RawFd> {
        self.connections.get(id).map(|connection| connection.stream.as_raw_fd())
    }

    /// The number of connections, including closing ones.
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Counters since the ring's creation.
    pub fn counters(&self) -> NetCounters {
        self.counters
    }

    /// Starts the operations that a connection's state requires, after any change of it.
    pub(super) fn start_operations(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.closing {
            if !connection.receive_armed && connection.sending.is_none() {
                drop(self.connections.remove(id));
                self.released.push(id);
            }
        } else if connection.receive_wanted && !connection.receive_armed && !connection.receive_ended {
            connection.receive_armed = true;
            op::recv::submit(self, id);
        }
    }

    /// Queues an entry for the next enter.
    ///
    /// # Safety
    /// The memory that the entry points to must stay valid and in place until the operation's last completion.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            // SAFETY: the caller's promise.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                return;
            }
            // Full: submit the queue and continue. Without GETEVENTS, so that nothing else runs in between. An error
            // here is not lost, it recurs with the turn's own enter.
            let queued = self.uring.submission().len() as u32;
            self.counters.enters += 1;
            // SAFETY: no argument is passed.
            let _ = unsafe { self.uring.submitter().enter::<libc::sigset_t>(queued, 0, 0, None) };
            // SAFETY: the caller's promise.
            if unsafe { self.uring.submission().push(&entry) }.is_ok() {
                return;
            }
        }
        self.backlog.push_back(entry);
    }

    fn push_backlog(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            // SAFETY: promised by the caller that pushed the entry.
            if unsafe { self.uring.submission().push(&entry) }.is_err() {
                self.backlog.push_front(entry);
                return;
            }
        }
    }

    /// Whether there are completions to collect or entries to submit.
    pub(super) fn wants_enter(&mut self) -> bool {
        let queue = self.uring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow() || !self.backlog.is_empty()
    }

    /// Whether the kernel has taken all queued entries and holds back no completion: then a silent send without a
    /// completion has succeeded.
    pub(super) fn is_all_submitted(&mut self) -> bool {
        let queue = self.uring.submission();
        queue.is_empty() && !queue.cq_overflow() && self.backlog.is_empty()
    }

    /// Whether there are sends whose `Sent` is still to come although the kernel may have all of it.
    pub fn has_unreported_sends(&self) -> bool {
        !self.silent.is_empty()
    }

    /// Whether completions, or connections to report as closed, are pending.
    pub(super) fn has_events(&mut self) -> bool {
        !self.uring.completion().is_empty() || !self.released.is_empty()
    }

    /// Submits everything and runs the kernel's deferred work, in one system call, without waiting.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        self.push_backlog();
        let queued = self.uring.submission().len() as u32;
        self.counters.enters += 1;
        // SAFETY: no argument is passed.
        let entered =
            unsafe { self.uring.submitter().enter::<libc::sigset_t>(queued, 0, EnterFlags::GETEVENTS.bits(), None) };
        entered.map(drop).or_else(ignore_temporary)
    }

    /// As [`NetOps::enter`], and waits for a completion, at most for `timeout`. Returns whether it timed out.
    pub(super) fn enter_wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.push_backlog();
        if !self.backlog.is_empty() {
            // Entries that do not fit would not be submitted before the wait ends.
            return self.enter().map(|()| false);
        }
        let queued = self.uring.submission().len() as u32;
        self.counters.enters += 1;
        let mut flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        if self.uring.params().is_feature_no_iowait() {
            // A server that waits for requests does not wait for a disk: exclude it from the iowait statistics.
            flags |= EnterFlags::NO_IOWAIT;
        }
        let timespec = timeout.map(types::Timespec::from);
        let mut arguments = types::SubmitArgs::new();
        if let Some(timespec) = &timespec {
            arguments = arguments.timespec(timespec);
        }
        // SAFETY: with EXT_ARG the argument is a `SubmitArgs`, and the timespec that it points to outlives the call.
        let entered = unsafe { self.uring.submitter().enter(queued, 1, flags.bits(), Some(&arguments)) };
        match entered {
            Ok(_) => Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => Ok(true),
            Err(error) => ignore_temporary(error).map(|()| false),
        }
    }
}

/// Ignores errors of `io_uring_enter` that are temporary: a signal, no memory for requests at the moment, or
/// completions that must be collected first. The entries stay queued.
fn ignore_temporary(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => Ok(()),
        _ => Err(error),
    }
}
