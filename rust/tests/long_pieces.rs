//! Long pieces, which are merged in blocks, against the obvious way: do all of the first merge, then all of the second, and so on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashMap;

use minbpe_core::progress::unwatched;
use minbpe_core::vocab::Vocabulary;
use proptest::prelude::*;

mod instructions;

use instructions::Forced;

/// Random letters, and stretches that repeat a few letters.
fn text(seed: u64, letters: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut text = Vec::new();
    while text.len() < length {
        let part: Vec<u8> = (0..random(400) + 1).map(|_| (97 + random(letters)) as u8).collect();
        if random(2) == 0 {
            text.extend(part);
        } else {
            let (period, bytes) = (part.len().min(1 + random(70) as usize), random(3000) as usize);
            text.extend(part[..period].iter().cycle().take(bytes));
        }
    }
    text.truncate(length);
    text
}

fn join(tokens: &[u32], pair: (u32, u32), merged: u32) -> Vec<u32> {
    let mut joined = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let [left, others @ ..] = rest {
        match others {
            [right, others @ ..] if (*left, *right) == pair => {
                joined.push(merged);
                rest = others;
            }
            _ => {
                joined.push(*left);
                rest = others;
            }
        }
    }
    joined
}

/// A merge only creates pairs of later merges, so the pair of lowest rank is always that of the next merge.
fn rank_by_rank(merges: &[(u32, u32)], text: &[u8]) -> Vec<u32> {
    let bytes = text.iter().map(|&byte| u32::from(byte)).collect();
    (256..).zip(merges).fold(bytes, |tokens: Vec<u32>, (merged, &pair)| join(&tokens, pair, merged))
}

fn train(text: &[u8], count: usize) -> Vec<(u32, u32)> {
    let mut tokens: Vec<u32> = text.iter().map(|&byte| u32::from(byte)).collect();
    let mut merges = Vec::new();
    for merged in (256..).take(count) {
        let mut counts: HashMap<(u32, u32), usize> = HashMap::new();
        tokens.windows(2).for_each(|pair| *counts.entry((pair[0], pair[1])).or_default() += 1);
        let Some((&pair, _)) = counts.iter().max_by_key(|&(pair, count)| (count, *pair)) else { break };
        tokens = join(&tokens, pair, merged);
        merges.push(pair);
    }
    merges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn long_pieces_equal_merging_rank_by_rank(
        seeds in any::<[u64; 2]>(),
        letters in 1..27u64,
        count in 0..250usize,
        length in prop_oneof![4 => 60..3000usize, 1 => 65_000..70_000usize],
        stride in (0..128u32).prop_map(|half| 2 * half + 1),
    ) {
        let merges = train(&text(seeds[0], letters, 2000), count);
        let text = text(seeds[1], letters, length);
        let right = rank_by_rank(&merges, &text);

        // Byte ids are permuted, and the ids of merges start anywhere.
        let byte_ids: [u32; 256] = std::array::from_fn(|byte| byte as u32 * stride % 256);
        let id = |index: u32| if index < 256 { byte_ids[index as usize] } else { index + stride };
        let merges: Vec<(u32, u32)> = merges.iter().map(|&(left, right)| (id(left), id(right))).collect();
        let ids: Vec<u32> = (256..).take(merges.len()).map(id).collect();
        let vocabulary = Vocabulary::from_merges(&byte_ids, &merges, &ids, vec![], None).unwrap();
        let tokens = vocabulary.tokens();
        let ranks = (0..tokens.count() as u32).map(|index| (tokens.bytes(index).to_vec(), id(index))).collect();
        let recovered = Vocabulary::from_ranks(ranks, vec![], None).unwrap();

        let right: Vec<u32> = right.into_iter().map(id).collect();
        for vocabulary in [vocabulary, recovered] {
            for baseline in [true, false] {
                let _forced = Forced::baseline(baseline);
                let mut found = Vec::new();
                vocabulary.encode_piece(&text, &mut found, &mut unwatched).unwrap();
                prop_assert_eq!(&found, &right);
            }
        }
    }
}
