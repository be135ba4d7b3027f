//! The compiled engine against fancy-regex, the engine of tiktoken: equal pieces for every pattern that it takes.
//!
//! `MINBPE_LONG_TESTS=1` tries strings of four characters instead of three, and 50 times as many random ones.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use fancy_regex::Regex;
use minbpe_core::split::{Engine, PATTERNS, Scratch, Splitter};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// At least one character of each symbol of the patterns below.
const CHARACTERS: &[char] = &[
    'a', 'B', 's', 'S', 't', 'l', 'L', 'v', 'e', 'r', 'ʰ', '\u{301}', '中', 'あ', 'ー', '1', '½', ' ', '\n', '\r',
    '\t', '\u{a0}', '\u{3000}', '\'', '!', '/', '€', 'ſ', '\0', '😀', 'ǅ',
];

/// Patterns of other tokenizers and odd ones, beside the named.
const MORE: &[&str] = &[
    // Llama 3, Qwen 2, Mistral's Tekken, Kimi K2.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Patterns with gaps, lazy ones, ends of lines and of the text, possessives, look-ahead.
    r"\w+",
    r"[A-Z][a-z]+|\d+",
    r"\S+",
    r"(?s).",
    r"\s?(?=\S)|\S+?|\s+",
    r"(?m)[a-z ]+$|\n+",
    r"a(?!B|s)|(?:ll)?+ |t{1,2}+t",
    r"(?x) [a-z]+ # letters
      | \s++$ | (?i:LV) ",
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
        ControlFlow::<()>::Continue(())
    });
    assert_eq!(flow, Ok(ControlFlow::Continue(())));
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
