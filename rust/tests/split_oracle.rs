//! The compiled engine against fancy-regex, tiktoken's engine: equal pieces for every pattern that the compiled engine takes.
//!
//! `MINBPE_LONG_TESTS=1` tries strings of four characters instead of three, and 50 times as many random ones.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use fancy_regex::Regex;
use minbpe_core::error::Error;
use minbpe_core::split::{Engine, PATTERNS, Scratch, Splitter};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// At least one character of each symbol of the patterns below.
const CHARACTERS: &[char] = &[
    'a', 'B', 's', 'S', 't', 'l', 'L', 'v', 'e', 'r', 'ʰ', '\u{301}', '中', 'あ', 'ー', '1', '½', ' ', '\n', '\r',
    '\t', '\u{a0}', '\u{3000}', '\'', '!', '/', '€', 'ſ', '\0', '😀', 'ǅ',
];

/// Odd patterns, besides the named ones.
const MORE: &[&str] = &[
    // Gaps, lazy quantifiers, ends of lines and of the text, possessives, look-ahead, comments.
    r"\w+",
    r"[A-Z][a-z]+|\d+",
    r"\S+",
    r"(?s).",
    r"\S+?(?=\s|$)|\s",
    r"(?m:\s$)|[a-z]+",
    r"a(?!B|s)|l?+ |t{1,2}+",
    r"(?x) [a-z]+ # letters
      | \s++ | (?i:LV?) ",
];

fn long_form() -> bool {
    std::env::var_os("MINBPE_LONG_TESTS").is_some()
}

/// The ends of the pieces, from fancy-regex; `None` where it gives up.
fn expected(regex: &Regex, text: &str) -> Option<Vec<usize>> {
    let mut ends = vec![0];
    for found in regex.find_iter(text) {
        let found = found.ok()?;
        if !found.as_str().is_empty() {
            ends.extend([found.start(), found.end()]);
        }
    }
    ends.push(text.len());
    ends.dedup();
    ends.remove(0);
    Some(ends)
}

/// The ends of the pieces, from the splitter.
fn ends(splitter: &Splitter, text: &str, scratch: &mut Scratch) -> Vec<usize> {
    let mut all = Vec::new();
    let flow = splitter.split(text, scratch, |base, ends| {
        assert_eq!(base, all.last().copied().unwrap_or(0));
        all.extend(ends.iter().map(|&end| base + end as usize));
        ControlFlow::Continue(())
    });
    assert_eq!(flow, Ok(()));
    all
}

/// Both engines, for one pattern.
struct Pair {
    splitter: Splitter,
    regex: Regex,
    scratch: Scratch,
    compared: usize,
}

impl Pair {
    fn new(pattern: &str) -> Pair {
        let splitter = Splitter::new(Some(pattern)).unwrap();
        assert_eq!(splitter.engine(), Engine::Compiled, "{pattern}: {:?}", splitter.refusal());
        Pair { splitter, regex: Regex::new(pattern).unwrap(), scratch: Scratch::default(), compared: 0 }
    }

    fn compare(&mut self, text: &str) {
        let expected = expected(&self.regex, text).unwrap();
        let ends = ends(&self.splitter, text, &mut self.scratch);
        if ends != expected {
            let at = ends.iter().zip(&expected).position(|(a, b)| a != b);
            let shown: String = text.chars().take(200).collect();
            panic!("{} on {shown:?}..: first difference at piece {at:?}", self.regex.as_str());
        }
        self.compared += 1;
    }
}

fn patterns() -> impl Iterator<Item = &'static str> {
    PATTERNS.iter().map(|named| named.pattern).chain(MORE.iter().copied())
}

#[test]
fn all_short_strings_of_all_symbols_split_as_with_fancy_regex() {
    let longest = if long_form() { 4 } else { 3 };
    for pattern in patterns() {
        let mut pair = Pair::new(pattern);
        let mut text = String::new();
        for length in 0..=longest {
            for number in 0..CHARACTERS.len().pow(length) {
                text.clear();
                let mut rest = number;
                for _ in 0..length {
                    text.push(CHARACTERS[rest % CHARACTERS.len()]);
                    rest /= CHARACTERS.len();
                }
                pair.compare(&text);
            }
        }
        println!("{} strings: {pattern:.50}", pair.compared);
    }
}

#[test]
fn every_code_point_splits_as_with_fancy_regex_after_a_contraction_begins() {
    let contexts: &[&str] = if long_form() {
        &["", "'", "'l", "'r", "'v", "a", " ", "  ", "\n", "\n ", "1", "!", "A"]
    } else {
        &["", "'", "'l", "'r", "'v"]
    };
    // All characters of the first two planes, and a sample of the others, which are mostly of one kind; the long form takes all.
    let all = ('\0'..=char::MAX).filter(|&c| (c as u32) < 0x20000 || (c as u32).is_multiple_of(61) || long_form());
    let all: Vec<char> = all.collect();
    for named in PATTERNS {
        let mut pair = Pair::new(named.pattern);
        for some in all.chunks(64) {
            for context in contexts {
                let text: String = some
                    .iter()
                    .flat_map(|c| [context, &*c.to_string(), "e ", context, &*c.to_string()].map(String::from))
                    .collect();
                pair.compare(&text);
            }
        }
        println!("{} code points x {} contexts: {}", all.len(), contexts.len(), named.name);
    }
}

