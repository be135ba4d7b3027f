//! Stages train and encode like the naive algorithm: split wide, encode each piece by the narrow stages, then apply the wide merges.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use minbpe_core::count::{Counter, Document, PieceCounts};
use minbpe_core::error::Error;
use minbpe_core::progress::unwatched;
use minbpe_core::split::Splitter;
use minbpe_core::staged::Stage;
use minbpe_core::train::{Options, Pair, Start, TieBreak, tokens_at_start, train};
use minbpe_core::vocab::Vocabulary;
use proptest::prelude::*;

const PATTERNS: [Option<&str>; 4] = [None, Some(" ?[a-z]+|'s|[^a-z]"), Some("'s|[a-z]{1,2}|\\s+"), Some("[^.]*\\.?")];

fn identity() -> [u32; 256] {
    std::array::from_fn(|byte| byte as u32)
}

/// Replaces each `pair` by `token`, from left to right.
fn merge(ids: &mut Vec<u32>, pair: Pair, token: u32) {
    let mut at = 0;
    while at + 1 < ids.len() {
        if (ids[at], ids[at + 1]) == pair {
            ids.splice(at..at + 2, [token]);
        }
        at += 1;
    }
}

fn naive_ids(text: &[u8], stages: &[Stage], merges: &[Pair]) -> Vec<u32> {
    let [before @ .., last] = stages else { return text.iter().map(|&byte| u32::from(byte)).collect() };
    let mut all = Vec::new();
    for piece in Splitter::new(&last.patterns).unwrap().pieces(text).unwrap() {
        let mut ids = naive_ids(piece, before, &merges[..last.first_rank]);
        for (&pair, token) in merges[last.first_rank..].iter().zip(256 + last.first_rank as u32..) {
            merge(&mut ids, pair, token);
        }
        all.extend(ids);
    }
    all
}

/// The merges of a stage: each joins the best pair whose bytes are not a token yet.
fn naive_stage(text: &[u8], before: &[Stage], pattern: Option<&str>, merges: &mut Vec<Pair>, more: usize) {
    let mut pieces: Vec<Vec<u32>> = Splitter::new(pattern)
        .unwrap()
        .pieces(text)
        .unwrap()
        .into_iter()
        .map(|piece| naive_ids(piece, before, merges))
        .collect();
    let mut tokens: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let spell =
        |tokens: &[Vec<u8>], (left, right): Pair| [&tokens[left as usize][..], &tokens[right as usize]].concat();
    for &pair in &*merges {
        tokens.push(spell(&tokens, pair));
    }
    for _ in 0..more {
        let mut stats: HashMap<Pair, (u64, usize)> = HashMap::new();
        for (at, pair) in pieces.iter().flat_map(|ids| ids.windows(2)).enumerate() {
            stats.entry((pair[0], pair[1])).or_insert((0, at)).0 += 1;
        }
        stats.retain(|&pair, _| !tokens.contains(&spell(&tokens, pair)));
        let Some((pair, _)) = stats.into_iter().max_by_key(|&(_, (count, first))| (count, !first)) else { break };
        pieces.iter_mut().for_each(|ids| merge(ids, pair, tokens.len() as u32));
        tokens.push(spell(&tokens, pair));
        merges.push(pair);
    }
}

fn count(text: &[u8], pattern: Option<&str>) -> PieceCounts {
    let mut counter = Counter::new(Splitter::new(pattern).unwrap(), None);
    counter.add(&[Document::Bytes(text)], &mut unwatched).unwrap();
    counter.finish().unwrap()
}

fn vocabulary(merges: &[Pair], stages: &[Stage]) -> Vocabulary {
    let ids: Vec<u32> = (256..).take(merges.len()).collect();
    Vocabulary::from_stages(&identity(), merges, &ids, vec![], stages).unwrap()
}

