//! See `keytide_fuzz::regexes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keytide_fuzz::regexes::check(data));
