//! Encode plans over random rows (`flow_engines::encode`).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flow_engines::fuzz("encode", bytes));
