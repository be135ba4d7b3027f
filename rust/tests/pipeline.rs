//! Encoding through the cache, with either set of instructions and on several threads, against merging piece by piece.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;

use minbpe_core::count::PieceCounts;
use minbpe_core::encode::Sink;
use minbpe_core::error::{Error, Result};
use minbpe_core::parallel::Row;
use minbpe_core::progress::unwatched;
use minbpe_core::special::Matcher;
use minbpe_core::train::{Options, Start, TieBreak, train};
use minbpe_core::vocab::Vocabulary;

mod instructions;

use instructions::Forced;

/// Enough text for a cache to be used, and for longer pieces to overwrite each other in it.
const BYTES: usize = 1 << 20;

/// Pseudo-random numbers, the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % end
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A word of one script; some words are so rare that they are always new, some longer than a lane or a cached piece can be.
    fn word(&mut self) -> String {
        let scripts = [
            "etaoin",
            "etaoinshrdluqz",
            "的一是不了人我在有他这中大来上",
            "абвгдежзийклмноп",
            "日本語のテキストを",
            "é☕👍🏽a中",
            "ab",
        ];
        let letters: Vec<char> = self.pick(&scripts).chars().collect();
        let longest = self.pick(&[3, 6, 6, 12, 12, 40, 700]);
        let length = 1 + self.below(longest);
        (0..length).map(|_| self.pick(&letters)).collect()
    }

    fn text(&mut self, bytes: usize) -> String {
        let common: Vec<String> = (0..200).map(|_| self.word()).collect();
        let mut text = String::new();
        while text.len() < bytes {
            match self.below(8) {
                0 => text.push_str(&self.word()),
                _ => {
                    let index = self.below(common.len());
                    text.push_str(&common[index]);
                }
            }
            text.push_str(self.pick(&[" ", " ", " ", "\n", "  ", "。", ""]));
        }
        text
    }
}

const PATTERN: &str = r" ?[^\s]+|\s+";

/// A vocabulary trained on text by `chance`, with ids that differ from its indices.
fn trained(chance: &mut Chance, merges: usize) -> Vocabulary {
    let text = chance.text(30_000);
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for piece in text.split_inclusive(' ') {
        *counts.entry(piece.as_bytes()).or_default() += 1;
    }
    let counts = PieceCounts::from_items(counts).unwrap();
    let identity = std::array::from_fn(|id| id as u8);
    let options = Options::new(Start::Bytes(&identity), merges, TieBreak::Lowest);
    let pairs: Vec<(u32, u32)> =
        train(&counts, &options, &mut unwatched).unwrap().iter().map(|merge| merge.pair).collect();
    let id = |index: u32| if index < 256 { index } else { index + 1000 };
    let ids: Vec<u32> = (256..).take(pairs.len()).map(id).collect();
    let merges: Vec<(u32, u32)> = pairs.iter().map(|&(left, right)| (id(left), id(right))).collect();
    Vocabulary::from_merges(&std::array::from_fn(|b| b as u32), &merges, &ids, vec![], Some(PATTERN.into())).unwrap()
}

/// A vocabulary of words cut out of such text anywhere, even inside characters: no merges produce most of them.
fn by_rank(chance: &mut Chance) -> Vocabulary {
    let text = chance.text(30_000);
    let mut ranks: HashMap<Vec<u8>, u32> = (0..=255u8).map(|byte| (vec![byte], u32::from(byte))).collect();
    for rank in 256..1000 {
        let (start, length) = (chance.below(text.len() - 20), 2 + chance.below(18));
        ranks.entry(text.as_bytes()[start..start + length].to_vec()).or_insert(rank);
    }
    Vocabulary::from_ranks(ranks.into_iter().collect(), vec![], Some(PATTERN.into())).unwrap()
}

/// The ids of `bytes`, each piece merged by itself.
fn piece_by_piece(vocabulary: &Vocabulary, bytes: &[u8]) -> Vec<u32> {
    let mut ids = Vec::new();
    for piece in vocabulary.splitter().pieces(bytes).unwrap() {
        vocabulary.encode_piece(piece, &mut ids, &mut unwatched).unwrap();
    }
    ids
}

fn check(vocabulary: &Vocabulary, chance: &mut Chance) {
    let text = chance.text(BYTES);
    let expected = piece_by_piece(vocabulary, text.as_bytes());
    for baseline in [false, true, false] {
        let _forced = Forced::baseline(baseline);
        let mut ids = Vec::new();
        vocabulary.encode_ordinary(&text, &mut ids).unwrap();
        assert!(ids == expected, "baseline: {baseline}");
    }
    for bytes in [0, 300_000, 1 << 20] {
        let mut ids = Vec::new();
        vocabulary.with_cache_size(bytes).encode_ordinary(&text, &mut ids).unwrap();
        assert!(ids == expected, "a cache of {bytes} bytes");
    }
    // The last of these passes use a cache that has grown.
    let growing = vocabulary.with_cache_size(8 << 20);
    for pass in 0..4 {
        let mut ids = Vec::new();
        growing.encode_ordinary(&text, &mut ids).unwrap();
        assert!(ids == expected, "pass {pass}");
    }
    let mut bytes = text.into_bytes();
    for _ in 0..bytes.len() / 300 {
        let at = chance.below(bytes.len());
        bytes[at] = chance.below(256) as u8;
    }
    let expected = piece_by_piece(vocabulary, &bytes);
    for _ in 0..2 {
        let mut ids = Vec::new();
        vocabulary.encode_bytes(&bytes, &mut ids, &mut unwatched).unwrap();
        assert!(ids == expected, "bytes that are not UTF-8");
    }
}

