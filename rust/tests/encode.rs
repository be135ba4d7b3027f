//! Encoding against an obviously right version: join the leftmost pair of lowest rank until no pair is left.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;
use std::path::PathBuf;

use minbpe_core::count::Document;
use minbpe_core::encode::Sink;
use minbpe_core::error::{Error, Result};
use minbpe_core::parallel::Row;
use minbpe_core::progress::unwatched;
use minbpe_core::special::Matcher;
use minbpe_core::threads::in_parallel;
use minbpe_core::vocab::Vocabulary;
use proptest::prelude::*;

/// Merges over the letters a, b, c, each joining two earlier tokens, with no two tokens equal: encoding never reaches many of them.
fn merges() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..24).prop_map(|picks| {
        let mut tokens: Vec<(u32, Vec<u8>)> = (97..100u8).map(|byte| (u32::from(byte), vec![byte])).collect();
        let mut merges = Vec::new();
        for (left, right) in picks {
            let (left, right) = (left.get(&tokens), right.get(&tokens));
            let bytes = [&left.1[..], &right.1].concat();
            if bytes.len() <= 40 && tokens.iter().all(|(_, other)| *other != bytes) {
                merges.push((left.0, right.0));
                tokens.push((255 + merges.len() as u32, bytes));
            }
        }
        merges
    })
}

/// Merges as training makes them: encoding a token's bytes gives that token.
fn trained_merges() -> impl Strategy<Value = Vec<(u32, u32)>> {
    ("[abc]{2,200}", 1..40usize).prop_map(|(text, count)| {
        let mut ids: Vec<u32> = text.bytes().map(u32::from).collect();
        let mut merges = Vec::new();
        for id in (256..).take(count) {
            let mut counts: HashMap<(u32, u32), usize> = HashMap::new();
            ids.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_default() += 1);
            let Some((&pair, _)) = counts.iter().max_by_key(|&(pair, count)| (count, *pair)) else { break };
            ids = join(&ids, pair, id);
            merges.push(pair);
        }
        merges
    })
}

fn join(ids: &[u32], pair: (u32, u32), id: u32) -> Vec<u32> {
    let mut joined = Vec::new();
    let mut i = 0;
    while i < ids.len() {
        if i + 1 < ids.len() && (ids[i], ids[i + 1]) == pair {
            joined.push(id);
            i += 2;
        } else {
            joined.push(ids[i]);
            i += 1;
        }
    }
    joined
}

fn naive(merges: &[(u32, u32)], text: &[u8]) -> Vec<u32> {
    let rank = |pair: &[u32]| merges.iter().position(|&(left, right)| [left, right] == *pair);
    let mut ids: Vec<u32> = text.iter().map(|&byte| u32::from(byte)).collect();
    while let Some((rank, place)) =
        ids.windows(2).enumerate().filter_map(|(place, pair)| rank(pair).map(|rank| (rank, place))).min()
    {
        ids.splice(place..place + 2, [256 + rank as u32]);
    }
    ids
}

/// tiktoken's rule: first look up the whole piece; then join the leftmost two parts that together are the token of lowest rank.
fn naive_by_rank(ranks: &HashMap<Vec<u8>, u32>, text: &[u8]) -> Vec<u32> {
    if let Some(&rank) = ranks.get(text) {
        return vec![rank];
    }
    let mut parts: Vec<Vec<u8>> = text.iter().map(|&byte| vec![byte]).collect();
    while let Some((_, place)) = parts
        .windows(2)
        .enumerate()
        .filter_map(|(place, two)| ranks.get(&two.concat()).map(|&rank| (rank, place)))
        .min()
    {
        let joined = parts[place..place + 2].concat();
        parts.splice(place..place + 2, [joined]);
    }
    parts.iter().map(|part| ranks[part]).collect()
}

fn vocabulary(merges: &[(u32, u32)]) -> Vocabulary {
    let ids: Vec<u32> = (256..).take(merges.len()).collect();
    Vocabulary::from_merges(&std::array::from_fn(|b| b as u32), merges, &ids, vec![], None).unwrap()
}

