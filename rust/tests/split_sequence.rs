//! Splits in sequence, against fancy-regex's splits composed by definition: each runs on every piece of the one before.

#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use fancy_regex::Regex;
use minbpe_core::error::Error;
use minbpe_core::split::{Engine, SEQUENCES, Scratch, Splitter};
use proptest::prelude::*;

const DEEPSEEK: &[&str] = SEQUENCES[0].pattern;
/// That of SmolLM, StarCoder and others, from the same file as the named sequence: digits, then GPT-2's pattern, which leaves gaps.
const DIGITS: &[&str] = &[r"\p{N}", r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"];
/// Lines, then words; and words, then a pattern that looks behind.
const LINES: &[&str] = &[r"[^\n]+|[\n]+", r"\w+|\s+$"];
/// Patterns that leave gaps and look ahead, whose characters are of several kinds.
const GAPS: &[&str] = &[r"\d+(?!\s)|b+a?|!(?=s)", r"[a文]+(?=\s)|_|s", r"\w+|\s+(?!\S)|\s+"];
const BEHIND: &[&str] = &[r"\w+", r"(?<=a)b|[^a]"];

/// Each of these, compiled by minbpe and by fancy-regex.
static COMPILED: LazyLock<Vec<(Splitter, Vec<Regex>)>> = LazyLock::new(|| {
    [DEEPSEEK, DIGITS, LINES, GAPS, BEHIND]
        .map(|patterns| {
            let regexes = patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect();
            (Splitter::new(patterns).unwrap(), regexes)
        })
        .into()
});

/// The pieces of `text`, one by one.
fn pieces<'a>(splitter: &Splitter, text: &'a [u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let result = splitter.split_bytes(text, &mut Scratch::default(), |base, ends| {
        assert_eq!(base, from);
        for &end in ends {
            pieces.push(&text[from..base + end as usize]);
            from = base + end as usize;
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(from, text.len());
    pieces
}

/// By definition: split the pieces by one pattern after the other.
fn composed<'a>(regexes: &[Regex], text: &'a str) -> Vec<&'a str> {
    let mut pieces = vec![text];
    for regex in regexes {
        let split = |piece: &'a str| {
            let matches =
                regex.find_iter(piece).flat_map(|found| [found.as_ref().unwrap().start(), found.unwrap().end()]);
            let ends: Vec<usize> = [0].into_iter().chain(matches).chain([piece.len()]).collect();
            ends.windows(2).filter(|two| two[0] < two[1]).map(|two| &piece[two[0]..two[1]]).collect::<Vec<_>>()
        };
        pieces = pieces.into_iter().flat_map(split).collect();
    }
    pieces
}

fn text() -> impl Strategy<Value = String> {
    let element = prop::sample::select(vec![
        "a", "b", "Zo", "s", " ", "  ", "\n", "\r\n", "\t", "1", "23", "4567", "½", "中", "文字", "かな", "ー", "é",
        "\u{301}", "'", "'s", "!", "_", "$", "。", "—", "\u{a0}", "😀",
    ]);
    prop::collection::vec((element, 1..4usize), 0..40)
        .prop_map(|runs| runs.into_iter().map(|(element, times)| element.repeat(times)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_is_its_splits_one_inside_the_other(text in text(), times in prop::sample::select(vec![1usize, 1, 1, 100])) {
        let text = text.repeat(times);
        for (splitter, regexes) in &*COMPILED {
            let expected: Vec<&[u8]> = composed(regexes, &text).into_iter().map(str::as_bytes).collect();
            prop_assert_eq!(pieces(splitter, text.as_bytes()), expected, "{:?}", regexes);
        }
    }

    #[test]
    fn both_sides_of_a_sequences_cut_split_alone_have_the_pieces_of_the_whole(text in text()) {
        for (splitter, _) in &*COMPILED {
            let whole = pieces(splitter, text.as_bytes());
            for at in (0..=text.len()).filter_map(|at| splitter.cut(text.as_bytes(), at, at)) {
                let (left, right) = text.as_bytes().split_at(at);
                prop_assert_eq!([pieces(splitter, left), pieces(splitter, right)].concat(), &whole[..], "cut at {}", at);
            }
        }
    }
}

#[test]
fn deepseek_splits_digits_then_cjk_then_words() {
    let splitter = Splitter::new(DEEPSEEK).unwrap();
    assert_eq!(splitter.engine(), Engine::Compiled);
    let text = "In 12345年、東京 is_big!\n\n  ok";
    let expected = ["In", " ", "123", "45", "年", "、", "東京", " is", "_big", "!\n\n", " ", " ok"];
    assert_eq!(pieces(&splitter, text.as_bytes()), expected.map(str::as_bytes));
    assert_eq!(splitter.cut(b"ab1cd", 0, 5), Some(3), "the first split cuts between digits and letters");
    assert_eq!(splitter.cut(b"ab cd", 0, 5), Some(2), "the last one cuts before a space, and no other matches letters");
    assert_eq!(splitter.cut("12中cd".as_bytes(), 3, 7), Some(5), "the second one cuts after an ideogram");
    assert_eq!(splitter.cut("12½ ".as_bytes(), 1, 4), Some(4));
    assert_eq!(splitter.cut("1234".as_bytes(), 0, 4), None);
}

#[test]
fn invalid_stretches_are_pieces_in_a_sequence_too() {
    let splitter = Splitter::new(DEEPSEEK).unwrap();
    assert_eq!(pieces(&splitter, b"ab12\xff\xfe\xe2\x82 ok"), [&b"ab"[..], b"12", b"\xff\xfe\xe2\x82", b" ok"]);
}

#[test]
fn a_sequence_with_one_pattern_that_is_refused_says_why_and_one_that_does_not_compile_is_an_error() {
    let splitter = Splitter::new(BEHIND).unwrap();
    assert_eq!((splitter.engine(), splitter.refusal()), (Engine::Backtracking, Some("it looks behind")));
    assert!(matches!(Splitter::new(["a", "(b"]).map(|_| ()), Err(Error::Pattern(message)) if message.contains("(b")));
}

#[test]
fn a_caller_that_wants_no_more_and_an_engine_that_gives_up_end_a_sequence_and_leave_it_fit_for_use() {
    let splitter = Splitter::new([r"[a-z]+|\d+", r"(?:a|a)*(?<=\d)|b"]).unwrap();
    let mut scratch = Scratch::default();
    let gave_up = splitter.split(&"a".repeat(1000), &mut scratch, |_, _| Ok(()));
    assert!(matches!(gave_up, Err(Error::Pattern(_))));
    let mut calls = Vec::new();
    let result = splitter.split("1bb", &mut scratch, |base, ends| {
        calls.push((base, ends.to_vec()));
        Err(Error::Interrupted)
    });
    assert_eq!(result, Err(Error::Interrupted));
    assert_eq!(calls, [(0, vec![1, 2, 3])]);
}
