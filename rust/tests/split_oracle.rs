//! The compiled engine against fancy-regex, tiktoken's engine: equal pieces for every pattern that the compiled engine takes.
//!
//! `MINBPE_LONG_TESTS=1` tries code points in more contexts, and 50 times as many random strings and patterns.

#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::slice::from_ref;
use std::sync::LazyLock;

use fancy_regex::Regex;
use minbpe_core::error::Error;
use minbpe_core::split::{Engine, PATTERNS, SEQUENCES, Scratch, Splitter};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

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

/// The ends of the pieces, from fancy-regex, which splits by each pattern inside the pieces of the one before; `None` where it gives up.
fn expected(regexes: &[Regex], text: &str) -> Option<Vec<usize>> {
    let mut borders = vec![0, text.len()];
    for regex in regexes {
        let mut inner = vec![0];
        for piece in borders.windows(2) {
            for found in regex.find_iter(&text[piece[0]..piece[1]]) {
                let found = found.ok()?;
                if !found.as_str().is_empty() {
                    inner.extend([piece[0] + found.start(), piece[0] + found.end()]);
                }
            }
            inner.push(piece[1]);
        }
        inner.dedup();
        borders = inner;
    }
    borders.remove(0);
    Some(borders)
}

/// The ends of the pieces, from the splitter.
fn ends(splitter: &Splitter, text: &str) -> Vec<usize> {
    thread_local!(static SCRATCH: RefCell<Scratch> = RefCell::default());
    let mut all = Vec::new();
    let result = SCRATCH.with_borrow_mut(|scratch| {
        splitter.split(text, scratch, |base, ends| {
            assert_eq!(base, all.last().copied().unwrap_or(0));
            all.extend(ends.iter().map(|&end| base + end as usize));
            Ok(())
        })
    });
    assert_eq!(result, Ok(()));
    all
}

/// Both engines, for one pattern or several in sequence.
struct Pair {
    name: &'static str,
    splitter: Splitter,
    regexes: Vec<Regex>,
    /// The first character of each symbol; in a sequence, of each combination of symbols.
    symbols: Vec<char>,
    /// The same, and also the first of each length in UTF-8.
    characters: Vec<char>,
}

/// The named patterns and sequences, then `MORE`.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let patterns = PATTERNS.iter().map(|named| (named.name, from_ref(&named.pattern)));
    let sequences = SEQUENCES.iter().map(|named| (named.name, named.pattern));
    let more = MORE.iter().map(|pattern| (*pattern, from_ref(pattern)));
    patterns.chain(sequences).chain(more).map(|(name, patterns)| Pair::new(name, patterns)).collect()
});

/// Those that have a name.
fn named() -> &'static [Pair] {
    &PAIRS[..PATTERNS.len() + SEQUENCES.len()]
}

impl Pair {
    fn new(name: &'static str, patterns: &[&str]) -> Pair {
        let splitter = Splitter::new(patterns).unwrap();
        assert_eq!(splitter.engine(), Engine::Compiled, "{name}: {:?}", splitter.refusal());
        let (mut symbols, mut characters) = (Vec::new(), Vec::new());
        let mut longest = HashMap::new();
        for character in '\0'..=char::MAX {
            let longest = longest.entry(splitter.symbols(character)).or_insert(0);
            if *longest == 0 {
                symbols.push(character);
            }
            if *longest < character.len_utf8() {
                characters.push(character);
                *longest = character.len_utf8();
            }
        }
        let regexes = patterns.iter().map(|pattern| Regex::new(pattern).unwrap()).collect();
        Pair { name, splitter, regexes, symbols, characters }
    }

    fn compare(&self, text: &str) {
        let expected = expected(&self.regexes, text).unwrap();
        let ends = ends(&self.splitter, text);
        if ends != expected {
            let at = ends.iter().zip(&expected).position(|(a, b)| a != b);
            let shown: String = text.chars().take(200).collect();
            panic!("{} on {shown:?}..: first difference at piece {at:?}", self.name);
        }
    }

