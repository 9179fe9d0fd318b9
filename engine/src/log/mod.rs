//! History that outlives memory and the process: files below `--dir`.

pub mod storage;
