//! Encoding a short text by itself: for the few pieces of a call, getting a batch ready takes longer than looking them up.

use crate::cache::{Cache, MOST_IDS, unpacked};
use crate::key::{Key, SHORT, Seeds};
use crate::lookup::UNCUT;
use crate::misses::find_or_merge;
use crate::processor::{Instructions, Work, widest};
use crate::seams::Cuts;
use crate::special::Matcher;
use crate::split::ROOM;
use crate::tokens::Tokens;
use crate::vocab::Vocabulary;

/// The longest text that is short.
const LONGEST: usize = 64;

/// How many pieces are looked up together.
const GROUP: usize = 16;

/// Room for the ids of a short text.
pub(crate) type Ids = [u32; LONGEST + MOST_IDS];

impl Vocabulary {
    /// The ids of a text, put into `ids`; none if it is not short, holds a special token, or lacks what it needs: a compiled pattern, a
    /// cache, seams for the pieces that may be cut.
    pub(crate) fn encode_short<'i>(
        &self,
        text: &str,
        special: Option<&Matcher>,
        ids: &'i mut Ids,
    ) -> Option<&'i [u32]> {
        let has_special = || special.is_some_and(|special| special.find(text, 0).is_some());
        if text.len() > LONGEST || self.last_stage().is_some() || has_special() {
            return None;
        }
        let (mut slots, mut parts) = ([0; LONGEST + ROOM], [0; LONGEST]);
        let mut ends = self.splitter().short(text, &mut slots)?;
        let text = text.as_bytes();
        if !text.is_ascii() {
            ends = cut(text, ends, self.tokens(), &mut parts)?;
        }
        let mut cache = self.caches.take(self.tokens(), text.len())?;
        let count = widest(Short { text, ends, tokens: self.tokens(), cache: &mut cache, ids });
        self.caches.give_back(cache);
        Some(&ids[..count])
    }
}

/// The ends of all pieces, and of the parts of those that may be cut; none if seams would have to be made for them.
fn cut<'p>(text: &[u8], ends: &[u32], tokens: &Tokens, parts: &'p mut [u32; LONGEST]) -> Option<&'p [u32]> {
    let (mut start, mut count) = (0, 0);
    for &end in ends {
        let end = end as usize;
        let mut cuts = match end - start > UNCUT && text[end - 1] >= 0x80 {
            true => Some(tokens.seams_if_made()?.cuts(text, start, end)),
            false => None,
        };
        while start < end {
            start = cuts.as_mut().map_or(end, Cuts::next_end);
            parts[count] = start as u32;
            count += 1;
        }
    }
    Some(&parts[..count])
}

/// Puts the ids of the pieces of `text`, which end at `ends`, into `ids`. Returns how many they are.
struct Short<'a> {
    text: &'a [u8],
    ends: &'a [u32],
    tokens: &'a Tokens,
    cache: &'a mut Cache,
    ids: &'a mut Ids,
}

