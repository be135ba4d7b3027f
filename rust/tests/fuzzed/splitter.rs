//! Any pattern on any bytes: the pieces equal those of the definition and of fancy-regex, cuts are where pieces end, and nothing panics.
//!
//! There are two oracles, because neither is enough: the naive one is right, but too slow for long texts; fancy-regex finishes nearly all
//! texts, but versions of it were wrong. Each is compared as far as it gets. Where fancy-regex finds a different piece than the compiled
//! engine, the naive one is run again from that piece, and has to find what the compiled engine found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use fancy_regex::{Regex, RegexBuilder};
use minbpe_core::error::Result;
use minbpe_core::split::{Engine, PATTERNS, Scratch, Splitter};

use crate::naive::Naive;
use crate::texts;

/// A first byte of at least this makes a pattern; a lower one picks a named pattern.
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
/// The steps that fancy-regex may take for a match.
const STEPS: usize = 20_000;
/// The steps that the naive oracle may take for a text, some 200 characters; and for the first piece where the others differ.
const NAIVE_STEPS: usize = 500;
const DECISIVE_STEPS: usize = 1_000_000;
/// Compiling takes a thousand times as long as splitting a line, so this many patterns are kept.
const KEPT: usize = 1024;

/// A pattern in all engines; the oracles only where the compiled one takes it.
struct Known {
    splitter: Splitter,
    oracles: Option<(Naive, Regex)>,
}

thread_local! {
    static KNOWN: RefCell<HashMap<String, Option<Rc<Known>>>> = RefCell::default();
}

/// Splits as `data` says: first which pattern, then how the text is written, then the text.
pub fn check(data: &[u8]) {
    let Some((pattern, data)) = pattern(data) else { return };
    let Some((&form, data)) = data.split_first() else { return };
    let Some(known) = known(&pattern) else { return };
    if let Some((naive, fancy)) = &known.oracles {
        return compare(&known.splitter, naive, fancy, &texts::read(form, data));
    }
    // fancy-regex itself splits here, and may be slow: on a short text it must finish, and lose nothing.
    let text = texts::read(form & !texts::TIMES, data);
    let text = &text[..text.len().min(16)];
    if let Some(ends) = ends(&known.splitter, text, &mut Scratch::default()) {
        assert_eq!(ends.last().copied().unwrap_or(0), text.len(), "{pattern:?} loses text of {text:?}");
    }
}

/// A named pattern, or one made of up to eight parts; and the rest of the data.
fn pattern(data: &[u8]) -> Option<(String, &[u8])> {
    let (&choice, data) = data.split_first()?;
    if choice < FIRST_MADE {
        return Some((PATTERNS[choice as usize % PATTERNS.len()].pattern.into(), data));
    }
    let (parts, data) = data.split_at_checked((choice as usize & 7) + 1)?;
    Some((parts.iter().map(|&part| PARTS[part as usize % PARTS.len()]).collect(), data))
}

/// The engines of a pattern; `None` if it is not a valid pattern.
fn known(pattern: &str) -> Option<Rc<Known>> {
    KNOWN.with_borrow_mut(|known| {
        if known.len() == KEPT {
            known.clear();
        }
        let compile = || {
            let splitter = Splitter::new(Some(pattern)).ok()?;
            let fancy = || RegexBuilder::new(pattern).backtrack_limit(STEPS).build().expect("both parse it alike");
            let oracles = (splitter.engine() == Engine::Compiled).then(|| (Naive::new(pattern), fancy()));
            Some(Rc::new(Known { splitter, oracles }))
        };
        known.entry(pattern.into()).or_insert_with(compile).clone()
    })
}

fn compare(splitter: &Splitter, naive: &Naive, fancy: &Regex, bytes: &[u8]) {
    let shown = || format!("{:?} on b\"{}\"", fancy.as_str(), bytes.escape_ascii());
    let mut scratch = Scratch::default();
    let whole = ends(splitter, bytes, &mut scratch).expect("the compiled engine never gives up");
    assert_eq!(whole.last().copied().unwrap_or(0), bytes.len(), "loses text: {}", shown());
    let by_definition = expected(bytes, |text| naive.matches(text, NAIVE_STEPS));
    assert!(whole.starts_with(&by_definition), "{whole:?} and not {by_definition:?}: {}", shown());
    let by_fancy = expected(bytes, |text| fancy.find_iter(text).map(|found| Some(found.ok()?.range())));
    if let Some(piece) = (0..by_fancy.len()).find(|&piece| whole.get(piece) != by_fancy.get(piece)) {
        // Text that begins where a piece ends is split like a text of its own, because nothing looks behind.
        let start = if piece == 0 { 0 } else { whole[piece - 1] };
        let decided = expected(&bytes[start..], |text| naive.matches(text, DECISIVE_STEPS));
        let decided = decided.first().map(|length| start + length);
        assert_eq!(whole.get(piece).copied(), decided, "and by fancy-regex {}: {}", by_fancy[piece], shown());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let mut as_text = Vec::new();
        let result = splitter.split(text, &mut scratch, |base, ends| collect(&mut as_text, base, ends));
        assert!(result.is_ok() && as_text == whole, "as text: {}", shown());
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

fn collect(all: &mut Vec<usize>, base: usize, ends: &[u32]) -> Result<()> {
    assert_eq!(base, all.last().copied().unwrap_or(0), "a batch begins where the last one ended");
    for &end in ends {
        assert!(base + end as usize > all.last().copied().unwrap_or(0), "an empty piece");
        all.push(base + end as usize);
    }
    Ok(())
}

/// The ends of the pieces, by an oracle that finds matches, as far as it gets.
fn expected<'t, Matches: Iterator<Item = Option<Range<usize>>>>(
    bytes: &'t [u8],
    find: impl Fn(&'t str) -> Matches,
) -> Vec<usize> {
    let mut ends = vec![0];
    let _gave_up = push_expected(&mut ends, bytes, find).is_none();
    ends.dedup();
    ends.remove(0);
    ends
}

/// Adds the ends in each maximal stretch of valid UTF-8; a maximal invalid stretch is one piece. `None` if the oracle gives up.
fn push_expected<'t, Matches: Iterator<Item = Option<Range<usize>>>>(
    ends: &mut Vec<usize>,
    bytes: &'t [u8],
    find: impl Fn(&'t str) -> Matches,
) -> Option<()> {
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        if !chunk.valid().is_empty() {
            ends.push(at);
            for found in find(chunk.valid()) {
                let found = found?;
                if !found.is_empty() {
                    ends.extend([at + found.start, at + found.end]);
                }
            }
            at += chunk.valid().len();
            ends.push(at);
        }
        at += chunk.invalid().len();
    }
    ends.push(at);
    Some(())
}
