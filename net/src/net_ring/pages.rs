//! Bytes for many connections, in pages that their sockets refer to instead of copying them.
//!
//! Ordinary sends copy the same message to a hundred subscribers a hundred times, each time into fresh memory, and at
//! full load that was half of the cost of delivery. So it is written once into a memory file; from there each send
//! passes the same pages to its socket (`splice`, through a pipe, because the kernel requires one in between).
//!
//! A socket refers to a page until its peer has acknowledged it, and over the loopback until the peer has read it: long
//! after the send has ended, and without notification. So a page is never written again. Each buffer has a file of its
//! own, which is closed when no send needs it any more; the kernel frees a page when no socket does either. (One file
//! for all, with punched holes, would not work: if the system has large pages for such files, a hole in one is zeroed
//! in place, under the sockets.) The files are bounded in number, and the pages by the sockets' buffers, which count
//! the bytes that they refer to as their own.

use std::{
    cell::{Cell, OnceCell},
    io::{self, Write},
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::{
    fs::{MemfdFlags, Mode, OFlags},
    io::Errno,
    pipe::{PipeFlags, SpliceFlags},
    process::Resource,
};

use crate::limits::SHARED_APART_BYTES;

/// For fewer connections the bytes are copied: pages have to be created and freed.
const CONNECTIONS_MIN: usize = 4;

/// The length of the pipe in bytes, if the system allows it: the most that is spliced at once.
const PIPE_BYTES: usize = 256 << 10;

/// Bytes that several connections send, and that never change.
#[derive(Debug)]
pub struct SharedBytes {
    bytes: Vec<u8>,
    /// The same bytes in pages, created at the first send for which that pays; or the fact that they could not be.
    pages: OnceCell<Option<Pages>>,
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> SharedBytes {
        SharedBytes { bytes, pages: OnceCell::new() }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl SharedBytes {
    /// The memory, for reuse.
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// The pages to send, if that is cheaper than copying.
    pub(super) fn pages(self: &Rc<Self>, spool: &mut Option<Rc<Spool>>, files_max: usize) -> Option<&Pages> {
        let is_worth_it = || self.bytes.len() >= SHARED_APART_BYTES && Rc::strong_count(self) >= CONNECTIONS_MIN;
        if self.pages.get().is_none() && !is_worth_it() {
            return None;
        }
        let make = || {
            let made = self.make_pages(spool, files_max);
            made.inspect_err(|error| tracing::debug!(%error, "what many connections send is copied for each")).ok()
        };
        self.pages.get_or_init(make).as_ref()
    }

    fn make_pages(&self, spool: &mut Option<Rc<Spool>>, files_max: usize) -> io::Result<Pages> {
        if files_max == 0 {
            return Err(Errno::MFILE.into());
        }
        let spool = match spool {
            Some(spool) if !spool.is_broken.get() => spool,
            _ => spool.insert(Rc::new(Spool::new()?)),
        };
        Pages::write(spool, files_max, &self.bytes)
    }
}

/// The pipe for one core's pages.
#[derive(Debug)]
pub(super) struct Spool {
    pipe_in: OwnedFd,
    pipe_out: OwnedFd,
    /// The sink for bytes that are in the pipe but not accepted by the socket.
    null: OwnedFd,
    /// The pipe may contain bytes of an aborted send, and must not be used for another.
    is_broken: Cell<bool>,
    /// The longest file in bytes: a write beyond that would end the process.
    file_bytes_max: u64,
}

impl Spool {
    fn new() -> Result<Spool, Errno> {
        let (pipe_out, pipe_in) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A shorter pipe works as well, with more system calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe_in, PIPE_BYTES);
        Ok(Spool {
            pipe_in,
            pipe_out,
            null: rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?,
            is_broken: Cell::new(false),
            file_bytes_max: rustix::process::getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX),
        })
    }

    /// The number of memory files: each holds a reference, and so does the net ring.
    fn files(self: &Rc<Self>) -> usize {
        Rc::strong_count(self) - 1
    }

    /// Drains the bytes that the socket did not accept; they are still in the file.
    fn empty_pipe(&self, mut length: usize) -> Result<(), Errno> {
        self.is_broken.set(true);
        while length > 0 {
            length -= splice((&self.pipe_out, None), &self.null, length)?;
        }
        self.is_broken.set(false);
        Ok(())
    }
}

/// A memory file with the bytes of one buffer.
#[derive(Debug)]
pub(super) struct Pages {
    spool: Rc<Spool>,
    file: OwnedFd,
    length: usize,
}

impl Pages {
    fn write(spool: &Rc<Spool>, files_max: usize, bytes: &[u8]) -> io::Result<Pages> {
        if spool.files() >= files_max || bytes.len() as u64 > spool.file_bytes_max {
            return Err(Errno::MFILE.into());
        }
        let mut file = std::fs::File::from(rustix::fs::memfd_create("keytide-shared-send", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        Ok(Pages { spool: spool.clone(), file: file.into(), length: bytes.len() })
    }

    /// Sends the bytes after the first `done` to a socket, as far as it accepts them without waiting, and adds them to
    /// `done`. Returns whether all are sent.
    ///
    /// # Errors
    /// The socket's error; bytes that it accepted before are counted.
    pub(super) fn splice_to(&self, done: &mut usize, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        let spool = &*self.spool;
        if spool.is_broken.get() {
            return Err(Errno::PIPE);
        }
        let _no_waiting = NonBlocking::at(socket)?;
        while *done < self.length {
            let mut place = *done as u64;
            let length = splice((&self.file, Some(&mut place)), &spool.pipe_in, self.length - *done)?;
            let taken = splice((&spool.pipe_out, None), socket, length);
            let sent = *taken.as_ref().unwrap_or(&0);
            *done += sent;
            spool.empty_pipe(length - sent)?;
            match taken {
                // Only a part fitted: there may be no more room.
                Ok(sent) if sent < length => return Ok(false),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}

/// While this exists, sends to the socket do not wait for room.
///
/// `splice` obeys only the socket's flag for that; its own flag is for the pipe. The socket cannot stay non-blocking,
/// because then the ring's operations on it would fail where they should wait. None of them runs meanwhile: they run in
/// this thread's calls into the ring.
struct NonBlocking<'a>(BorrowedFd<'a>);

impl NonBlocking<'_> {
    fn at(socket: BorrowedFd<'_>) -> Result<NonBlocking<'_>, Errno> {
        rustix::io::ioctl_fionbio(socket, true)?;
        Ok(NonBlocking(socket))
    }
}

impl Drop for NonBlocking<'_> {
    fn drop(&mut self) {
        // It could be set, so it can be cleared.
        let _ = rustix::io::ioctl_fionbio(self.0, false);
    }
}

/// Moves at most `length` bytes, at least one, without waiting.
fn splice((from, place): (&OwnedFd, Option<&mut u64>), to: impl AsFd, length: usize) -> Result<usize, Errno> {
    // SIGPIPE, which a disconnected peer would cause, is ignored in every program of Rust's library.
    match rustix::pipe::splice(from, place, to, None, length, SpliceFlags::NONBLOCK)? {
        0 => Err(Errno::IO),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most files in this test.
    const FILES: usize = 8;

    #[test]
    fn pages_are_made_for_long_buffers_of_many_connections_up_to_the_limit() {
        let mut spool = None;
        let shared = |length: usize, connections: usize| {
            let shared = Rc::new(SharedBytes::from(vec![7; length]));
            vec![shared; connections]
        };
        assert!(shared(SHARED_APART_BYTES - 1, CONNECTIONS_MIN)[0].pages(&mut spool, FILES).is_none());
        assert!(shared(SHARED_APART_BYTES, CONNECTIONS_MIN - 1)[0].pages(&mut spool, FILES).is_none());
        assert!(shared(SHARED_APART_BYTES, CONNECTIONS_MIN)[0].pages(&mut spool, 0).is_none());
        assert!(spool.is_none(), "it was not needed");
        let all: Vec<_> = (0..FILES).map(|_| shared(SHARED_APART_BYTES, CONNECTIONS_MIN)).collect();
        assert!(all.iter().all(|shared| shared[0].pages(&mut spool, FILES).is_some()));
        // Existing pages serve the last connection too.
        let last = all[0].last().unwrap().clone();
        drop(all);
        assert!(last.pages(&mut spool, FILES).is_some());
        // A broken one is replaced.
        spool.as_ref().unwrap().is_broken.set(true);
        let next = shared(SHARED_APART_BYTES, CONNECTIONS_MIN);
        assert!(next[0].pages(&mut spool, FILES).is_some());
        let spool = spool.unwrap();
        assert!(!spool.is_broken.get() && spool.files() == 1);
        drop((last, next));
        assert_eq!(spool.files(), 0);
        let all: Vec<_> = (0..FILES).map(|_| Pages::write(&spool, FILES, b"x").unwrap()).collect();
        assert!(Pages::write(&spool, FILES, b"x").is_err());
        drop(all);
        assert!(Pages::write(&spool, FILES, b"x").is_ok());
    }
}
