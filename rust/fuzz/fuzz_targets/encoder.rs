//! `rust/tests/fuzzed/encoder.rs` on what libFuzzer makes up.

#![no_main]

#[path = "../../tests/fuzzed/encoder.rs"]
mod encoder;
#[path = "../../tests/fuzzed/texts.rs"]
mod texts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| encoder::check(data));
