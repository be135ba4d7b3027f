//! Runs the check of `rust/tests/fuzzed/splitter.rs` on libFuzzer's inputs.

#![no_main]

#[path = "../../tests/fuzzed/naive.rs"]
mod naive;
#[path = "../../tests/fuzzed/splitter.rs"]
mod splitter;
#[path = "../../tests/fuzzed/texts.rs"]
mod texts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| splitter::check(data));