/// Trains stage by stage, comparing with the naive algorithm.
fn learn(text: &[u8], plan: &[(Option<&str>, usize)]) -> (Vec<Pair>, Vec<Stage>) {
    let bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
    let (mut merges, mut expected, mut stages) = (Vec::new(), Vec::new(), Vec::new());
    for &(pattern, more) in plan {
        let counts = count(text, pattern);
        let narrower = (!stages.is_empty()).then(|| vocabulary(&merges, &stages));
        let start = narrower.as_ref().map_or(Start::Bytes(&bytes), Start::Stage);
        let pieces = Splitter::new(pattern).unwrap().pieces(text).unwrap();
        let at_start: usize = pieces.iter().map(|piece| naive_ids(piece, &stages, &merges).len()).sum();
        assert_eq!(tokens_at_start(&counts, start, &mut unwatched).unwrap(), at_start as u128);
        let learnt = train(&counts, &Options::new(start, more, TieBreak::First), &mut unwatched).unwrap();
        naive_stage(text, &stages, pattern, &mut expected, more);
        stages.push(Stage { first_rank: merges.len(), patterns: pattern.into_iter().map(Into::into).collect() });
        merges.extend(learnt.iter().map(|merge| merge.pair));
        assert_eq!(merges, expected);
    }
    (merges, stages)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn merges_and_ids_equal_the_naive_ones(
        text in "[ab's. ]{0,80}",
        other in prop_oneof![proptest::collection::vec(any::<u8>(), 0..30), "[ab's. ]{0,40}".prop_map(String::into_bytes)],
        plan in proptest::collection::vec((proptest::sample::select(&PATTERNS[..]), 0_usize..12), 1..4),
    ) {
        let (merges, stages) = learn(text.as_bytes(), &plan);
        let staged = vocabulary(&merges, &stages);
        prop_assert_eq!(staged.stages(), &stages[..]);
        for text in [text.as_bytes(), &other] {
            let expected = naive_ids(text, &stages, &merges);
            let mut ids = Vec::new();
            staged.encode_bytes(text, &mut ids, &mut unwatched).unwrap();
            prop_assert_eq!(&ids, &expected);
            if let Ok(text) = std::str::from_utf8(text) {
                ids.clear();
                staged.encode_ordinary(text, &mut ids).unwrap();
                prop_assert_eq!(&ids, &expected);
                let mut first = Vec::new();
                staged.encode_up_to(text, 3, |ids| first.extend_from_slice(ids), &mut unwatched).unwrap();
                prop_assert_eq!(first, &expected[..expected.len().min(3)]);
            }
        }
    }
}

#[test]
fn a_piece_as_it_is_is_split_by_no_stage() {
    let stages = [Stage { first_rank: 0, patterns: vec![" ?[a-z]".into()] }, Stage { first_rank: 1, patterns: vec![] }];
    let staged = vocabulary(&[(97, 98), (256, 32)], &stages);
    let (mut ids, mut piece) = (vec![], vec![]);
    staged.encode_ordinary("ab c", &mut ids).unwrap();
    staged.encode_piece(b"ab c", &mut piece, &mut unwatched).unwrap();
    assert_eq!((ids, piece), (vec![97, 98, 32, 99], vec![257, 99]));
}

#[test]
fn a_pattern_that_gives_up_inside_a_stage_is_an_error() {
    let patterns = vec![r"(?:a|a)*(?<=\d)".into()];
    let stages = [Stage { first_rank: 0, patterns }, Stage { first_rank: 0, patterns: vec![] }];
    let staged = vocabulary(&[], &stages);
    let text = "a".repeat(1000);
    assert!(matches!(staged.encode_ordinary(&text, &mut Vec::new()), Err(Error::Pattern(_))));
    assert!(matches!(staged.encode_bytes(text.as_bytes(), &mut Vec::new(), &mut unwatched), Err(Error::Pattern(_))));
    let counts = count(text.as_bytes(), None);
    for start in [Start::Stage(&staged), Start::Vocabulary(&staged)] {
        let options = Options::new(start, 1, TieBreak::First);
        assert!(matches!(train(&counts, &options, &mut unwatched), Err(Error::Pattern(_))));
        assert!(matches!(tokens_at_start(&counts, start, &mut unwatched), Err(Error::Pattern(_))));
    }
}

#[test]
fn one_letter_repeated_for_a_megabyte_is_joined_in_near_linear_time() {
    let pairs: Vec<Pair> = std::iter::once((97, 97)).chain((256..270).map(|id| (id, id))).collect();
    let stages = [Stage { first_rank: 0, patterns: vec!["a".into()] }, Stage { first_rank: 0, patterns: vec![] }];
    let mut ids = Vec::new();
    vocabulary(&pairs, &stages).encode_ordinary(&"a".repeat(1 << 20), &mut ids).unwrap();
    assert_eq!(ids, [270; 32]);
}
