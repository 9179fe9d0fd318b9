//! History that outlives memory and the process: files below `--dir`.

pub mod map;
pub mod recording;
pub mod storage;
