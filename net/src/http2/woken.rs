//! Which streams of a connection the HTTP/2 library has something for: data, room to send, a reset. So a connection with
//! thousands of quiet streams costs nothing when a frame for one of them comes.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The numbers of the streams that were woken, each once or more often.
#[derive(Clone, Default)]
pub struct Woken(Arc<Mutex<Vec<u32>>>);

/// Wakes one stream.
struct StreamWaker {
    stream: u32,
    woken: Woken,
}

impl Woken {
    /// What wakes the stream of this number. The lock is only ever taken by the core of the connection: a waker has to be
    /// `Sync`, whoever uses it.
    pub fn waker(&self, stream: u32) -> Waker {
        Waker::from(Arc::new(StreamWaker { stream, woken: self.clone() }))
    }

    /// Adds a stream.
    pub fn add(&self, stream: u32) {
        // A panic while the lock was held left a list of numbers all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }

    /// Takes those that were woken.
    pub fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.woken.add(self.stream);
    }
}
