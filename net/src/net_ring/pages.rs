//! Bytes for many connections, in pages that their sockets refer to instead of copying them.
//!
//! What a hundred subscribers are told alike is copied a hundred times by ordinary sends, each time into fresh memory,
//! and at full load that was half of what telling them cost. So it is written once into a memory file; from there each
//! send hands the same pages on (`splice`, through a pipe, because the kernel wants one in between).
//!
//! A socket refers to a page until its peer has acknowledged it, and over the loopback until the peer has read it: long
//! after the send is over, and nobody tells when. So a page is never written again. Each buffer has a file of its own,
//! which is closed when no send needs it any more; the kernel frees a page when no socket does either. (One file for all,
//! out of which holes are punched, would not do: where the system has large pages for such files, a hole in one is
//! zeroed in place, under the sockets.) What is held is bounded in number and by the sockets' buffers, which
//! count the bytes that they refer to as their own.

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

/// For fewer connections it is copied: the pages have to be made and freed.
const CONNECTIONS_MIN: usize = 4;

/// What is handed on at once, in bytes, if the system allows it: the pipe's length.
const PIPE_BYTES: usize = 256 << 10;

/// Bytes that several connections send, and that nobody changes any more.
#[derive(Debug)]
pub struct SharedBytes {
    bytes: Vec<u8>,
    /// The same bytes, made at the first send for which they are worth it; or that they could not be.
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
    /// The memory, for another use.
    pub(super) fn into_vec(self) -> Vec<u8> {
        self.bytes
    }

    /// The pages to hand on, where that is cheaper than copying.
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

/// Through what one core's pages go.
#[derive(Debug)]
pub(super) struct Spool {
    pipe_in: OwnedFd,
    pipe_out: OwnedFd,
    /// Where goes what the pipe holds and the socket has not taken.
    null: OwnedFd,
    /// The pipe may hold what belongs to one send, and is of no use for another.
    is_broken: Cell<bool>,
    /// How long a file may be, in bytes: a write beyond that would end the process.
    file_bytes_max: u64,
}

impl Spool {
    fn new() -> Result<Spool, Errno> {
        let (pipe_out, pipe_in) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // A shorter one does as well, with more system calls.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipe_in, PIPE_BYTES);
        Ok(Spool {
            pipe_in,
            pipe_out,
            null: rustix::fs::open("/dev/null", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?,
            is_broken: Cell::new(false),
            file_bytes_max: rustix::process::getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX),
        })
    }

    /// The memory files that there are: each holds on to it, and so does the net ring.
    fn files(self: &Rc<Self>) -> usize {
        Rc::strong_count(self) - 1
    }

    /// Empties the pipe of what the socket has not taken; it stays in the file.
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

    /// Hands on what follows the first `done` bytes to a socket, as far as it takes it without waiting, and counts it in
    /// `done`. Whether all of it is over.
    ///
    /// # Errors
    /// What the socket says; what it has taken before is counted.
    pub(super) fn hand_on(&self, done: &mut usize, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        let spool = &*self.spool;
        if spool.is_broken.get() {
            return Err(Errno::PIPE);
        }
        let _no_waiting = NoWaiting::at(socket)?;
        while *done < self.length {
            let mut place = *done as u64;
            let length = splice((&self.file, Some(&mut place)), &spool.pipe_in, self.length - *done)?;
            let taken = splice((&spool.pipe_out, None), socket, length);
            let sent = *taken.as_ref().unwrap_or(&0);
            *done += sent;
            spool.empty_pipe(length - sent)?;
            match taken {
                // Room for a part: there may be none for more.
                Ok(sent) if sent < length => return Ok(false),
                Ok(_) => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }
}

/// As long as it lives, a send to the socket does not wait for room.
///
/// `splice` asks only the socket for that; its own flag is for the pipe. It cannot be said for good, because then the
/// ring's operations on the socket would fail where they are to wait. None of them is run meanwhile: that happens in this
/// thread's calls into the ring.
struct NoWaiting<'a>(BorrowedFd<'a>);

impl NoWaiting<'_> {
    fn at(socket: BorrowedFd<'_>) -> Result<NoWaiting<'_>, Errno> {
        rustix::io::ioctl_fionbio(socket, true)?;
        Ok(NoWaiting(socket))
    }
}

impl Drop for NoWaiting<'_> {
    fn drop(&mut self) {
        // As it could be said, it can be taken back.
        let _ = rustix::io::ioctl_fionbio(self.0, false);
    }
}

/// Moves at most `length` bytes, at least one, without waiting.
fn splice((from, place): (&OwnedFd, Option<&mut u64>), to: impl AsFd, length: usize) -> Result<usize, Errno> {
    // SIGPIPE, which a peer that is gone would bring, is ignored in every program of Rust's library.
    match rustix::pipe::splice(from, place, to, None, length, SpliceFlags::NONBLOCK)? {
        0 => Err(Errno::IO),
        length => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many files there may be.
    const FILES: usize = 8;

    #[test]
    fn pages_are_made_for_what_is_long_and_goes_to_many_and_no_more_of_them_than_allowed() {
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
        // Once made they serve the last connection too.
        let last = all[0].last().unwrap().clone();
        drop(all);
        assert!(last.pages(&mut spool, FILES).is_some());
        // One that is broken is made anew.
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