/// Runs of characters: mostly those of the symbols, now and then any.
fn texts(runs: std::ops::Range<usize>, longest: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![9 => prop::sample::select(CHARACTERS), 1 => any::<char>()];
    let length = prop_oneof![8 => 1..3usize, 1 => 1..longest];
    prop::collection::vec((character, length), runs).prop_map(|runs| {
        runs.into_iter().flat_map(|(character, length)| std::iter::repeat_n(character, length)).collect()
    })
}

fn run<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value)) {
    let cases = if long_form() { cases * 50 } else { cases };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&strategy, |value| {
            test(value);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_strings_split_as_with_fancy_regex() {
    for pattern in patterns() {
        let pair = std::cell::RefCell::new(Pair::new(pattern));
        run(500, texts(0..60, 20), |text| pair.borrow_mut().compare(&text));
    }
}

#[test]
fn long_texts_with_long_runs_split_as_with_fancy_regex() {
    for pattern in patterns() {
        let pair = std::cell::RefCell::new(Pair::new(pattern));
        run(3, texts(2_000..6_000, 500), |text| pair.borrow_mut().compare(&text));
        // Few kinds of characters, so that lanes meet stretches without a cut.
        let few =
            prop::collection::vec((prop::sample::select(vec!['a', ' ', '\n', '1', '中', '.']), 1..5_000usize), 1..30);
        run(3, few, |runs| {
            let text: String = runs.iter().flat_map(|&(c, length)| std::iter::repeat_n(c, length)).collect();
            pair.borrow_mut().compare(&text);
        });
    }
}

#[test]
fn real_texts_split_as_with_fancy_regex() {
    for name in ["taylorswift.txt", "tiny_shakespeare.txt"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/").to_owned() + name;
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("skipped: ../shared/data/{name} is not there");
            continue;
        };
        patterns().for_each(|pattern| Pair::new(pattern).compare(&text));
    }
}

#[test]
fn random_patterns_split_as_with_fancy_regex_or_are_refused() {
    const PARTS: &[&str] = &[
        "a", "b", "ab", " ", "x", "(", "(?:", "(?!", "(?=", "(?i:", "(?>", "(?<x>", ")", ")", ")", "|", "|", "*", "+",
        "?", "++", "?+", "*+", "+?", "??", "{1,3}", "{2}", "{1,3}+", "{2,}", "{", "}", "[", "]", "[^", r"\p{L}", r"\s",
        r"\S", r"\w", r"\d", "[ab]", "[^a]", r"\", "$", "^", ".", "-", "&&", "{,", r"\p{", "(?", "(?m)", "(?x)",
        "(?s)", r"\b", r"\K", r"\G", r"\1", "(?<=", "\n",
    ];
    let text = "ab aa\n b中 xab aab\n\n  b b1ba ".repeat(3);
    let compared = std::cell::Cell::new([0; 3]);
    let count = |outcome: usize| {
        let mut counts = compared.get();
        counts[outcome] += 1;
        compared.set(counts);
    };
    run(20_000, prop::collection::vec(prop::sample::select(PARTS), 1..8), |parts| {
        let pattern = parts.concat();
        let Ok(splitter) = Splitter::new(Some(&pattern)) else { return count(0) };
        if splitter.engine() == Engine::Backtracking {
            let mut last = 0;
            let flow = splitter.split(&text, &mut Scratch::default(), |base, ends| {
                assert_eq!(base, last, "{pattern:?}");
                ends.iter()
                    .for_each(|&end| assert!(base + end as usize > std::mem::replace(&mut last, base + end as usize)));
                ControlFlow::Continue(())
            });
            assert!(last == text.len() || matches!(flow, Err(Error::Pattern(_))), "{pattern:?}");
            return count(1);
        }
        let Ok(regex) = Regex::new(&pattern) else { panic!("{pattern:?} compiles here alone") };
        for text in [&text[..], &text[..11], "a", "b\n", " ", "ab", "ba", "aa"] {
            let Some(expected) = expected(&regex, text) else { continue };
            assert_eq!(ends(&splitter, text, &mut Scratch::default()), expected, "{pattern:?} on {text:?}");
        }
        count(2);
    });
    let [malformed, refused, equal] = compared.get();
    println!("{malformed} malformed, {refused} refused, {equal} compiled and equal");
    assert!(equal > 1000);
}
