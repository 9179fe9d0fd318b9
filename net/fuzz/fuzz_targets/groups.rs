//! See `keytide_fuzz::groups`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keytide_fuzz::groups::check(data));
