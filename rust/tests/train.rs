//! Merges are those of the naive algorithm, on cases worked out beforehand and on corpora made at random.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::ops::ControlFlow;

use minbpe_core::count::PieceCounts;
use minbpe_core::error::Error;
use minbpe_core::progress::unwatched;
use minbpe_core::train::{Options, Pair, TieBreak, train};
use serde_json::Value;

fn identity() -> [u8; 256] {
    std::array::from_fn(|id| id as u8)
}

/// The bytes that Latin-1 prints, then the others.
fn gpt2() -> [u8; 256] {
    let printed = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut order = identity();
    order.sort_by_key(|byte| (!printed(byte), *byte));
    order
}

fn options(merges: usize, tie_break: TieBreak) -> Options {
    Options { merges, tie_break, byte_order: identity() }
}

fn learn(pieces: &[(Vec<u8>, u64)], options: &Options) -> Vec<(Pair, u64)> {
    let counts = PieceCounts::from_items(pieces.iter().map(|(bytes, count)| (&bytes[..], *count))).unwrap();
    let merges = train(&counts, options, &mut unwatched).unwrap();
    merges.iter().map(|merge| (merge.pair, merge.count)).collect()
}

/// The naive algorithm: count all pairs, merge the best, start again.
fn naive(pieces: &[(Vec<u8>, u64)], options: &Options) -> Vec<(Pair, u64)> {
    let id = |byte: u8| options.byte_order.iter().position(|&other| other == byte).unwrap() as u32;
    let mut pieces: Vec<(Vec<u32>, u64)> =
        pieces.iter().map(|(bytes, count)| (bytes.iter().map(|&byte| id(byte)).collect(), *count)).collect();
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
        let best = stats.into_iter().max_by_key(|&(pair, (count, first))| match options.tie_break {
            TieBreak::First => (count, !first, (0, 0)),
            TieBreak::Lowest => (count, 0, (!pair.0, !pair.1)),
        });
        let Some((pair, (count, _))) = best else { break };
        let token = 256 + merges.len() as u32;
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

/// Numbers that look random, the same in each run.
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
            ("first", TieBreak::First, identity()),
            ("lowest", TieBreak::Lowest, identity()),
            ("lowest_gpt2", TieBreak::Lowest, gpt2()),
        ] {
            let Some(expected) = case[key].as_array() else { continue };
            let expected: Vec<(Pair, u64)> = expected
                .iter()
                .map(|merge| ((number(&merge[0][0]) as u32, number(&merge[0][1]) as u32), number(&merge[1])))
                .collect();
            let options = Options { merges: number(&case["merges"]) as usize, tie_break, byte_order };
            assert_eq!(learn(&pieces, &options), expected, "{} ({key})", case["name"]);
            assert_eq!(naive(&pieces, &options), expected, "{} ({key}), naively", case["name"]);
        }
    }
}

#[test]
fn merges_equal_the_naive_ones_on_random_pieces() {
    let mut random = Random(88_172_645_463_325_252);
    for round in 0..3000 {
        let letters = 1 + random.below(4);
        // Large counts put the index's floor high, so that it is made anew on the way.
        let largest = [1, 3, 100, 1 << 40][round % 4];
        let mut seen = std::collections::HashSet::new();
        let pieces: Vec<(Vec<u8>, u64)> = (0..1 + random.below(12))
            .map(|_| {
                let length = 1 + random.below(if round % 7 == 0 { 200 } else { 12 });
                let bytes: Vec<u8> = (0..length).map(|_| b'a' + random.below(letters) as u8).collect();
                (bytes, 1 + random.below(largest))
            })
            .filter(|(bytes, _)| seen.insert(bytes.clone()))
            .collect();
        for tie_break in [TieBreak::First, TieBreak::Lowest] {
            let mut options = options(1 + random.below(60) as usize, tie_break);
            if round % 2 == 0 {
                options.byte_order.reverse();
            }
            assert_eq!(learn(&pieces, &options), naive(&pieces, &options), "{pieces:?} {options:?}");
        }
    }
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
    let mut options = options(1, TieBreak::Lowest);
    options.byte_order[7] = 8;
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