fn encode(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
    let mut ids = Vec::new();
    vocabulary.encode_ordinary(text, &mut ids).unwrap();
    ids
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn merging_equals_the_naive_rule(merges in merges(), text in "[abc]{0,40}") {
        prop_assert_eq!(encode(&vocabulary(&merges), &text), naive(&merges, text.as_bytes()));
    }

    #[test]
    fn long_pieces_in_blocks_equal_the_naive_rule(merges in prop_oneof![merges(), trained_merges()], text in "([abc]{0,300}|(ab){0,90}|a{0,300}){1,3}") {
        prop_assert_eq!(encode(&vocabulary(&merges), &text), naive(&merges, text.as_bytes()));
    }

    #[test]
    fn ranks_encode_as_tiktoken_does_whether_merges_are_recovered_or_not(
        tokens in prop::collection::hash_set("[abc]{2,6}", 0..30),
        texts in prop::collection::vec("[abc]{0,90}", 1..8),
        shift in prop_oneof![Just(0u32), Just(1_000_000)],
    ) {
        let mut ranks: HashMap<Vec<u8>, u32> = (0..=255u8).map(|byte| (vec![byte], u32::from(byte))).collect();
        ranks.extend(tokens.into_iter().map(String::into_bytes).zip(256 + shift..));
        let vocabulary = Vocabulary::from_ranks(ranks.clone().into_iter().collect(), vec![], None).unwrap();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            prop_assert_eq!(encode(&vocabulary, text), naive_by_rank(&ranks, text.as_bytes()));
        }
    }

    #[test]
    fn ranks_of_trained_merges_give_the_same_vocabulary(merges in trained_merges()) {
        let trained = vocabulary(&merges);
        let ranks = (0..trained.tokens().count() as u32).map(|i| (trained.tokens().bytes(i).to_vec(), i)).collect();
        let recovered = Vocabulary::from_ranks(ranks, vec![], None).unwrap();
        prop_assert!(!recovered.tokens().by_rank() || merges.is_empty());
        prop_assert_eq!(recovered.canonical(), trained.canonical());
        prop_assert_eq!(recovered.merges(), merges);
    }

    #[test]
    fn a_truncated_vocabulary_encodes_as_one_trained_so_far(merges in trained_merges(), keep in 0..40usize, text in "[abc]{0,60}") {
        let keep = keep.min(merges.len());
        let truncated = vocabulary(&merges).truncate(256 + keep).unwrap();
        prop_assert_eq!(encode(&truncated, &text), naive(&merges[..keep], text.as_bytes()));
    }

    #[test]
    fn any_bytes_come_back(merges in trained_merges(), bytes in prop::collection::vec(prop_oneof![97..100u8, any::<u8>()], 0..200)) {
        let vocabulary = vocabulary(&merges);
        let (mut ids, mut back) = (Vec::new(), Vec::new());
        vocabulary.encode_bytes(&bytes, &mut ids, &mut unwatched).unwrap();
        vocabulary.decode(&ids, &mut back).unwrap();
        prop_assert_eq!(back, bytes);
    }

    #[test]
    fn counting_and_cutting_agree_with_the_ids(merges in trained_merges(), text in "[abcé☕]{0,80}", limit in 0..60usize) {
        let vocabulary = vocabulary(&merges);
        let ids = encode(&vocabulary, &text);
        let mut first = Vec::new();
        vocabulary.encode_up_to(&text, limit, |ids| first.extend_from_slice(ids), &mut unwatched).unwrap();
        prop_assert_eq!(&first, &ids[..ids.len().min(limit)]);
        let end = vocabulary.truncated(&text, limit, &mut unwatched).unwrap();
        let cut = &text[..end];
        prop_assert!(encode(&vocabulary, cut).len() <= limit);
        prop_assert!(end == text.len() || ids.len() > limit);
        let offsets = vocabulary.encode_with_offsets(&text, None, false, &mut unwatched).unwrap().1;
        prop_assert!(end == 0 || offsets.iter().any(|&(_, token_end)| token_end == end), "a cut is the end of a token");
        let characters = vocabulary.encode_with_offsets(&text, None, true, &mut unwatched).unwrap().1;
        for (&(start, end), &(first, last)) in offsets.iter().zip(&characters) {
            let begin = (0..=start).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            prop_assert_eq!(first, text[..begin].chars().count());
            let finish = (end..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap();
            prop_assert_eq!(last, text[..finish].chars().count());
        }
    }
}

