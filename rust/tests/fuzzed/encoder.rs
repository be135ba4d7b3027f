//! Any vocabulary on any bytes: the ids equal those of merging by definition, and decode to the bytes.

use std::collections::HashMap;

use minbpe_core::progress::unwatched;
use minbpe_core::vocab::Vocabulary;

use crate::texts;

/// The bytes that merges start from: those of "a", "s", "B", " ", "1", "中" and "é", and one that is never text.
const LETTERS: &[u8] = b"asB 1\xe4\xb8\xad\xc3\xa9\xff";
const PATTERNS: [Option<&str>; 4] = [None, None, Some(r" ?\S+|\s+"), Some(r"[a-z]+| ?[^\sa-z]+|\s")];
/// A vocabulary has fewer tokens than this besides the bytes.
const MOST_TOKENS: u8 = 48;
/// Merging by ranks by definition takes quadratic time, so its texts are no longer than this: as one piece, and in pieces, one of which may
/// be nearly all of it.
const LONGEST_BY_RANKS: [usize; 2] = [200, 2000];
/// A form with these bits makes the text this long, so that a cache is used. That is a hundred times as slow, so it is rare.
const CACHED: u8 = 0x78;
const LONG: usize = 300_000;
/// A text of up to so many bytes goes a way of its own where there is a cache: a small one, made once some text has been encoded without.
const SHORT: usize = 64;
const SMALL: usize = 300_000;
const UNCACHED: usize = 1 << 13;

/// Gives the ids of a piece, by definition.
type Merging = Box<dyn Fn(&[u8]) -> Vec<u32>>;

/// Encodes as `data` says: first what kind of vocabulary and its tokens, then how the text is written, then the text.
pub fn check(data: &[u8]) {
    let [kind, count, data @ ..] = data else { return };
    let Some((picks, [form, data @ ..])) = data.split_at_checked(2 * (count % MOST_TOKENS) as usize) else { return };
    let by_ranks = kind & 1 != 0;
    let pattern = PATTERNS[*kind as usize >> 1 & 3];
    let ids = Ids { reversed: kind & 8 != 0, scattered: kind & 16 != 0 };
    let (vocabulary, merging) =
        if by_ranks { ranked(tokens(picks), kind & 32 != 0, pattern) } else { merged(picks, ids, pattern) };
    let mut text = texts::read(*form, data);
    if by_ranks {
        text.truncate(LONGEST_BY_RANKS[usize::from(pattern.is_some())]);
    }
    if kind >> 6 == 3 && form & CACHED == CACHED && !text.is_empty() && pattern.is_some() {
        text = [&text[..], b" "].concat();
        text = text.repeat(LONG / text.len() + 1);
    }
    if kind >> 6 == 2 && text.len() <= SHORT {
        let cached = vocabulary.with_cache_size(SMALL);
        cached.encode_ordinary(&"a ".repeat(UNCACHED), &mut Vec::new()).expect("the patterns have no limit");
        compare(&cached, &merging, &text);
        // What is not there at first is cached the second time.
        compare(&cached, &merging, &text);
    } else {
        compare(&vocabulary, &merging, &text);
    }
}

fn compare(vocabulary: &Vocabulary, merging: &Merging, bytes: &[u8]) {
    let shown = || format!("{:?} on b\"{:.2000}\"", vocabulary.merges(), bytes.escape_ascii().to_string());
    let mut known: HashMap<&[u8], Vec<u32>> = HashMap::new();
    let mut expected = Vec::new();
    for piece in vocabulary.splitter().pieces(bytes).expect("the patterns have no limit") {
        expected.extend_from_slice(known.entry(piece).or_insert_with(|| merging(piece)));
    }
    let (mut ids, mut back) = (Vec::new(), Vec::new());
    if let Ok(text) = std::str::from_utf8(bytes) {
        vocabulary.encode_ordinary(text, &mut ids).expect("the patterns have no limit");
        assert!(ids == expected, "as text {ids:.200?} and not {expected:.200?}: {}", shown());
        ids.clear();
    }
    vocabulary.encode_bytes(bytes, &mut ids, &mut unwatched).expect("the patterns have no limit");
    assert!(ids == expected, "{ids:.200?} and not {expected:.200?}: {}", shown());
    vocabulary.decode(&ids, &mut back).expect("the ids are the vocabulary's");
    assert!(back == bytes, "decodes to something else: {}", shown());
}

