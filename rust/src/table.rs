//! The two hash tables of a vocabulary: from a pair of tokens to their merge, and from bytes to their token.
//!
//! Both are open-addressed, at most half full, and probe linearly, so that a lookup nearly always reads one cache line. Tokens are named by
//! *index*: 0 to 255 are the bytes by value, 256 + r is the merge of rank r; so of two merges the one with the lower index goes first. The
//! hashes are seeded at random: a vocabulary made to collide cannot be prepared in advance.

use std::hash::{BuildHasher, RandomState};

use crate::hash::{MULTIPLIER, fold};
use crate::key::Seeds;
use crate::lines::{Line, Lines};
use crate::processor::prefetch;

/// Bits of a token index: three indices share one 64-bit slot.
const INDEX_BITS: u32 = 21;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// The most ordinary tokens that a vocabulary can hold.
pub(crate) const MAX_TOKENS: usize = 1 << INDEX_BITS;

/// How many merges share a cache line. A lookup reads one line, and nearly always no more.
const LINE: usize = 8;

/// From (left, right) to the index of their merge.
///
/// Lines have eight slots, half of them full on average, and are filled from the first slot on; a merge that finds its line full goes into
/// the next. All eight are compared at once, without a branch, so a lookup costs its cache line: [`Pairs::place`] names it ahead of time,
/// [`Pairs::prefetch`] fetches it, [`Pairs::get_at`] reads it.
pub(crate) struct PairTable {
    /// `left << 42 | right << 21 | merged`; 0 is empty, as no merge has index 0.
    lines: Lines,
    seed: u64,
    /// The merges of two bytes, by `left << 8 | right`; 0 for none. Each piece begins with these lookups.
    bytes: Vec<u32>,
}

#[inline(always)]
fn joined(left: u32, right: u32) -> u64 {
    u64::from(left) << INDEX_BITS | u64::from(right)
}

impl PairTable {
    /// An empty table with room for this many merges.
    pub(crate) fn with_capacity(entries: usize) -> PairTable {
        let count = (entries * 2).div_ceil(LINE).max(64);
        PairTable { lines: Lines::new(count), seed: RandomState::new().hash_one(0), bytes: vec![0; 1 << 16] }
    }

    /// The view that lookups read.
    #[inline(always)]
    pub(crate) fn view(&self) -> Pairs<'_> {
        Pairs { lines: self.lines.as_slice(), bytes: &self.bytes, seed: self.seed }
    }

    /// Adds a merge, for which there must be room. The first one given for a pair stays; returns whether this was it.
    pub(crate) fn insert(&mut self, left: u32, right: u32, merged: u32) -> bool {
        self.insert_at(self.view().place(left, right), left, right, merged)
    }

    /// Like `insert`, for a merge whose place is known.
    #[inline(always)]
    fn insert_at(&mut self, place: u32, left: u32, right: u32, merged: u32) -> bool {
        let pair = joined(left, right);
        let lines = self.lines.as_mut_slice();
        let mut at = place as usize;
        loop {
            for slot in &mut lines[at] {
                if *slot == 0 {
                    *slot = pair << INDEX_BITS | u64::from(merged);
                    if left < 256 && right < 256 {
                        self.bytes[(left << 8 | right) as usize] = merged;
                    }
                    return true;
                }
                if *slot >> INDEX_BITS == pair {
                    return false;
                }
            }
            at = if at + 1 == lines.len() { 0 } else { at + 1 };
        }
    }

    /// Adds merges with the indices 256, 257, and so on. Fails with the rank of the first one whose pair is there already.
    ///
    /// The lines lie all over the table; those of a group are prefetched side by side (o200k: a third of the time of one by one).
    pub(crate) fn insert_all(&mut self, pairs: &[(u32, u32)]) -> Result<(), usize> {
        const GROUP: usize = 64;
        for (group, pairs) in pairs.chunks(GROUP).enumerate() {
            let mut places = [0; GROUP];
            for (place, &(left, right)) in places.iter_mut().zip(pairs) {
                *place = self.view().place(left, right);
                self.view().prefetch(*place);
            }
            for ((rank, &(left, right)), place) in (group * GROUP..).zip(pairs).zip(places) {
                if !self.insert_at(place, left, right, 256 + rank as u32) {
                    return Err(rank);
                }
            }
        }
        Ok(())
    }
}

/// The merges of a [`PairTable`], for many lookups: a copy stays in registers, whereas fields behind a reference are read each time.
#[derive(Clone, Copy)]
pub(crate) struct Pairs<'a> {
    lines: &'a [Line],
    bytes: &'a [u32],
    seed: u64,
}