#[test]
fn a_megabyte_of_one_letter_is_encoded_as_its_runs() {
    let doubling: Vec<(u32, u32)> = [97].into_iter().chain(256..).take(10).map(|id| (id, id)).collect();
    let vocabulary = vocabulary(&doubling);
    let ids = encode(&vocabulary, &"a".repeat(1 << 20));
    assert_eq!(ids, vec![265; 1 << 10]);
}

#[test]
fn long_text_through_the_cache_equals_its_pieces_one_by_one() {
    let merges = [(97, 98), (256, 99), (32, 256), (99, 99), (257, 259), (258, 260)];
    let ids: Vec<u32> = (1000..).take(merges.len()).collect();
    let merges = merges.map(|(a, b)| (if a > 255 { a + 744 } else { a }, if b > 255 { b + 744 } else { b }));
    let bytes: [u32; 256] = std::array::from_fn(|b| 255 - b as u32);
    let merges = merges.map(|(a, b)| (if a < 256 { 255 - a } else { a }, if b < 256 { 255 - b } else { b }));
    let vocabulary = Vocabulary::from_merges(&bytes, &merges, &ids, vec![], Some(r" ?\S+|\s+".into())).unwrap();
    // Pieces of 1 to 40 bytes, some frequent, some unique; enough text for a cache to be used, and for pieces to be evicted from it.
    let mut state = 1u64;
    let mut text = String::new();
    while text.len() < 1 << 20 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let length = 1 + (state >> 60) as usize + if state >> 40 & 15 == 0 { 24 } else { 0 };
        let letters = (0..length).map(|i| b"abcc\xc3"[(state >> (2 * (i % 24)) & 3) as usize] as char);
        text.extend(letters.chain([' ']));
    }
    let mut expected = Vec::new();
    for piece in vocabulary.splitter().pieces(text.as_bytes()).unwrap() {
        vocabulary.encode_piece(piece, &mut expected, &mut unwatched).unwrap();
    }
    for _ in 0..2 {
        assert_eq!(encode(&vocabulary, &text), expected);
    }
    for limit in [1, 2, 1000, expected.len() - 1, expected.len(), usize::MAX] {
        let mut first = Vec::new();
        vocabulary.encode_up_to(&text, limit, |ids| first.extend_from_slice(ids), &mut unwatched).unwrap();
        assert_eq!(first, expected[..expected.len().min(limit)]);
    }
}

#[test]
fn text_is_read_as_far_as_its_first_ids_go() {
    let bytes: [u32; 256] = std::array::from_fn(|byte| byte as u32);
    let pattern = r"x\.|(a|aa)+\1b|a+"; // on a long run of a it tries every way to divide it, and gives up
    let vocabulary = Vocabulary::from_merges(&bytes, &[], &[], vec![], Some(pattern.into())).unwrap();
    let text = ["x.".repeat(50_000), "a".repeat(5_000)].concat();
    assert!(matches!(vocabulary.encode_ordinary(&text, &mut Vec::new()), Err(Error::Pattern(_))));
    let mut first = Vec::new();
    vocabulary.encode_up_to(&text, 3, |ids| first.extend_from_slice(ids), &mut unwatched).unwrap();
    assert_eq!(first, *b"x.x".map(u32::from).as_slice());
}

#[test]
fn special_tokens_are_found_and_text_before_them_is_split_as_if_it_ended() {
    let special = vec![("<|x|>".to_string(), 256)];
    let vocabulary = Vocabulary::from_merges(
        &std::array::from_fn(|b| b as u32),
        &[(32, 32)],
        &[300],
        special.clone(),
        Some(r"\s+(?!\S)|\S+|\s+".into()),
    )
    .unwrap();
    let mut ids = Vec::new();
    vocabulary.encode("  <|x|>  a", Some(&Matcher::new(&special).unwrap()), &mut ids, &mut unwatched).unwrap();
    assert_eq!(ids, [300, 256, 32, 32, 97]);
    ids.clear();
    vocabulary.encode_ordinary("  <|x|>", &mut ids).unwrap();
    assert_eq!(ids, [32, 32, 60, 124, 120, 124, 62]);
}

