//! Merges equal those of the naive algorithm, on cases worked out beforehand and on random corpora.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Arc;

use minbpe_core::count::PieceCounts;
use minbpe_core::error::Error;
use minbpe_core::progress::unwatched;
use minbpe_core::train::{End, Merge, Options, Pair, Start, TieBreak, each_merge, train};
use minbpe_core::vocab::Vocabulary;
use serde_json::Value;

const IDENTITY: [u8; 256] = {
    let mut order = [0; 256];
    let mut id = 0;
    while id < 256 {
        order[id] = id as u8;
        id += 1;
    }
    order
};

/// The bytes that are printable in Latin-1, then the others.
fn gpt2() -> [u8; 256] {
    let printed = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut order = IDENTITY;
    order.sort_by_key(|byte| (!printed(byte), *byte));
    order
}

fn options(merges: usize, tie_break: TieBreak) -> Options<'static> {
    Options::new(Start::Bytes(&IDENTITY), merges, tie_break)
}

fn learn(pieces: &[(Vec<u8>, u64)], options: &Options<'_>) -> Vec<(Pair, u64)> {
    let counts = PieceCounts::from_items(pieces.iter().map(|(bytes, count)| (&bytes[..], *count))).unwrap();
    let merges = train(&counts, options, &mut unwatched).unwrap();
    merges.iter().map(|merge| (merge.pair, merge.count)).collect()
}

/// The naive algorithm: count all pairs, merge the best of those that the limits admit, start again.
fn naive(pieces: &[(Vec<u8>, u64)], options: &Options<'_>) -> Vec<(Pair, u64)> {
    let Start::Bytes(byte_order) = options.start else { panic!("the naive algorithm starts from bytes") };
    let id = |byte: u8| byte_order.iter().position(|&other| other == byte).unwrap() as u32;
    let mut pieces: Vec<(Vec<u32>, u64)> =
        pieces.iter().map(|(bytes, count)| (bytes.iter().map(|&byte| id(byte)).collect(), *count)).collect();
    let mut lengths = vec![1; 256];
    let mut merges = Vec::new();
    while merges.len() < options.merges {
        let mut stats: HashMap<Pair, (u64, usize)> = HashMap::new();
        let mut at = 0;
        for (ids, count) in &pieces {
            for pair in ids.windows(2) {
                stats.entry((pair[0], pair[1])).or_insert((0, at)).0 += count;
                at += 1;
            }
        }
        let length = |(left, right): Pair| lengths[left as usize] + lengths[right as usize];
        stats.retain(|&pair, &mut (count, _)| count >= options.min_count && length(pair) <= options.max_length);
        let best = stats.into_iter().max_by_key(|&(pair, (count, first))| match options.tie_break {
            TieBreak::First => (count, !first, (0, 0)),
            TieBreak::Lowest => (count, 0, (!pair.0, !pair.1)),
        });
        let Some((pair, (count, _))) = best else { break };
        let token = 256 + merges.len() as u32;
        lengths.push(length(pair));
        merges.push((pair, count));
        for (ids, _) in &mut pieces {
            let mut at = 0;
            while at + 1 < ids.len() {
                if (ids[at], ids[at + 1]) == pair {
                    ids.splice(at..at + 2, [token]);
                }
                at += 1;
            }
        }
    }
    merges
}

/// Pseudo-random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn the_golden_cases_hold() {
    let cases = include_str!("../../tests/golden/merges.json");
    for case in serde_json::from_str::<Vec<Value>>(cases).unwrap() {
        let number = |value: &Value| value.as_u64().unwrap();
        let pieces: Vec<(Vec<u8>, u64)> = case["pieces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|piece| (piece[0].as_str().unwrap().into(), number(&piece[1])))
            .collect();
        for (key, tie_break, byte_order) in [
            ("first", TieBreak::First, IDENTITY),
            ("lowest", TieBreak::Lowest, IDENTITY),
            ("lowest_gpt2", TieBreak::Lowest, gpt2()),
        ] {
            let Some(expected) = case[key].as_array() else { continue };
            let expected: Vec<(Pair, u64)> = expected
                .iter()
                .map(|merge| ((number(&merge[0][0]) as u32, number(&merge[0][1]) as u32), number(&merge[1])))
                .collect();
            let options = Options::new(Start::Bytes(&byte_order), number(&case["merges"]) as usize, tie_break);
            assert_eq!(learn(&pieces, &options), expected, "{} ({key})", case["name"]);
            assert_eq!(naive(&pieces, &options), expected, "{} ({key}), naively", case["name"]);
        }
    }
}

