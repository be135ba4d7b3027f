//! Any pattern on any bytes: the pieces are fancy-regex's, cuts are where pieces end, and nothing panics.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::rc::Rc;

use fancy_regex::{Regex, RegexBuilder};
use minbpe_core::split::{Engine, PATTERNS, Scratch, Splitter};

use crate::texts;

/// A first byte from here on makes a pattern; others name one.
pub const FIRST_MADE: u8 = 240;
/// What patterns are made of.
const PARTS: &[&str] = &[
    "a",
    "B",
    "s",
    " ",
    "'",
    "中",
    "(",
    "(?:",
    "(?!",
    "(?=",
    "(?i:",
    "(?>",
    ")",
    ")",
    ")",
    "|",
    "|",
    "*",
    "+",
    "?",
    "++",
    "?+",
    "*+",
    "+?",
    "??",
    "{1,3}",
    "{2}",
    "{1,3}+",
    "{2,}",
    r"\p{L}",
    r"\p{N}",
    r"\s",
    r"\S",
    r"\w",
    r"\d",
    "[aB]",
    "[^a]",
    r"[^\s\p{L}\p{N}]",
    r"[^\r\n]",
    r"[\p{L}&&[^s]]",
    "$",
    "^",
    ".",
    "(?m)",
    "(?x)",
    "(?s)",
    r"\b",
    r"\K",
    r"\G",
    r"\1",
    "(?<=",
    "(?<!",
    "\n",
];
/// So many steps the oracle may take: what needs more is not compared.
const PATIENCE: usize = 20_000;
/// Compiling takes a thousand times as long as splitting a line, so as many patterns are kept.
const KEPT: usize = 1024;

/// A pattern in both engines; the oracle only where the other one takes it.
struct Both {
    splitter: Splitter,
    oracle: Option<Regex>,
}

thread_local! {
    static KNOWN: RefCell<HashMap<String, Option<Rc<Both>>>> = RefCell::default();
}

/// Splits as `data` says: first which pattern, then how the text is written, then the text.
pub fn check(data: &[u8]) {
    let Some((pattern, data)) = pattern(data) else { return };
    let Some((&form, data)) = data.split_first() else { return };
    let Some(both) = both(&pattern) else { return };
    if let Some(oracle) = &both.oracle {
        return compare(&both.splitter, oracle, &texts::read(form, data));
    }
    // The oracle itself splits, and may take long: on little text it must come to an end, and lose nothing.
    let text = texts::read(form & !texts::TIMES, data);
    let text = &text[..text.len().min(16)];
    if let Some(ends) = ends(&both.splitter, text, &mut Scratch::default()) {
        assert_eq!(ends.last().copied().unwrap_or(0), text.len(), "{pattern:?} loses text of {text:?}");
    }
}

/// A named pattern, or one made of up to eight parts.
fn pattern(data: &[u8]) -> Option<(String, &[u8])> {
    let (&choice, data) = data.split_first()?;
    if choice < FIRST_MADE {
        return Some((PATTERNS[choice as usize % PATTERNS.len()].pattern.into(), data));
    }
    let (parts, data) = data.split_at_checked((choice as usize & 7) + 1)?;
    Some((parts.iter().map(|&part| PARTS[part as usize % PARTS.len()]).collect(), data))
}

/// Both engines of a pattern; `None` if it is no pattern.
fn both(pattern: &str) -> Option<Rc<Both>> {
    KNOWN.with_borrow_mut(|known| {
        if known.len() == KEPT {
            known.clear();
        }
        let compile = || {
            let splitter = Splitter::new(Some(pattern)).ok()?;
            let oracle = || RegexBuilder::new(pattern).backtrack_limit(PATIENCE).build().expect("both parse it alike");
            let oracle = (splitter.engine() == Engine::Compiled).then(oracle);
            Some(Rc::new(Both { splitter, oracle }))
        };
        known.entry(pattern.into()).or_insert_with(compile).clone()
    })
}

