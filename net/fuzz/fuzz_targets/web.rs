//! See `keytide_fuzz::web`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keytide_fuzz::web::check(data));
