//! Memory of the machine, of the control group and of the process: what there is, and whether writes are still taken.
//!
//! | file | what is in it |
//! |---|---|
//! | [`limit`] | how much memory the process may use |
//! | [`watch`] | how much it uses, looked at by a thread; writes are refused close to the limit |

pub mod limit;
pub mod watch;

pub use limit::MemoryLimit;
pub use watch::MemoryWatch;
