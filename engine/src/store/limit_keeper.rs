//! The background thread of a directory in use: it raises the limit of positions and applies retention to older generations.

use super::directory::{Directory, LIMIT_AHEAD};
use super::error::StoreError;
use super::older::Retirement;
use crate::log::LogFailure;
use crate::sequencer::Sequencer;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Raises the limit of positions in time and applies retention to older generations, until it is dropped.
pub struct LimitKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LimitKeeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system cannot start one.
    pub fn start(
        directory: Arc<Directory>,
        sequencer: Arc<Sequencer>,
        failure: LogFailure,
        mut retirement: Retirement,
    ) -> Result<LimitKeeper, StoreError> {
        /// Writes end where the limit cannot be raised and fewer positions than this are left: those of some seconds.
        const POSITIONS_LEFT_MIN: u64 = LIMIT_AHEAD / 4;
        /// How often the limit is checked: far more often than it is reached, see [`LIMIT_AHEAD`].
        const PERIOD: Duration = Duration::from_millis(200);
        let (stop, stopped) = channel::<()>();
        let mut is_failure_noted = false;
        let work = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if let Some(limit) = directory.limit_wanted(sequencer.next())
                    && let Err(error) = directory.raise_limit(limit)
                {
                    tracing::error!(%error, "the limit of positions cannot be raised");
                    if sequencer.next().0 + POSITIONS_LEFT_MIN > directory.limit().0 {
                        failure.set(&format!("the limit of positions cannot be raised: {error}"));
                    }
                }
                retirement.run();
                if failure.is_set() && !is_failure_noted {
                    is_failure_noted = true;
                    // Retried when the run ends.
                    if let Err(error) = directory.note_failure() {
                        tracing::error!(%error, "the failure of the log cannot be recorded in the directory");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("limit".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        Ok(LimitKeeper { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for LimitKeeper {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic was reported by its own thread.
            let _ = thread.join();
        }
    }
}
