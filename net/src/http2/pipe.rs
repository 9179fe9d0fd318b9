//! The in-memory pipe between a connection and the HTTP/2 library: received bytes wait here for the library, which
//! writes its frames where the connection sends them from. Nothing here wakes anybody: the library is polled whenever
//! something may have changed.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Both directions of the pipe.
#[derive(Default)]
struct Pipe {
    received: VecDeque<u8>,
    frames: Vec<u8>,
    /// The length of `frames` at which the library may write no more, in bytes.
    frames_max: usize,
    /// Whether the library wanted to write more than that.
    is_full: bool,
}

/// The connection's end.
#[derive(Clone, Default)]
pub(super) struct PipeHandle(Rc<RefCell<Pipe>>);

impl PipeHandle {
    /// The library's end.
    pub fn end(&self) -> PipeEnd {
        PipeEnd(self.0.clone())
    }

    /// Puts received bytes in, and the buffer that frames are appended to, which may grow to `frames_max` bytes.
    pub fn begin(&self, received: &[u8], frames: &mut Vec<u8>, frames_max: usize) {
        let mut pipe = self.0.borrow_mut();
        pipe.received.extend(received);
        std::mem::swap(&mut pipe.frames, frames);
        (pipe.frames_max, pipe.is_full) = (frames_max, false);
    }

    /// Takes the buffer back. Returns how many of the received bytes the library has not read, which are put out again,
    /// and whether it has more to write than the buffer may hold.
    pub fn end_use(&self, frames: &mut Vec<u8>) -> (usize, bool) {
        let mut pipe = self.0.borrow_mut();
        std::mem::swap(&mut pipe.frames, frames);
        let unread = pipe.received.len();
        pipe.received.clear();
        (unread, pipe.is_full)
    }
}

/// The library's end.
pub(super) struct PipeEnd(Rc<RefCell<Pipe>>);

impl AsyncRead for PipeEnd {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.received.is_empty() {
            return Poll::Pending;
        }
        let (front, _) = pipe.received.as_slices();
        let count = front.len().min(into.remaining());
        into.put_slice(&front[..count]);
        pipe.received.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PipeEnd {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.borrow_mut();
        let room = pipe.frames_max.saturating_sub(pipe.frames.len());
        if room == 0 && !bytes.is_empty() {
            pipe.is_full = true;
            return Poll::Pending;
        }
        let count = bytes.len().min(room);
        pipe.frames.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