/// Pieces of few letters, some so long that they span many words of bits.
fn random_pieces(random: &mut Random, round: usize) -> Vec<(Vec<u8>, u64)> {
    let letters = 1 + random.below(4);
    // Large counts raise the index's floor, so that the index is rebuilt on the way.
    let largest = [1, 3, 100, 1 << 40][round % 4];
    let mut seen = std::collections::HashSet::new();
    (0..1 + random.below(12))
        .map(|_| {
            let longest = match round {
                _ if round.is_multiple_of(151) => 2000,
                _ if round.is_multiple_of(7) => 200,
                _ => 12,
            };
            let length = 1 + random.below(longest);
            let bytes: Vec<u8> = (0..length).map(|_| b'a' + random.below(letters) as u8).collect();
            (bytes, 1 + random.below(largest))
        })
        .filter(|(bytes, _)| seen.insert(bytes.clone()))
        .collect()
}

#[test]
fn merges_equal_the_naive_ones_on_random_pieces() {
    let mut random = Random(88_172_645_463_325_252);
    let mut reversed = IDENTITY;
    reversed.reverse();
    for round in 0..3000 {
        let pieces = random_pieces(&mut random, round);
        for tie_break in [TieBreak::First, TieBreak::Lowest] {
            // Numbering this many tokens takes more than 16 bits, though no corpus here has that many pairs.
            let most = if round % 16 == 1 { 70_000 } else { 60 };
            let mut options = options(1 + random.below(most) as usize, tie_break);
            if round.is_multiple_of(2) {
                options.start = Start::Bytes(&reversed);
            }
            if round.is_multiple_of(3) {
                options.max_length = 1 + random.below(9) as usize;
            }
            if round.is_multiple_of(5) {
                options.min_count = random.below(60);
            }
            let learnt = learn(&pieces, &options);
            assert_eq!(learnt, naive(&pieces, &options), "round {round}: {pieces:?} {tie_break:?}");
        }
    }
}

/// Distinct pieces, about a megabyte: most short, a few long, with counts that are small, large, and past 32 bits.
fn many_pieces(random: &mut Random) -> Vec<(Vec<u8>, u64)> {
    let mut pieces = Vec::new();
    let mut bytes = 0;
    while bytes < 1 << 20 {
        let length = if random.below(500) == 0 { 100 + random.below(3000) } else { 1 + random.below(12) };
        let mut piece: Vec<u8> = (0..length).map(|_| b'a' + (random.below(5) * random.below(5)) as u8).collect();
        piece.extend((pieces.len() as u32).to_le_bytes());
        bytes += piece.len();
        pieces.push((piece, [1, 2, 40, 1 << 31, u64::from(u32::MAX), 1 << 33][random.below(6) as usize]));
    }
    pieces
}

#[test]
fn merges_do_not_depend_on_the_number_of_threads() {
    let pieces = many_pieces(&mut Random(7));
    let bytes: [u32; 256] = std::array::from_fn(|byte| byte as u32);
    let vocabulary = |merges| {
        let first = learn(&pieces, &options(merges, TieBreak::First));
        let pairs: Vec<Pair> = first.iter().map(|&(pair, _)| pair).collect();
        let ids: Vec<u32> = (256..256 + merges as u32).collect();
        Vocabulary::from_merges(&bytes, &pairs, &ids, vec![], None).unwrap()
    };
    // From these numbers of tokens, the first pairs are counted in a table, and in a map.
    let (few, many) = (vocabulary(300), vocabulary(1500));
    for tie_break in [TieBreak::First, TieBreak::Lowest] {
        for start in [Start::Bytes(&IDENTITY), Start::Vocabulary(&few), Start::Vocabulary(&many)] {
            let learnt =
                |threads| learn(&pieces, &Options { start, threads: NonZero::new(threads), ..options(400, tie_break) });
            let alone = learnt(1);
            assert_eq!(alone.len(), 400);
            for threads in [2, 3, 8] {
                assert_eq!(learnt(threads), alone, "{tie_break:?}, {threads} threads");
            }
        }
    }
}

