//! History that outlives memory and the process: files below `--dir`.

pub mod directory;
pub mod map;
pub mod meta;
pub mod recording;
pub mod storage;