    /// Compares all strings of `length` of `characters`.
    fn compare_all(&self, characters: &[char], length: u32) {
        let mut text = String::new();
        for number in 0..characters.len().pow(length) {
            text.clear();
            let mut rest = number;
            for _ in 0..length {
                text.push(characters[rest % characters.len()]);
                rest /= characters.len();
            }
            self.compare(&text);
        }
    }
}

#[test]
fn every_symbol_is_among_those_that_are_tried() {
    for pair in &*PAIRS {
        let tried: Vec<_> = pair.symbols.iter().map(|&character| pair.splitter.symbols(character)).collect();
        for pattern in 0..pair.regexes.len() {
            let count = tried[0][pattern].1;
            let known: BTreeSet<usize> = tried.iter().map(|symbols| symbols[pattern].0).collect();
            assert!(known.into_iter().eq(0..count), "{}, pattern {pattern}: {count} symbols", pair.name);
        }
    }
}

#[test]
fn all_short_strings_of_all_symbols_split_as_with_fancy_regex() {
    for pair in &*PAIRS {
        (0..=3).for_each(|length| pair.compare_all(&pair.characters, length));
        pair.compare_all(&pair.symbols, 4);
        println!("{} symbols, {} characters: {:.50}", pair.symbols.len(), pair.characters.len(), pair.name);
    }
}

#[test]
fn every_code_point_splits_as_with_fancy_regex_after_a_contraction_begins() {
    let contexts: &[&str] = if long_form() {
        &["", "'", "'l", "'r", "'v", "a", " ", "  ", "\n", "\n ", "1", "!", "A"]
    } else {
        &["", "'", "'l", "'r", "'v"]
    };
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    let mut text = String::new();
    for pair in named() {
        for some in all.chunks(64) {
            for context in contexts {
                text.clear();
                for &character in some {
                    text.push_str(context);
                    text.push(character);
                    // Outside the first two planes nearly all characters are of one kind: a sample of them goes before a letter, too.
                    if (character as u32) < 0x20000 || (character as u32).is_multiple_of(61) || long_form() {
                        text.push_str(context);
                        text.push(character);
                        text.push_str("e ");
                    }
                }
                pair.compare(&text);
            }
        }
        println!("{} code points x {} contexts: {}", all.len(), contexts.len(), pair.name);
    }
}

/// Runs of characters: mostly those of all symbols, now and then any.
fn texts(characters: &'static [char], runs: std::ops::Range<usize>, longest: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![9 => prop::sample::select(characters), 1 => any::<char>()];
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
    for pair in &*PAIRS {
        run(500, texts(&pair.characters, 0..60, 20), |text| pair.compare(&text));
    }
}

#[test]
fn long_texts_with_long_runs_split_as_with_fancy_regex() {
    for pair in &*PAIRS {
        run(3, texts(&pair.characters, 2_000..6_000, 500), |text| pair.compare(&text));
        // Few kinds of characters, so that lanes meet stretches without a cut.
        let few =
            prop::collection::vec((prop::sample::select(vec!['a', ' ', '\n', '1', '中', '.']), 1..5_000usize), 1..30);
        run(3, few, |runs| {
            let text: String = runs.iter().flat_map(|&(c, length)| std::iter::repeat_n(c, length)).collect();
            pair.compare(&text);
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
        PAIRS.iter().for_each(|pair| pair.compare(&text));
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
            let result = splitter.split(&text, &mut Scratch::default(), |base, ends| {
                assert_eq!(base, last, "{pattern:?}");
                ends.iter()
                    .for_each(|&end| assert!(base + end as usize > std::mem::replace(&mut last, base + end as usize)));
                Ok(())
            });
            assert!(last == text.len() || matches!(result, Err(Error::Pattern(_))), "{pattern:?}");
            return count(1);
        }
        let Ok(regex) = Regex::new(&pattern) else { panic!("{pattern:?} compiles here alone") };
        for text in [&text[..], &text[..11], "a", "b\n", " ", "ab", "ba", "aa"] {
            let Some(expected) = expected(from_ref(&regex), text) else { continue };
            assert_eq!(ends(&splitter, text), expected, "{pattern:?} on {text:?}");
        }
        count(2);
    });
    let [malformed, refused, equal] = compared.get();
    println!("{malformed} malformed, {refused} refused, {equal} compiled and equal");
    assert!(equal > 1000);
}
