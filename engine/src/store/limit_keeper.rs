//! The thread that works for a directory in use: it raises the limit of positions and retires older generations.

use super::directory::{Directory, LIMIT_AHEAD};
use super::error::StoreError;
use super::older::Retirement;
use crate::log::LogFailure;
use crate::sequencer::Sequencer;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Raises the limit of positions in time and retires older generations, as long as it lives.
pub struct LimitKeeper {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LimitKeeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system has none left.
    pub fn start(
        directory: Arc<Directory>,
        sequencer: Arc<Sequencer>,
        failure: LogFailure,
        mut retirement: Retirement,
    ) -> Result<LimitKeeper, StoreError> {
        /// With fewer positions left than this the limit has to be raised, or writing ends: some seconds' worth.
        const LEAST_AHEAD: u64 = LIMIT_AHEAD / 4;
        /// Far more often than the limit is reached: see [`LIMIT_AHEAD`].
        const PERIOD: Duration = Duration::from_millis(200);
        let (stop, stopped) = channel::<()>();
        let mut is_failure_noted = false;
        let work = move || {
            while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                if let Some(limit) = directory.limit_wanted(sequencer.next())
                    && let Err(error) = directory.raise_limit(limit)
                {
                    tracing::error!(%error, "the limit of positions cannot be raised");
                    if sequencer.next().0 + LEAST_AHEAD > directory.limit().0 {
                        failure.set(&format!("the limit of positions cannot be raised: {error}"));
                    }
                }
                retirement.run();
                if failure.is_set() && !is_failure_noted {
                    is_failure_noted = true;
                    // Tried once more when the run ends.
                    if let Err(error) = directory.note_failure() {
                        tracing::error!(%error, "the directory cannot say that its log has failed");
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
            // A panic was told where it happened.
            let _ = thread.join();
        }
    }
}
