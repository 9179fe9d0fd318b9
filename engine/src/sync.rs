//! Atomics, from `std` or, under `--cfg loom`, from the model checker; and padding to a cache line.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

pub(crate) use crossbeam_utils::CachePadded;
