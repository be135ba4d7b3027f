//! Keys of pieces: a short piece is its own key, so that comparing keys is comparing pieces; of a longer one it is the hash.

use std::hash::{BuildHasher, RandomState};

use crate::hash::{MULTIPLIER, fold};
use crate::processor::{Baseline, Instructions};

/// The longest piece that fits into a key: with its length it fills 16 bytes.
pub(crate) const SHORT: usize = 15;

/// Where an entry of the cache keeps the number of its ids: above the length of its key, which needs four bits of its byte.
pub(crate) const COUNT: u32 = 60;

/// What of a key is compared: the number of ids is not.
const COMPARED: [u64; 2] = [u64::MAX, u64::MAX >> (64 - COUNT)];

/// In keys of pieces of which the bytes and ids lie in the cache's ring.
const MANY: u64 = 1 << 55;

/// A piece of up to 15 bytes: its first eight, then the others with its length in the highest byte. Of a longer one: its hash, then its
/// length, so that the highest byte is 0. No piece is all 0: that is an empty entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub(crate) struct Key(pub(crate) [u64; 2]);

/// Of a short piece by its length: which of the 16 bytes from its start on are the key's, and the length where the key has it.
type Parts = [[u64; 2]; 2];

const PARTS: [Parts; SHORT + 1] = {
    let mut parts = [[[0; 2]; 2]; SHORT + 1];
    let mut length = 1;
    while length <= SHORT {
        let mask = u128::MAX >> (128 - 8 * length);
        parts[length] = [[mask as u64, (mask >> 64) as u64], [0, (length as u64) << 56]];
        length += 1;
    }
    parts
};

/// The bytes of `text[start..end]` and any after them, where fewer than 16 are left from `start` on.
#[inline(always)]
fn last_bytes(text: &[u8], start: usize, end: usize) -> [u8; 16] {
    // By a shift, where it may be: copying some bytes is a call, and of a text of 20 bytes nearly all pieces are so near its end.
    if let Some(last) = text.last_chunk() {
        let before = start + last.len() - text.len();
        return (u128::from_le_bytes(*last) >> (8 * before)).to_le_bytes();
    }
    let mut bytes = [0; 16];
    bytes[..end - start].copy_from_slice(&text[start..end]);
    bytes
}

impl Key {
    /// No piece's, nor that of an empty entry.
    pub(crate) const MARK: Key = Key([0, MANY]);

    /// Writes the key of `text[start..end]`, a piece of 1 to 15 bytes. Returns it.
    #[inline(always)]
    pub(crate) fn write<I: Instructions>(&mut self, text: &[u8], start: usize, end: usize) -> Key {
        let length = end - start;
        let rest;
        // One comparison: asking `text[start..]` for its first 16 bytes takes two.
        let bytes = if text.len() >= 16 && start <= text.len() - 16 {
            text[start..].first_chunk().expect("16 bytes are left")
        } else {
            rest = last_bytes(text, start, end);
            &rest
        };
        static TABLE: [Parts; SHORT + 1] = PARTS;
        let [mask, length] = &TABLE[length & SHORT];
        Key(I::mask(bytes, mask, length, &mut self.0))
    }

    /// Of `text[start..end]`, a piece of 1 to 15 bytes.
    #[inline(always)]
    pub(crate) fn new(text: &[u8], start: usize, end: usize) -> Key {
        Key::default().write::<Baseline>(text, start, end)
    }

    /// What stands in an entry for the piece if its bytes and ids lie in the ring. It is no piece's key, so looking up keys never finds it.
    #[inline(always)]
    pub(crate) fn of_many(self) -> Key {
        let Key([low, high]) = self;
        if self.is_short() { Key([low ^ high.rotate_left(29), high >> 56 | MANY]) } else { Key([low, high | MANY]) }
    }

    /// An entry's key without the number of ids.
    pub(crate) fn compared(self) -> Key {
        Key([self.0[0] & COMPARED[0], self.0[1] & COMPARED[1]])
    }

    /// Whether it is that of an empty entry.
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self == Key::default()
    }

    /// Which of two entries, of which these are the keys and numbers of ids, have the key: bit 0 for the first, bit 2 for the second.
    #[inline(always)]
    pub(crate) fn among<I: Instructions>(&self, keys: &[u64; 4]) -> usize {
        I::equal(keys, &COMPARED, &self.0)
    }

    /// Whether the piece has up to 15 bytes.
    #[inline(always)]
    pub(crate) fn is_short(self) -> bool {
        self.0[1] >> 56 != 0
    }

    /// The length of the piece.
    #[inline(always)]
    pub(crate) fn length(self) -> usize {
        if self.is_short() { (self.0[1] >> 56) as usize } else { self.0[1] as usize }
    }

    /// The bytes of a short piece, and zeros.
    #[inline(always)]
    pub(crate) fn bytes(self) -> [u8; 16] {
        (u128::from(self.0[0]) | u128::from(self.0[1] << 8 >> 8) << 64).to_le_bytes()
    }
}

