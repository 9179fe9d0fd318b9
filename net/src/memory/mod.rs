//! The memory limit of the process, and the refusal of commands close to it.
//!
//! | file | what is in it |
//! |---|---|
//! | [`clients`] | how much the buffers of all clients may take |
//! | [`limit`] | the memory that the process may use |
//! | [`watch`] | a thread that samples the memory in use; commands that may use more are refused close to the limit |

pub mod clients;
pub mod limit;
pub mod watch;

pub use clients::{ClientsLimit, SharedClientsLimit};
pub use limit::MemoryLimit;
pub use watch::MemoryWatch;