#[test]
fn trained_vocabularies_encode_through_the_cache_as_piece_by_piece() {
    for seed in 0..4 {
        let mut chance = Chance(seed);
        let merges = chance.pick(&[0, 20, 300, 3000]);
        check(&trained(&mut chance, merges), &mut chance);
    }
}

#[test]
fn vocabularies_of_ranks_without_merges_encode_through_the_cache_as_piece_by_piece() {
    for seed in 0..2 {
        let mut chance = Chance(seed);
        let vocabulary = by_rank(&mut chance);
        assert!(vocabulary.tokens().by_rank());
        check(&vocabulary, &mut chance);
    }
}

/// A sink that wants nothing after the first special token.
#[derive(Default)]
struct UntilSpecial {
    ids: usize,
    ended: bool,
}

impl Sink for UntilSpecial {
    fn ids(&mut self, ids: &[u32]) -> Result<()> {
        assert!(!self.ended, "called after it wanted no more");
        self.ids += ids.len();
        Ok(())
    }

    fn special(&mut self, _: u32, _: usize) -> Result<()> {
        assert!(!self.ended, "called after it wanted no more");
        self.ended = true;
        Err(Error::Interrupted)
    }
}

#[test]
fn a_sink_that_wants_no_more_at_a_special_token_is_not_called_again() {
    let mut chance = Chance(3);
    let vocabulary = trained(&mut chance, 300);
    let special = Matcher::new(&[("<|x|>".to_string(), 5000)]).unwrap();
    let before = chance.text(1000);
    let text = format!("{before}<|x|>{}", "more <|x|>".repeat(100_000));
    for _ in 0..2 {
        let mut sink = UntilSpecial::default();
        assert_eq!(vocabulary.encode(&text, Some(&special), &mut sink, &mut unwatched), Err(Error::Interrupted));
        assert!(sink.ended && sink.ids == piece_by_piece(&vocabulary, before.as_bytes()).len());
    }
}

#[test]
fn a_batch_has_room_for_pieces_that_all_have_the_most_ids() {
    let bytes = std::array::from_fn(|byte| byte as u32);
    let vocabulary = Vocabulary::from_merges(&bytes, &[], &[], vec![], Some(r"[a-z]{4}|\p{Han}+".into())).unwrap();
    for letters in [1, 15, 31, 97, 500] {
        let text =
            format!("{}{}", "abcd".repeat(letters), "\u{4e2d}".repeat(3 * letters)).repeat(400_000 / letters / 13);
        for _ in 0..2 {
            let mut ids = Vec::new();
            vocabulary.encode_ordinary(&text, &mut ids).unwrap();
            assert!(ids.iter().copied().eq(text.bytes().map(u32::from)), "{letters} letters");
        }
    }
}

#[test]
fn rows_have_the_same_ids_on_any_number_of_threads() {
    let mut chance = Chance(7);
    let vocabulary = trained(&mut chance, 500);
    let special = Matcher::new(&[("<|x|>".to_string(), 5000)]).unwrap();
    let long = chance.text(5 << 20).replace("中大", "<|x|>");
    let short: Vec<String> = (0..300).map(|_| chance.text(10)).collect();
    // Only special tokens, more than a batch holds; and one piece that is cut into more parts than that.
    let specials = "<|x|>".repeat(10_000);
    let chinese: String = (0..100_000).map(|_| chance.pick(&['的', '一', '是', '不', '了', '大'])).collect();
    let invalid = [b"abc\xff".repeat(1 << 20), b"\xe4\xb8".to_vec()];
    let mut rows: Vec<Row<'_>> = short.iter().map(|text| Row::Bytes(text.as_bytes())).collect();
    rows.splice(7..7, [&long, &specials, &chinese].map(|text| Row::Text(text)));
    rows.extend(invalid.iter().map(|bytes| Row::Bytes(bytes)));
    rows.extend([Row::Text(""), Row::Text(&long[..long.find("<|x|>").unwrap() + 5])]);
    for special in [None, Some(&special)] {
        let mut expected = (Vec::new(), vec![0]);
        for row in &rows {
            match *row {
                Row::Text(text) if special.is_some() => {
                    for (turn, stretch) in text.split("<|x|>").enumerate() {
                        expected.0.extend((turn > 0).then_some(5000));
                        expected.0.extend(piece_by_piece(&vocabulary, stretch.as_bytes()));
                    }
                }
                Row::Text(text) => expected.0.extend(piece_by_piece(&vocabulary, text.as_bytes())),
                Row::Bytes(bytes) => expected.0.extend(piece_by_piece(&vocabulary, bytes)),
            }
            expected.1.push(expected.0.len() as u64);
        }
        for threads in [1, 2, 3, 16] {
            assert!(
                vocabulary.encode_rows(&rows, [None; 2], special, threads, &mut unwatched).unwrap() == expected,
                "{threads} threads"
            );
        }
    }
    assert_eq!(vocabulary.encode_rows(&[], [None; 2], None, 2, &mut unwatched).unwrap(), (vec![], vec![0]));
}