impl Work for Short<'_> {
    type Done = usize;

    #[inline(always)]
    fn run<I: Instructions>(self) -> usize {
        let Short { text, ends, tokens, cache, ids } = self;
        let (mut start, mut count) = (0, 0);
        for ends in ends.chunks(GROUP) {
            let (mut keys, mut places) = ([Key::default(); GROUP], [0; GROUP]);
            let mut from = start;
            for ((key, place), &end) in keys.iter_mut().zip(&mut places).zip(ends) {
                let end = end as usize;
                if end - from <= SHORT {
                    *place = cache.view().place(key.write::<I>(text, from, end));
                } else {
                    *key = Seeds::FIXED.long(&text[from..end]);
                    *place = cache.view().place(*key);
                }
                cache.view().prefetch(*place);
                from = end;
            }
            for ((key, &place), &end) in keys.iter().zip(&places).zip(ends) {
                if let Some((found, number)) = cache.view().get::<I>(place, key) {
                    ids[count..count + MOST_IDS].copy_from_slice(&unpacked(found));
                    count += number;
                } else {
                    let mut made = Vec::new();
                    find_or_merge(place, *key, &text[start..end as usize], tokens, cache, &mut made);
                    ids[count..count + made.len()].copy_from_slice(&made);
                    count += made.len();
                }
                start = end as usize;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::unwatched;

    /// "ab", "abc", " ab", two Chinese characters, and both together.
    fn vocabulary() -> Vocabulary {
        let bytes = std::array::from_fn(|byte| byte as u32);
        let merges = [(97, 98), (256, 99), (32, 256), (0xE4, 0xB8), (259, 0xAD), (0xE6, 0x96), (261, 0x87), (260, 262)];
        let ids: Vec<u32> = (256..).take(merges.len()).collect();
        let pattern = Some(r" ?\p{L}+|\n|[^\p{L}\n]+".into());
        let vocabulary = Vocabulary::from_merges(&bytes, &merges, &ids, vec![("<|s|>".into(), 300)], pattern).unwrap();
        // A cache is made once some text has been encoded without.
        vocabulary.encode_ordinary(&"abc ".repeat(5000), &mut Vec::new()).unwrap();
        vocabulary
    }

    fn short<'i>(vocabulary: &Vocabulary, text: &str, ids: &'i mut Ids) -> Option<&'i [u32]> {
        vocabulary.encode_short(text, None, ids)
    }

    /// The ids of its pieces one by one, without a cache.
    fn by_pieces(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for piece in vocabulary.splitter().pieces(text.as_bytes()).unwrap() {
            vocabulary.encode_piece(piece, &mut ids, &mut unwatched).unwrap();
        }
        ids
    }

    #[test]
    fn each_part_of_a_text_has_the_ids_of_its_pieces() {
        let text = "abcab ab中文中文中中文文,ab\n\n\n!?abcé 中文abéabcabcabcabcabcabcab中\u{1F600} ab ".repeat(3);
        let vocabulary = vocabulary();
        vocabulary.tokens().seams().expect("parents are known");
        let bounds: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
        // What is missed in the first turn is found in the second.
        for _ in 0..2 {
            for (start, end) in bounds.iter().flat_map(|&start| bounds.iter().map(move |&end| (start, end))) {
                if start <= end && end - start <= LONGEST {
                    let part = &text[start..end];
                    assert_eq!(
                        short(&vocabulary, part, &mut [0; _]),
                        Some(&by_pieces(&vocabulary, part)[..]),
                        "{part:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_instructions_of_every_processor_give_the_same_ids() {
        let (vocabulary, text) = (vocabulary(), b"abc ab!abcabcabcabcabcabc");
        let mut cache = vocabulary.caches.take(vocabulary.tokens(), text.len()).unwrap();
        let mut ids = |wide: bool| {
            let mut ids = [0; _];
            let ends = &[3, 6, 7, 25];
            let work = Short { text, ends, tokens: vocabulary.tokens(), cache: &mut cache, ids: &mut ids };
            let count = if wide { widest(work) } else { work.run::<crate::processor::Baseline>() };
            ids[..count].to_vec()
        };
        assert_eq!(ids(true), ids(false));
        assert_eq!(ids(true), [257, 258, 33, 257, 257, 257, 257, 257, 257]);
    }

    #[test]
    fn as_many_ids_as_bytes_have_room() {
        let vocabulary = vocabulary();
        let mut ids = [0; _];
        assert_eq!(short(&vocabulary, &"\n".repeat(LONGEST), &mut ids).map(<[u32]>::len), Some(LONGEST));
        assert_eq!(short(&vocabulary, &"x".repeat(LONGEST), &mut ids).map(<[u32]>::len), Some(LONGEST));
    }

    #[test]
    fn what_is_not_short_or_needs_more_goes_the_long_way() {
        let vocabulary = vocabulary();
        let special = Matcher::new(vocabulary.special()).unwrap();
        let mut ids = [0; _];
        assert!(short(&vocabulary, &"\n".repeat(LONGEST + 1), &mut ids).is_none());
        assert!(vocabulary.encode_short("ab<|s|>", Some(&special), &mut ids).is_none());
        assert_eq!(vocabulary.encode_short("ab<|s>", Some(&special), &mut ids).map(|ids| ids[0]), Some(256));
        // Seams are not made for a text this short.
        assert!(short(&vocabulary, "中文中文", &mut ids).is_none());
        assert!(short(&vocabulary, "中文中", &mut ids).is_some());
        let backtracking = Vocabulary::from_merges(
            &std::array::from_fn(|byte| byte as u32),
            &[],
            &[],
            vec![],
            Some(r"(?<=a)b|(?s:.)".into()),
        );
        assert!(short(&backtracking.unwrap(), "ab", &mut ids).is_none());
    }
}
