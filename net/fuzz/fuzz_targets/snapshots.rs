//! See `keytide_fuzz::snapshots`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keytide_fuzz::snapshots::check(data));