/// What the oracle finds where groups capture nothing. fancy-regex 0.19 repeats `(a+?)` once at most in `(a+?)*`, where `(?:a+?)*`, the
/// engines of regex-automata and Python's `re` repeat it as often as they can; but flags such as in `((?x))` mean other things then, so
/// this is asked second.
fn expected_without_captures(oracle: &Regex, bytes: &[u8]) -> Option<Vec<usize>> {
    let pattern = without_captures(oracle.as_str());
    expected(&RegexBuilder::new(&pattern).backtrack_limit(PATIENCE).build().ok()?, bytes)
}

fn without_captures(pattern: &str) -> String {
    let mut free = String::with_capacity(2 * pattern.len());
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        free.push(character);
        match character {
            '\\' => free.extend(characters.next()),
            '(' if characters.peek() != Some(&'?') => free.push_str("?:"),
            _ => {}
        }
    }
    free
}

fn compare(splitter: &Splitter, oracle: &Regex, bytes: &[u8]) {
    let Some(expected) = expected(oracle, bytes) else { return };
    let shown = || format!("{:?} on b\"{}\"", oracle.as_str(), bytes.escape_ascii());
    let mut scratch = Scratch::default();
    let whole = ends(splitter, bytes, &mut scratch).expect("the compiled engine never gives up");
    if whole != expected {
        assert_eq!(Some(&whole), expected_without_captures(oracle, bytes).as_ref(), "not {expected:?}: {}", shown());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let mut as_text = Vec::new();
        let flow = splitter.split(text, &mut scratch, |base, ends| collect(&mut as_text, base, ends));
        assert!(flow.is_ok() && as_text == whole, "as text: {}", shown());
    }
    let (mut hi, mut halved) = (bytes.len(), false);
    while let Some(cut) = splitter.cut(bytes, 0, hi) {
        assert!(whole.binary_search(&cut).is_ok(), "no piece ends at the cut {cut}: {}", shown());
        if !halved && cut <= bytes.len() / 2 {
            let (left, right) = bytes.split_at(cut);
            let mut both = ends(splitter, left, &mut scratch).expect("the compiled engine never gives up");
            let right = ends(splitter, right, &mut scratch).expect("the compiled engine never gives up");
            both.extend(right.iter().map(|end| cut + end));
            assert_eq!(both, whole, "cut at {cut}: {}", shown());
            halved = true;
        }
        hi = cut - 1;
    }
}

/// The ends of the pieces, from the splitter; `None` where it gives up.
fn ends(splitter: &Splitter, bytes: &[u8], scratch: &mut Scratch) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    splitter.split_bytes(bytes, scratch, |base, ends| collect(&mut all, base, ends)).is_ok().then_some(all)
}

fn collect(all: &mut Vec<usize>, base: usize, ends: &[u32]) -> ControlFlow<()> {
    assert_eq!(base, all.last().copied().unwrap_or(0), "a batch begins where the last one ended");
    for &end in ends {
        assert!(base + end as usize > all.last().copied().unwrap_or(0), "an empty piece");
        all.push(base + end as usize);
    }
    ControlFlow::Continue(())
}

/// The ends that fancy-regex finds: in each maximal stretch of valid UTF-8, each maximal invalid one being one piece.
fn expected(oracle: &Regex, bytes: &[u8]) -> Option<Vec<usize>> {
    let mut ends = vec![0];
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let valid = std::str::from_utf8(rest).map_or_else(|error| error.valid_up_to(), str::len);
        for found in oracle.find_iter(std::str::from_utf8(&rest[..valid]).expect("found to be valid")) {
            let found = found.ok()?;
            if !found.range().is_empty() {
                ends.extend([at + found.start(), at + found.end()]);
            }
        }
        at += valid;
        ends.push(at);
        let invalid = (0..=bytes.len() - at).find(|&length| begins_with_a_character(&bytes[at + length..]));
        at += invalid.unwrap_or(bytes.len() - at);
        ends.push(at);
    }
    ends.dedup();
    ends.remove(0);
    Some(ends)
}

fn begins_with_a_character(bytes: &[u8]) -> bool {
    (1..=bytes.len().min(4)).any(|length| std::str::from_utf8(&bytes[..length]).is_ok())
}