#[test]
fn training_that_is_continued_equals_training_at_once() {
    let mut random = Random(1_234_567);
    let byte_ids: [u32; 256] = std::array::from_fn(|byte| 255 - byte as u32);
    let mut reversed = IDENTITY;
    reversed.reverse();
    for round in 0..1000 {
        let pieces = random_pieces(&mut random, round);
        let counts = PieceCounts::from_items(pieces.iter().map(|(bytes, count)| (&bytes[..], *count))).unwrap();
        for tie_break in [TieBreak::First, TieBreak::Lowest] {
            let start = Start::Bytes(&reversed);
            let all = train(&counts, &Options::new(start, 40, tie_break), &mut unwatched).unwrap();
            let some = &all[..random.below(all.len() as u64 + 1) as usize];
            let pairs: Vec<Pair> = some.iter().map(|merge| merge.pair).collect();
            let ids: Vec<u32> = (256..).take(pairs.len()).collect();
            let vocabulary = Vocabulary::from_merges(&byte_ids, &pairs, &ids, vec![], None).unwrap();
            let options = Options::new(Start::Vocabulary(&vocabulary), all.len() - some.len(), tie_break);
            let more = train(&counts, &options, &mut unwatched).unwrap();
            assert_eq!([some, &more].concat(), all, "round {round}: {pieces:?} {tie_break:?}");
        }
    }
}

#[test]
fn ids_of_a_vocabulary_may_have_any_order_and_new_ones_follow_the_highest() {
    let merges = [(97, 98), (99, 100)];
    let special = vec![("<|end|>".to_string(), 1000)];
    let vocabulary = Vocabulary::from_merges(&IDENTITY.map(u32::from), &merges, &[700, 300], special, None).unwrap();
    let pieces = [(b"abcd".to_vec(), 5), (b"cdab".to_vec(), 5), (b"abcdx".to_vec(), 1)];
    let options = Options::new(Start::Vocabulary(&vocabulary), 9, TieBreak::Lowest);
    assert_eq!(learn(&pieces, &options), [((700, 300), 6), ((300, 700), 5), ((1001, 120), 1)]);
}

#[test]
fn each_merge_tells_by_how_many_tokens_it_shortens_the_corpus() {
    let counts = PieceCounts::from_items([(&b"aaaab"[..], 3), (b"aa", 1)]).unwrap();
    let merges = train(&counts, &options(3, TieBreak::First), &mut unwatched).unwrap();
    let counts: Vec<(u64, u64)> = merges.iter().map(|merge| (merge.count, merge.merged)).collect();
    assert_eq!(counts, [(10, 7), (3, 3), (3, 3)]);
}

#[test]
fn counts_that_nobody_else_holds_are_gone_before_the_first_merge() {
    let counts = Arc::new(PieceCounts::from_items([("aaaab", 3), ("aa", 1)]).unwrap());
    let (seen, mut held) = (Arc::downgrade(&counts), Vec::new());
    let options = options(2, TieBreak::First);
    each_merge(Arc::clone(&counts), &options, &mut |_| held.push(seen.strong_count()), &mut unwatched).unwrap();
    each_merge(counts, &options, &mut |_| held.push(seen.strong_count()), &mut unwatched).unwrap();
    assert_eq!(held, [1, 1, 0, 0]);
}

#[test]
fn a_vocabulary_whose_merges_are_not_known_is_not_extended() {
    let mut ranks: Vec<(Vec<u8>, u32)> = (0..=255).map(|byte| (vec![byte], u32::from(byte))).collect();
    ranks.push((b"abc".to_vec(), 256));
    let vocabulary = Vocabulary::from_ranks(ranks, vec![], None).unwrap();
    let options = Options::new(Start::Vocabulary(&vocabulary), 1, TieBreak::First);
    assert!(matches!(train(&PieceCounts::default(), &options, &mut unwatched), Err(Error::Vocabulary(_))));
}