#[test]
fn a_sink_that_wants_no_more_ends_the_work() {
    struct Once(usize);
    impl Sink for Once {
        fn ids(&mut self, _: &[u32]) -> Result<()> {
            self.0 += 1;
            Err(Error::Interrupted)
        }
    }
    let mut once = Once(0);
    let bytes: [u32; 256] = std::array::from_fn(|b| b as u32);
    let vocabulary = Vocabulary::from_merges(&bytes, &[], &[], vec![], Some("a".into())).unwrap();
    assert_eq!(vocabulary.encode_ordinary("aaa", &mut once), Err(Error::Interrupted));
    assert_eq!(once.0, 1);
}

#[test]
fn what_breaks_an_invariant_is_refused_with_its_place() {
    let bytes: [u32; 256] = std::array::from_fn(|b| b as u32);
    let message = |merges: &[(u32, u32)], ids: &[u32], special: &[(&str, u32)]| {
        let special = special.iter().map(|&(text, id)| (text.to_string(), id)).collect();
        Vocabulary::from_merges(&bytes, merges, ids, special, None).map(|_| ()).unwrap_err().to_string()
    };
    assert!(message(&[(97, 300)], &[256], &[]).contains("no token has the id 300"));
    assert!(message(&[(97, 257), (97, 98)], &[256, 257], &[]).contains("made by a later merge"));
    assert!(message(&[(97, 98), (97, 98)], &[256, 257], &[]).contains("as an earlier one does"));
    assert!(
        message(&[(97, 98), (256, 99), (98, 99), (97, 258)], &[256, 257, 258, 259], &[]).contains("same bytes, abc")
    );
    assert!(message(&[(97, 98)], &[97], &[]).contains("two tokens have the id 97"));
    assert!(message(&[(97, 98)], &[], &[]).contains("1 merges have 0 ids"));
    assert!(message(&[], &[], &[("", 300)]).contains("is empty"));
    assert!(message(&[], &[], &[("x", 97)]).contains("ordinary token b\"a\""));
    let doubling: Vec<(u32, u32)> = [97].into_iter().chain(256..).take(60).map(|id| (id, id)).collect();
    let ids: Vec<u32> = (256..).take(60).collect();
    assert!(message(&doubling, &ids, &[]).contains("bytes together"), "no terabytes are asked for");
    assert!(matches!(
        Vocabulary::from_ranks(vec![(b"a".to_vec(), 0)], vec![], None).map(|_| ()),
        Err(Error::Vocabulary(message)) if message.contains("byte 0x00 has no token")
    ));
}

#[test]
fn rows_keep_their_order_on_any_number_of_threads() {
    for threads in [1, 2, 7, 100] {
        assert_eq!(in_parallel(50, threads, |i| i * i), (0..50).map(|i| i * i).collect::<Vec<_>>());
    }
}

#[test]
fn the_ids_of_files_are_those_of_their_bytes_and_the_first_that_cannot_be_read_is_named() {
    let vocabulary = vocabulary(&[(97, 98), (256, 99)]);
    let directory = std::env::temp_dir().join(format!("minbpe-encode-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let contents: Vec<Vec<u8>> = (0..600).map(|number| b"abc \xff".repeat(number * number % 30_000)).collect();
    let files: Vec<PathBuf> = (0..600).map(|number| directory.join(number.to_string())).collect();
    files.iter().zip(&contents).for_each(|(file, bytes)| std::fs::write(file, bytes).unwrap());
    let documents: Vec<Document<'_>> = files.iter().map(|file| Document::File(file)).collect();
    let rows: Vec<Row<'_>> = contents.iter().map(|bytes| Row::Bytes(bytes)).collect();
    let expected = vocabulary.encode_rows(&rows, [None; 2], None, 1, &mut unwatched).unwrap();
    for threads in 1..4 {
        assert!(vocabulary.encode_files(&documents, threads, &mut unwatched).unwrap() == expected, "{threads} threads");
    }
    for file in [&files[70], &files[500]] {
        std::fs::remove_file(file).unwrap();
    }
    let error = vocabulary.encode_files(&documents, 2, &mut unwatched).unwrap_err();
    assert!(matches!(&error, Error::File(path, ..) if *path == files[70]), "{error}");
    std::fs::remove_dir_all(&directory).unwrap();
}
