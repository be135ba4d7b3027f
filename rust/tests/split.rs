//! Splitting as a caller sees it: pieces of text and of bytes, cuts, early ends, errors.

#![allow(clippy::unwrap_used)]

use minbpe_core::error::Error;
use minbpe_core::split::{Engine, PATTERNS, Scratch, Splitter};
use proptest::prelude::*;

/// The pieces of `bytes`.
fn pieces<'a>(splitter: &Splitter, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let result = splitter.split_bytes(bytes, &mut Scratch::default(), |base, ends| {
        assert_eq!(base, from);
        for &end in ends {
            pieces.push(&bytes[from..base + end as usize]);
            from = base + end as usize;
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(from, bytes.len());
    pieces
}

/// A splitter by name or regex.
fn splitter(pattern: &str) -> Splitter {
    let named = PATTERNS.iter().find(|named| named.name == pattern);
    Splitter::new(Some(named.map_or(pattern, |named| named.pattern))).unwrap()
}

#[test]
fn golden_texts_have_their_pieces() {
    let golden: serde_json::Value = serde_json::from_str(include_str!("../../tests/golden/split.json")).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let splitter = splitter(case["pattern"].as_str().unwrap());
        let pieces: Vec<_> = pieces(&splitter, case["text"].as_str().unwrap().as_bytes())
            .into_iter()
            .map(|piece| std::str::from_utf8(piece).unwrap())
            .collect();
        let expected: Vec<_> = case["pieces"].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect();
        assert_eq!(pieces, expected, "{}", case["name"]);
    }
}

#[test]
fn a_group_of_lazy_repetitions_is_repeated_as_often_as_it_can_be_whether_or_not_it_captures() {
    for pattern in [".(.+?)*", ".(?:.+?)*", "(?<!~).(.+?)*"] {
        assert_eq!(pieces(&splitter(pattern), b"abcdefgh"), [b"abcdefgh"], "{pattern}");
    }
}

#[test]
fn repetitions_around_something_optional_mean_what_they_say_on_either_engine() {
    // fancy-regex 0.19 matches a single "x" with the first two patterns, and all of "it's" with the third.
    for (pattern, expected) in [
        ("[a-z]+[a-z]?[a-z]+", &["- ", "it", "'s x "][..]),
        ("[a-z]+'?[a-z]+", &["- ", "it's", " x "]),
        ("[a-z]*'??[a-z]*", &["- ", "it", "'", "s", " ", "x", " "]),
    ] {
        let expected: Vec<&[u8]> = expected.iter().map(|piece| piece.as_bytes()).collect();
        for pattern in [pattern, &format!("(?<!~){pattern}")] {
            assert_eq!(pieces(&splitter(pattern), b"- it's x "), expected, "{pattern}");
        }
    }
}

#[test]
fn every_named_pattern_is_compiled() {
    for named in PATTERNS {
        let splitter = splitter(named.name);
        assert_eq!((splitter.engine(), splitter.refusal()), (Engine::Compiled, None), "{}", named.name);
    }
}

#[test]
fn without_a_pattern_a_text_is_one_piece() {
    let splitter = Splitter::new(None::<&str>).unwrap();
    assert_eq!(splitter.engine(), Engine::Whole);
    assert_eq!(pieces(&splitter, b"one piece \xff of bytes"), [b"one piece \xff of bytes"]);
    assert!(pieces(&splitter, b"").is_empty());
    assert_eq!(splitter.cut(b"one piece", 0, 9), None);
}

#[test]
fn a_maximal_invalid_stretch_is_one_piece() {
    let text = b"it's\xff\xfe\xe2\x82 ok\xe2\x82\xac\xf0\x9f";
    let expected = [&b"it"[..], b"'s", b"\xff\xfe\xe2\x82", b" ok", "€".as_bytes(), b"\xf0\x9f"];
    assert_eq!(pieces(&splitter("gpt4"), text), expected);
    assert_eq!(pieces(&splitter(r"(?<=t)'\w| ?\w+"), text).concat(), text);
}

