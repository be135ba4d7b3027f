//! Splitting, as a caller sees it: pieces of text and of bytes, early ends, errors.

use std::ops::ControlFlow;

use minbpe_core::error::Error;
use minbpe_core::split::{Engine, PATTERNS, Scratch, Splitter};

/// The pieces of `bytes`.
fn pieces(splitter: &Splitter, bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let flow = splitter
        .split_bytes(bytes, &mut Scratch::default(), |base, ends| {
            let mut from = base;
            for end in ends {
                pieces.push(bytes[from..base + *end as usize].to_vec());
                from = base + *end as usize;
            }
            ControlFlow::<()>::Continue(())
        })
        .unwrap();
    assert_eq!(flow, ControlFlow::Continue(()));
    pieces
}

fn named(name: &str) -> Splitter {
    let pattern = PATTERNS.iter().find(|pattern| pattern.name == name).unwrap();
    Splitter::new(Some(pattern.pattern)).unwrap()
}

#[test]
fn without_a_pattern_a_text_is_one_piece() {
    let splitter = Splitter::new(None).unwrap();
    assert_eq!(splitter.engine(), Engine::Whole);
    assert_eq!(pieces(&splitter, b"one piece \xff of bytes"), [b"one piece \xff of bytes"]);
    assert!(pieces(&splitter, b"").is_empty());
}

#[test]
fn what_lies_between_two_matches_is_one_piece() {
    let splitter = Splitter::new(Some(r"\w+")).unwrap();
    assert_eq!(pieces(&splitter, b"..one, two!"), [&b".."[..], b"one", b", ", b"two", b"!"]);
}

#[test]
fn empty_matches_are_skipped() {
    let splitter = Splitter::new(Some("x*")).unwrap();
    assert_eq!(pieces(&splitter, b"abxxc"), [&b"ab"[..], b"xx", b"c"]);
}

#[test]
fn a_maximal_invalid_stretch_is_one_piece() {
    let text = b"it's\xff\xfe\xe2\x82 ok\xe2\x82\xac\xf0\x9f";
    assert_eq!(
        pieces(&named("gpt4"), text),
        [&b"it"[..], b"'s", b"\xff\xfe\xe2\x82", b" ok", "€".as_bytes(), b"\xf0\x9f"]
    );
}

#[test]
fn the_two_patterns_named_after_gpt4_differ_on_white_space_at_the_end() {
    assert_eq!(pieces(&named("gpt4"), b"a\n "), [&b"a"[..], b"\n", b" "]);
    assert_eq!(pieces(&named("cl100k"), b"a\n "), [&b"a"[..], b"\n "]);
}

#[test]
fn a_caller_that_breaks_is_not_called_again() {
    for pattern in [None, Some(r"\w+"), Some(PATTERNS[0].pattern)] {
        let splitter = Splitter::new(pattern).unwrap();
        let mut calls = 0;
        let flow = splitter.split(&"word ".repeat(100_000), &mut Scratch::default(), |base, ends| {
            calls += 1;
            ControlFlow::Break((base, ends.len()))
        });
        assert_eq!(calls, 1);
        assert!(matches!(flow, Ok(ControlFlow::Break((0, 1..60_000)))));
    }
}

#[test]
fn a_pattern_that_does_not_compile_is_an_error_that_shows_it() {
    let Err(Error::Pattern(message)) = Splitter::new(Some("(a")) else { panic!("compiled") };
    assert!(message.contains("(a"), "{message}");
}