/// How ids follow from ranks.
#[derive(Clone, Copy)]
struct Ids {
    reversed: bool,
    scattered: bool,
}

impl Ids {
    fn of_byte(self, byte: u8) -> u32 {
        u32::from(if self.reversed { 255 - byte } else { byte })
    }

    fn of_rank(self, rank: usize) -> u32 {
        if self.scattered { 70_000 + 3 * rank as u32 } else { 256 + rank as u32 }
    }
}

/// Tokens, each joining two letters or earlier tokens, none twice; and with each token, which two.
fn tokens(picks: &[u8]) -> Vec<(Vec<u8>, [usize; 2])> {
    let mut all: Vec<(Vec<u8>, [usize; 2])> = LETTERS.iter().map(|&letter| (vec![letter], [0, 0])).collect();
    for pick in picks.as_chunks::<2>().0 {
        let two = pick.map(|number| number as usize % all.len());
        let bytes = two.map(|number| &all[number].0[..]).concat();
        if bytes.len() <= 64 && all.iter().all(|(other, _)| *other != bytes) {
            all.push((bytes, two));
        }
    }
    all.split_off(LETTERS.len())
}

/// A vocabulary of merges. By definition: join all pairs of the first merge, left to right, then those of the second, and so on.
fn merged(picks: &[u8], ids: Ids, pattern: Option<&str>) -> (Vocabulary, Merging) {
    let id = |number: usize| match LETTERS.get(number) {
        Some(&letter) => ids.of_byte(letter),
        None => ids.of_rank(number - LETTERS.len()),
    };
    let merges: Vec<(u32, u32)> = tokens(picks).iter().map(|&(_, [left, right])| (id(left), id(right))).collect();
    let new: Vec<u32> = (0..merges.len()).map(|rank| ids.of_rank(rank)).collect();
    let bytes = std::array::from_fn(|byte| ids.of_byte(byte as u8));
    let vocabulary = Vocabulary::from_merges(&bytes, &merges, &new, vec![], pattern.map(String::from));
    let merging = move |piece: &[u8]| {
        let mut piece: Vec<u32> = piece.iter().map(|&byte| ids.of_byte(byte)).collect();
        for (&(left, right), &id) in merges.iter().zip(&new) {
            let mut at = 0;
            while at + 1 < piece.len() {
                if (piece[at], piece[at + 1]) == (left, right) {
                    piece.splice(at..at + 2, [id]);
                }
                at += 1;
            }
        }
        piece
    };
    (vocabulary.expect("each merge joins two tokens that are there"), Box::new(merging))
}

/// A vocabulary of ranks, in the order of `tokens` or backwards, so that merging cannot make many of them. By tiktoken's definition: a piece
/// that is a token is that token; otherwise join the first two parts that together have the lowest rank, as long as there are any.
fn ranked(mut tokens: Vec<(Vec<u8>, [usize; 2])>, backwards: bool, pattern: Option<&str>) -> (Vocabulary, Merging) {
    if backwards {
        tokens.reverse();
    }
    let bytes = (0..=255u8).map(|byte| vec![byte]);
    let ranks: HashMap<Vec<u8>, u32> = bytes.chain(tokens.into_iter().map(|(token, _)| token)).zip(0..).collect();
    let vocabulary = Vocabulary::from_ranks(ranks.clone().into_iter().collect(), vec![], pattern.map(String::from));
    let merging = move |piece: &[u8]| {
        let mut ends: Vec<usize> = (0..=piece.len()).collect();
        if ranks.contains_key(piece) {
            ends = vec![0, piece.len()];
        }
        let rank = |two: &[usize]| ranks.get(&piece[two[0]..two[2]]);
        while let Some((_, place)) =
            ends.windows(3).enumerate().filter_map(|(place, two)| rank(two).map(|rank| (rank, place))).min()
        {
            ends.remove(place + 1);
        }
        ends.windows(2).map(|token| ranks[&piece[token[0]..token[1]]]).collect()
    };
    (vocabulary.expect("all bytes are there"), Box::new(merging))
}
