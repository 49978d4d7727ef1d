//! Envelopes of changes, of which some are damaged (`flow_engines::envelope`).
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flow_engines::fuzz("envelope", bytes));