#[test]
fn look_behind_goes_to_the_backtracking_engine_which_says_why() {
    let splitter = splitter(r"(?<=a)b|\w");
    assert_eq!((splitter.engine(), splitter.refusal()), (Engine::Backtracking, Some("it looks behind")));
    assert_eq!(pieces(&splitter, b"ab, b"), [&b"a"[..], b"b", b", ", b"b"]);
    assert_eq!(splitter.cut(b"ab, b", 0, 5), None);
}

#[test]
fn a_caller_that_wants_no_more_is_not_called_again_and_little_is_read_ahead() {
    let text = "word 一二三四 ".repeat(100_000);
    for pattern in [r"\w+", r"\w+(?<=\w)", PATTERNS[0].pattern, PATTERNS[4].pattern] {
        let mut calls = Vec::new();
        let result = splitter(pattern).split(&text, &mut Scratch::default(), |base, ends| {
            calls.push((base, ends.last().copied()));
            Err(Error::Interrupted)
        });
        assert_eq!(result, Err(Error::Interrupted));
        assert!(matches!(calls[..], [(0, Some(1..40_000))]), "{calls:?}");
    }
}

#[test]
fn a_pattern_that_does_not_compile_is_an_error_that_shows_it() {
    let Err(Error::Pattern(message)) = Splitter::new(Some("(a")) else { panic!("compiled") };
    assert!(message.contains(r#""(a""#), "{message}");
}

#[test]
fn a_pattern_that_backtracks_too_far_is_an_error_that_says_the_way_out() {
    let splitter = splitter(r"(?:a|a)*(?<=\d)");
    let result = splitter.split(&"a".repeat(1000), &mut Scratch::default(), |_, _| Ok(()));
    let Err(Error::Pattern(message)) = result else { panic!("{result:?}") };
    assert!(message.contains("break up the long run"), "{message}");
}

#[test]
fn matches_that_reach_back_or_move_their_start_lose_no_text() {
    for pattern in [r"(?<=a\Kb)c|a|b", r"(?=aa\K)a", r"a\Kb", r"\Gab|c"] {
        assert_eq!(pieces(&splitter(pattern), b"abcaab").concat(), b"abcaab", "{pattern}");
    }
}

#[test]
fn a_pattern_that_matches_the_same_text_for_ever_is_an_error_and_not_waited_for() {
    for pattern in [r"(?<=\Ka)", r"(?<=B*\K[aB])"] {
        let result = splitter(pattern).split("baa", &mut Scratch::default(), |_, _| Ok(()));
        let Err(Error::Pattern(message)) = result else { panic!("{result:?}") };
        assert!(message.contains(r"without \K inside a look-behind"), "{message}");
    }
}

#[test]
fn patterns_that_would_grow_without_bound_are_refused_and_not_waited_for() {
    let monsters = [
        r"\w{5000}",
        r"a{1000}{1000}",
        r"(?:(?:a{1000}){1000}){1000}",
        r"(?:(?:(?:ab?){100}){100}){100}",
        r"(((){1000}){1000}){1000}",
        r"(?:x?){1000000}",
        r"x{0,4000000000}",
        r"(?:a|b)*a(?:a|b){20}",
        r"(?i:abcdefghijklmnopqrstuvwxyz){1000}",
    ];
    for pattern in monsters {
        if let Ok(splitter) = Splitter::new(Some(pattern)) {
            assert_eq!(splitter.engine(), Engine::Backtracking, "{pattern}");
        }
    }
}

#[test]
fn a_megabyte_without_a_cut_is_split_in_linear_time() {
    for run in ["a", "\n", "7", "一", "\u{a0}", "!", "\n\t", "A"] {
        let text = run.repeat((1 << 20) / run.len());
        for named in PATTERNS {
            assert_eq!(pieces(&splitter(named.name), text.as_bytes()).concat(), text.as_bytes());
        }
    }
    for named in PATTERNS {
        let text = format!("one{}two", " ".repeat(1 << 20));
        let expected = [&b"one"[..], &b" ".repeat((1 << 20) - 1), b" two"];
        assert_eq!(pieces(&splitter(named.name), text.as_bytes()), expected, "{}", named.name);
    }
}

#[test]
fn a_space_between_letters_is_a_cut_and_a_newline_before_one_depends_on_the_pattern() {
    for name in ["gpt2", "gpt4", "r50k", "cl100k", "o200k", "llama3"] {
        assert_eq!(splitter(name).cut(b"ab cd", 0, 5), Some(2), "{name}");
        assert_eq!(splitter(name).cut(b"ab\xff cd", 0, 4), None, "{name}");
    }
    assert_eq!(splitter("cl100k").cut(b"foo\n\nbar", 4, 8), Some(5));
    assert_eq!(splitter("gpt2").cut(b"foo\n\nbar", 4, 8), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_sides_of_a_cut_split_alone_have_the_pieces_of_the_whole(
        pattern in prop::sample::select(vec!["gpt2", "gpt4", "r50k", "cl100k", "o200k", r"\w+", r"[A-Z][a-z]+|\d+", r"\S+|\s"]),
        bytes in prop::collection::vec(
            prop_oneof![
                8 => prop::sample::select(vec!["a", "B", "s", " ", "  ", "\n", "\r", "'", "'s", "1", ".", "一", "é", "\u{301}", "\u{a0}"])
                    .prop_map(|text| text.as_bytes().to_vec()),
                1 => any::<char>().prop_map(|c| c.to_string().into_bytes()),
                1 => prop::collection::vec(any::<u8>(), 1..4),
            ],
            0..40,
        ),
    ) {
        let bytes = bytes.concat();
        let splitter = splitter(pattern);
        let whole = pieces(&splitter, &bytes);
        for at in 0..=bytes.len() {
            if let Some(cut) = splitter.cut(&bytes, at, at) {
                prop_assert_eq!(cut, at);
                let halves = [pieces(&splitter, &bytes[..at]), pieces(&splitter, &bytes[at..])].concat();
                prop_assert_eq!(&halves, &whole, "cut at {}", at);
            }
        }
    }

    #[test]
    fn a_cut_is_the_last_one_in_its_range(text in "[a-c一 .\n]{0,30}", lo in 0usize..30, length in 0usize..30) {
        let splitter = splitter("cl100k");
        let (bytes, hi) = (text.as_bytes(), lo + length);
        let expected = (lo..=hi).rev().find(|&at| splitter.cut(bytes, at, at).is_some());
        prop_assert_eq!(splitter.cut(bytes, lo, hi), expected);
    }
}

#[test]
fn text_that_is_looked_at_a_stretch_at_a_time_ends_where_it_is_no_longer_utf_8() {
    // Stretches have 2^16 bytes or more, so the longest texts end in the second or third.
    for pattern in ["(?s).{1,9}", "gpt4", "[^x]+"] {
        let splitter = splitter(pattern);
        for unit in ["naïve 中文 text. ", "ascii 123\n", "𝒳"] {
            for length in (0..24).chain(1 << 16..(1 << 16) + 24).chain((1 << 17) - 8..(1 << 17) + 8) {
                for wrong in [&b"\xff"[..], b"\xe4\xb8", b"\x80\x80", b"\xf0\x9f"] {
                    let bytes: Vec<u8> =
                        unit.bytes().cycle().take(length).chain(wrong.iter().copied()).chain("é".bytes()).collect();
                    let mut expected: Vec<&[u8]> = Vec::new();
                    let mut invalid = 0..0;
                    for chunk in bytes.utf8_chunks() {
                        let start = chunk.valid().as_ptr().addr() - bytes.as_ptr().addr();
                        if !chunk.valid().is_empty() {
                            expected.extend(Some(&bytes[invalid]).filter(|invalid| !invalid.is_empty()));
                            expected.extend(pieces_of_text(&splitter, chunk.valid()));
                            invalid = start + chunk.valid().len()..0;
                        }
                        invalid.end = start + chunk.valid().len() + chunk.invalid().len();
                    }
                    expected.extend(Some(&bytes[invalid]).filter(|invalid| !invalid.is_empty()));
                    assert!(pieces(&splitter, &bytes) == expected, "{pattern} {unit} {length} {wrong:?}");
                }
            }
        }
    }
}

/// The pieces of `text`, which is known to be UTF-8.
fn pieces_of_text<'a>(splitter: &Splitter, text: &'a str) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let result = splitter.split(text, &mut Scratch::default(), |base, ends| {
        for &end in ends {
            pieces.push(&text.as_bytes()[from..base + end as usize]);
            from = base + end as usize;
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
    pieces
}
