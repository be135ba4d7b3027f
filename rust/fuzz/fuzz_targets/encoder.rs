//! Runs the check of `rust/tests/fuzzed/encoder.rs` on libFuzzer's inputs.

#![no_main]

#[path = "../../tests/fuzzed/encoder.rs"]
mod encoder;
#[path = "../../tests/fuzzed/texts.rs"]
mod texts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| encoder::check(data));