impl Pairs<'_> {
    /// The line in which the merge of `left` and `right` is looked for first.
    #[inline(always)]
    pub(crate) fn place(self, left: u32, right: u32) -> u32 {
        let hash = fold(joined(left, right) ^ self.seed, MULTIPLIER) >> 32;
        ((hash * self.lines.len() as u64) >> 32) as u32
    }

    /// Prefetches the line at a place.
    #[inline(always)]
    pub(crate) fn prefetch(self, place: u32) {
        prefetch(self.lines, place as usize);
    }

    /// The merge of `left` and `right`, whose place is given; 0 if there is none.
    #[inline(always)]
    pub(crate) fn get_at(self, place: u32, left: u32, right: u32) -> u32 {
        let pair = joined(left, right);
        let mut at = place as usize;
        loop {
            let line = &self.lines[at];
            let found = line.iter().fold(0, |found, &slot| found | if slot >> INDEX_BITS == pair { slot } else { 0 });
            // The sign says that the pair is not here and that the line is full, which is rare. Written as two conditions, the first would
            // be a branch of its own, which fails two times in five.
            let goes_on = (found.wrapping_sub(1) & line[LINE - 1].wrapping_neg()) as i64;
            if goes_on >= 0 {
                return (found & INDEX_MASK) as u32;
            }
            at = if at + 1 == self.lines.len() { 0 } else { at + 1 };
        }
    }

    /// The merge of `left` and `right`, if there is one.
    #[inline(always)]
    pub(crate) fn get(self, left: u32, right: u32) -> Option<u32> {
        let merged = self.get_at(self.place(left, right), left, right);
        (merged != 0).then_some(merged)
    }

    /// The merge of two bytes, if there is one.
    #[inline(always)]
    pub(crate) fn get_bytes(self, left: u8, right: u8) -> Option<u32> {
        let merged = self.bytes[usize::from(left) << 8 | usize::from(right)];
        (merged != 0).then_some(merged)
    }

    /// Prefetches what `get_bytes` reads for the first bytes of a piece.
    #[inline(always)]
    pub(crate) fn prefetch_bytes(self, piece: &[u8; 16]) {
        for two in piece[..8].windows(2) {
            prefetch(self.bytes, usize::from(two[0]) << 8 | usize::from(two[1]));
        }
    }
}

/// From a token's bytes to its index. The bytes themselves lie in the vocabulary's arena, and are compared there.
pub(crate) struct TokenTable {
    /// `hash << 32 | index + 1`; 0 is empty.
    slots: Vec<u64>,
    shift: u32,
    seeds: Seeds,
}

impl TokenTable {
    pub(crate) fn with_capacity(entries: usize) -> TokenTable {
        let capacity = (entries * 2).next_power_of_two().max(1024);
        TokenTable { slots: vec![0; capacity], shift: 64 - capacity.trailing_zeros(), seeds: Seeds::random() }
    }

    /// The index of the token that is `bytes`; `token` gives the bytes of an index.
    #[inline(always)]
    pub(crate) fn get<'a>(&self, bytes: &[u8], token: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        self.search(self.seeds.hash(self.seeds.key(bytes)), bytes, token).err()
    }

    /// Adds a token, unless one with the same bytes is there: then returns that one's index. The capacity must suffice.
    pub(crate) fn insert<'a>(&mut self, bytes: &[u8], index: u32, token: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let hash = self.seeds.hash(self.seeds.key(bytes));
        let found = self.search(hash, bytes, token);
        if let Ok(at) = found {
            self.slots[at] = hash << 32 | u64::from(index + 1);
        }
        found.err()
    }

    /// The slot where `bytes` would be put, or the index of the token that is there.
    #[inline(always)]
    fn search<'a>(&self, hash: u64, bytes: &[u8], token: impl Fn(u32) -> &'a [u8]) -> Result<usize, u32> {
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return Ok(at);
            }
            let index = slot as u32 - 1;
            if slot >> 32 == hash & 0xffff_ffff && token(index) == bytes {
                return Err(index);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_is_found_in_a_full_table_and_no_other() {
        let mut table = PairTable::with_capacity(10_000);
        for i in 0..10_000 {
            assert!(table.insert(i, i * 7 % 4096, 256 + i));
        }
        assert!(!table.insert(5, 35, 9), "the first merge of a pair stays");
        for i in 0..10_000 {
            assert_eq!(table.view().get(i, i * 7 % 4096), Some(256 + i));
            assert_eq!(table.view().get(i, i * 7 % 4096 + 1), None);
        }
        assert_eq!(table.view().get_bytes(3, 21), Some(259));
        assert_eq!(table.view().get_bytes(3, 22), None);
    }

    #[test]
    fn the_pair_of_the_first_bytes_is_not_an_empty_slot() {
        let mut table = PairTable::with_capacity(4);
        assert_eq!(table.view().get(0, 0), None);
        table.insert(0, 0, 256);
        assert_eq!(table.view().get(0, 0), Some(256));
    }

    #[test]
    fn tokens_are_told_apart_by_all_their_bytes() {
        let tokens: Vec<Vec<u8>> = (0..40).map(|n| vec![b'a'; n]).collect();
        let mut table = TokenTable::with_capacity(tokens.len());
        for (index, token) in tokens.iter().enumerate() {
            assert_eq!(table.insert(token, index as u32, |i| &tokens[i as usize]), None);
        }
        for (index, token) in tokens.iter().enumerate() {
            assert_eq!(table.get(token, |i| &tokens[i as usize]), Some(index as u32));
            assert_eq!(table.insert(token, 99, |i| &tokens[i as usize]), Some(index as u32));
        }
        assert_eq!(table.get(b"b", |i| &tokens[i as usize]), None);
    }
}
