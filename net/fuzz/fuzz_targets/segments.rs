//! See `keytide_fuzz::segments`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keytide_fuzz::segments::check(data));