/// What keys are hashed with.
#[derive(Clone, Copy)]
pub(crate) struct Seeds(pub(crate) [u64; 2]);

impl Seeds {
    /// The same in every process, for caches: pieces that are made to collide there only cost each other their places.
    pub(crate) const FIXED: Seeds = Seeds([MULTIPLIER, 0xD1B5_4A32_D192_ED03]);

    /// New ones: pieces cannot be made in advance to collide under them. No result shows them.
    pub(crate) fn random() -> Seeds {
        let random = RandomState::new();
        Seeds([random.hash_one(0) | 1, random.hash_one(1) | 1])
    }

    /// The key of a piece of any length.
    pub(crate) fn key(self, piece: &[u8]) -> Key {
        if piece.len() <= SHORT { Key::new(piece, 0, piece.len()) } else { self.long(piece) }
    }

    /// The key of a piece that is not short.
    pub(crate) fn long(self, piece: &[u8]) -> Key {
        let (blocks, _) = piece.as_chunks::<16>();
        let last = piece.last_chunk::<16>();
        let hash = blocks.iter().chain(last).fold(self.0[0], |hash, block| {
            let block = u128::from_le_bytes(*block);
            self.hash(Key([block as u64 ^ hash, (block >> 64) as u64]))
        });
        Key([hash, piece.len() as u64])
    }

    /// Where a key belongs in a table: its top bits say so. Each half of the key is multiplied, and the upper halves of the products are
    /// added.
    #[inline(always)]
    pub(crate) fn spread(self, Key(halves): Key) -> u32 {
        let upper = |at: usize| (halves[at].wrapping_mul(self.0[at]) >> 32) as u32;
        upper(0).wrapping_add(upper(1))
    }

    /// The hash of a key, in all of its bits.
    #[inline(always)]
    pub(crate) fn hash(self, Key([low, high]): Key) -> u64 {
        fold(low ^ self.0[0], high ^ self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::processor::{Work, widest};

    /// The keys of eight pieces and how they are spread, if they are made together.
    struct Eight<'a>(&'a [u8], usize, [u32; 8], Seeds);

    impl Work for Eight<'_> {
        type Done = Option<([Key; 8], [u32; 8])>;

        #[inline(always)]
        fn run<I: Instructions>(self) -> Self::Done {
            let Eight(text, start, ends, seeds) = self;
            let (mut keys, mut spread) = ([Key::default(); 8], [0; 8]);
            I::eight_keys(text, start, &ends, seeds, &mut keys, &mut spread).then_some((keys, spread))
        }
    }

    fn eight_ends(start: usize, lengths: &[usize]) -> [u32; 8] {
        std::array::from_fn(|piece| (start + lengths[..=piece].iter().sum::<usize>()) as u32)
    }

    proptest! {
        #[test]
        fn eight_keys_made_together_are_those_made_one_by_one(
            text in prop::collection::vec(any::<u8>(), 0..400),
            start in 0usize..400,
            lengths in prop::array::uniform8(1..=SHORT),
        ) {
            let ends = eight_ends(start, &lengths);
            prop_assume!(ends[7] as usize <= text.len());
            for seeds in [Seeds::FIXED, Seeds::random()] {
                if let Some((keys, spread)) = widest(Eight(&text, start, ends, seeds)) {
                    let mut from = start;
                    for ((key, spread), end) in keys.into_iter().zip(spread).zip(ends) {
                        let expected = Key::new(&text, from, end as usize);
                        prop_assert_eq!((key, spread), (expected, seeds.spread(expected)));
                        from = end as usize;
                    }
                }
            }
        }
    }

    #[test]
    fn eight_keys_are_made_together_where_all_are_short_and_the_text_goes_on() {
        let text = [b'a'; 300];
        let made = |text: &[u8], start, lengths: [usize; 8]| {
            widest(Eight(text, start, eight_ends(start, &lengths), Seeds::FIXED)).is_some()
        };
        // Where the processor has what it takes.
        let can = made(&text, 0, [1; 8]);
        for start in 0..150 {
            assert_eq!(made(&text, start, [SHORT; 8]), can, "{start}");
            assert!(!made(&text[..start + 120], start, [1; 8]), "{start}");
            for long in 0..8 {
                let mut lengths = [1; 8];
                lengths[long] = SHORT + 1;
                assert!(!made(&text, start, lengths), "{start} {long}");
            }
        }
        assert!(!made(&text, 0, [300, 1, 1, 1, 1, 1, 1, 1]));
        assert!(!made(&text[..0], 0, [0; 8]));
    }

    #[test]
    fn a_piece_has_the_same_key_wherever_a_text_ends() {
        let text: Vec<u8> = (1..=60).collect();
        for (start, length) in (0..20).flat_map(|start| (1..=SHORT).map(move |length| (start, length))) {
            let end = start + length;
            let key = Key::new(&text, start, end);
            assert_eq!(key.bytes()[..length], text[start..end]);
            for shorter in end..end + 20 {
                assert_eq!(Key::new(&text[..shorter], start, end), key, "{start}..{end} of {shorter} bytes");
            }
        }
    }
}
