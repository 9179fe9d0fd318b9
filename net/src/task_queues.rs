//! The task queues of a core's executor: name, shares, latency, and why.
//!
//! | queue | shares | latency | what runs there |
//! |---|---|---|---|
//! | `net` | 1000 | 1 ms | the turn loop: sockets, commands, lanes |
//!
//! The executor looks at its own completions, timers and foreign wake-ups only when a queue is preempted. The net
//! queue is nearly always ready, so it declares how long the others can wait.

use glommio::{Latency, Shares, TaskQueueHandle};
use std::time::Duration;

/// The queue of the turn loop. Called once on each executor.
pub fn net() -> TaskQueueHandle {
    glommio::executor().create_task_queue(Shares::Static(1000), Latency::Matters(Duration::from_millis(1)), "net")
}