#[test]
fn more_merges_than_there_are_ids_are_an_error() {
    let special = vec![("<|end|>".to_string(), u32::MAX)];
    let vocabulary = Vocabulary::from_merges(&IDENTITY.map(u32::from), &[], &[], special, None).unwrap();
    let options = Options::new(Start::Vocabulary(&vocabulary), 1, TieBreak::First);
    assert!(matches!(train(&PieceCounts::default(), &options, &mut unwatched), Err(Error::Vocabulary(_))));
}

#[test]
fn a_piece_of_a_million_letters_is_halved_until_it_is_one_token() {
    let merges = learn(&[(vec![b'a'; 1 << 20], 1)], &options(100, TieBreak::First));
    assert_eq!(merges.len(), 20);
    assert_eq!(merges[0], ((97, 97), (1 << 20) - 1));
    assert_eq!(merges[19], ((274, 274), 1));
}

#[test]
fn the_first_places_of_pairs_in_a_long_piece_are_found_in_linear_time() {
    let mut random = Random(1);
    let piece: Vec<u8> = (0..1 << 20).map(|_| b'a' + random.below(26) as u8).collect();
    assert_eq!(learn(&[(piece, 1)], &options(5000, TieBreak::First)).len(), 5000);
}

#[test]
fn a_pair_that_occurs_too_often_to_count_is_an_error() {
    let counts = PieceCounts::from_items([(&b"aaaa"[..], 1 << 62)]).unwrap();
    let error = train(&counts, &options(1, TieBreak::First), &mut unwatched).unwrap_err();
    assert!(matches!(error, Error::Corpus(message) if message.contains("2^63")));
}

#[test]
fn a_byte_order_that_repeats_a_byte_is_an_error() {
    let mut byte_order = IDENTITY;
    byte_order[7] = 8;
    let options = Options::new(Start::Bytes(&byte_order), 1, TieBreak::Lowest);
    let error = train(&PieceCounts::default(), &options, &mut unwatched).unwrap_err();
    assert_eq!(error, Error::Vocabulary("the byte order names byte 8 twice: it must hold each byte once".into()));
}

#[test]
fn progress_that_breaks_stops_the_training() {
    let counts = PieceCounts::from_items([(&[b'a'; 1 << 20][..], 1)]).unwrap();
    let mut stop = |_, total| {
        assert_eq!(total, 9);
        ControlFlow::Break(())
    };
    assert_eq!(train(&counts, &options(9, TieBreak::First), &mut stop), Err(Error::Interrupted));
}

#[test]
fn training_ends_before_the_tokens_hold_more_bytes_than_a_vocabulary_takes() {
    // No pair here stays frequent for long; after that, the beginning of the text is merged with what follows it, again and again.
    let mut state = 1u64;
    let text: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(130_000)
    .collect();
    let counts = PieceCounts::from_items([(&text[..], 1)]).unwrap();
    let mut merges = Vec::new();
    let mut each = |merge: Merge| merges.push(merge.pair);
    assert_eq!(each_merge(&counts, &options(115_000, TieBreak::First), &mut each, &mut unwatched), Ok(End::Full));
    assert!((40_000..115_000).contains(&merges.len()));
    let mut lengths = vec![1; 256];
    for &(left, right) in &merges {
        lengths.push(lengths[left as usize] + lengths[right as usize]);
    }
    let bytes: usize = lengths.iter().sum();
    // There was room for none of the length of the last, and the next one is no shorter.
    assert!(bytes <= 1 << 30 && bytes + lengths[lengths.len() - 1] > 1 << 30, "{bytes}");
    let shorter = Options { max_length: 16, ..options(115_000, TieBreak::First) };
    assert_eq!(each_merge(&counts, &shorter, &mut |_| (), &mut unwatched), Ok(End::Done));
}
