//! See `keytide_fuzz::globs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keytide_fuzz::globs::check(data));
