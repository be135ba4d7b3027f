//! The two hash tables of a vocabulary: a pair of tokens to their merge, and bytes to their token.
//!
//! Both are open-addressed, at most half full, and probe linearly, so that a look-up is one cache line nearly always. Tokens are named
//! by *index*: 0 to 255 are the bytes by value, 256 + r is the merge of rank r; so of two merges the one with the lower index goes first.
//! The hashes are seeded per process: a vocabulary made to collide cannot be prepared in advance.

use std::hash::{BuildHasher, RandomState};

/// Bits of a token index: three indices share one 64-bit slot.
const INDEX_BITS: u32 = 21;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;

/// The most ordinary tokens that a vocabulary can hold.
pub(crate) const MAX_TOKENS: usize = 1 << INDEX_BITS;

/// Multiplies to 128 bits and folds the halves: each input bit reaches the high bits, which choose the slot.
#[inline(always)]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

fn random_seed() -> u64 {
    RandomState::new().hash_one(0u8)
}

/// How far to shift a hash so that it names one of `capacity` slots, a power of two.
fn shift_for(capacity: usize) -> u32 {
    64 - capacity.trailing_zeros()
}

fn capacity_for(entries: usize) -> usize {
    (entries * 2).next_power_of_two().max(1024)
}

/// (left, right) to the index of their merge.
#[derive(Debug, Clone)]
pub(crate) struct PairTable {
    /// `left << 42 | right << 21 | merged`; 0 is empty, as no merge has index 0.
    slots: Vec<u64>,
    shift: u32,
    seed: u64,
    /// A bit for each of so many hashes: set for those of the merges. Most pairs that are looked up have none, and these 64 KB (cl100k),
    /// which stay near, say so in four cases of five; the slots are 2 MB.
    filter: Vec<u64>,
    entries: usize,
    /// The merges of two bytes, by `left << 8 | right`; 0 for none. Each piece begins with these look-ups.
    bytes: Vec<u32>,
}

impl PairTable {
    pub(crate) fn with_capacity(entries: usize) -> PairTable {
        let capacity = capacity_for(entries);
        PairTable {
            slots: vec![0; capacity],
            shift: shift_for(capacity),
            seed: random_seed(),
            filter: vec![0; capacity / 32],
            entries: 0,
            bytes: vec![0; 1 << 16],
        }
    }

    #[inline(always)]
    fn hash(&self, pair: u64) -> u64 {
        fold(pair ^ self.seed, MULTIPLIER)
    }

    #[inline(always)]
    fn slot(&self, pair: u64) -> usize {
        (self.hash(pair) >> self.shift) as usize
    }

    /// The word of the filter and the bit in it: of the hash's low bits, as its high ones choose the slot.
    #[inline(always)]
    fn filter_bit(&self, hash: u64) -> (usize, u64) {
        ((hash >> 6) as usize & (self.filter.len() - 1), 1 << (hash & 63))
    }

    /// The merge of `left` and `right`, if there is one.
    #[inline(always)]
    pub(crate) fn get(&self, left: u32, right: u32) -> Option<u32> {
        let pair = u64::from(left) << INDEX_BITS | u64::from(right);
        let hash = self.hash(pair);
        let (word, bit) = self.filter_bit(hash);
        if self.filter[word] & bit == 0 {
            return None;
        }
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = self.slots[at];
            if slot >> INDEX_BITS == pair && slot != 0 {
                return Some((slot & INDEX_MASK) as u32);
            }
            if slot == 0 {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// The merge of two bytes, if there is one.
    #[inline(always)]
    pub(crate) fn get_bytes(&self, left: u8, right: u8) -> Option<u32> {
        let merged = self.bytes[usize::from(left) << 8 | usize::from(right)];
        (merged != 0).then_some(merged)
    }

    /// Adds a merge. The first one given for a pair stays; returns whether this was it.
    pub(crate) fn insert(&mut self, left: u32, right: u32, merged: u32) -> bool {
        if (self.entries + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let pair = u64::from(left) << INDEX_BITS | u64::from(right);
        let mut at = self.slot(pair);
        while self.slots[at] != 0 {
            if self.slots[at] >> INDEX_BITS == pair {
                return false;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = pair << INDEX_BITS | u64::from(merged);
        let (word, bit) = self.filter_bit(self.hash(pair));
        self.filter[word] |= bit;
        self.entries += 1;
        if left < 256 && right < 256 {
            self.bytes[(left << 8 | right) as usize] = merged;
        }
        true
    }

    /// Adds merges of the indices 256, 257, and so on. Gives the first one whose pair was there already.
    ///
    /// Groups are looked at before they are inserted: their slots lie all over the table, and are fetched side by side (o200k: a
    /// third of the time of one by one).
    pub(crate) fn insert_all(&mut self, pairs: &[(u32, u32)]) -> Result<(), usize> {
        for (group, pairs) in pairs.chunks(64).enumerate() {
            let fetched = pairs.iter().fold(0, |sum, &(left, right)| {
                sum ^ self.slots[self.slot(u64::from(left) << INDEX_BITS | u64::from(right))]
            });
            std::hint::black_box(fetched);
            for (rank, &(left, right)) in (group * 64..).zip(pairs) {
                if !self.insert(left, right, 256 + rank as u32) {
                    return Err(rank);
                }
            }
        }
        Ok(())
    }

    fn grow(&mut self) {
        let capacity = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![0; capacity]);
        self.shift = shift_for(capacity);
        self.filter = vec![0; capacity / 32];
        for entry in old.into_iter().filter(|&entry| entry != 0) {
            let hash = self.hash(entry >> INDEX_BITS);
            let (word, bit) = self.filter_bit(hash);
            self.filter[word] |= bit;
            let mut at = (hash >> self.shift) as usize;
            while self.slots[at] != 0 {
                at = (at + 1) & (capacity - 1);
            }
            self.slots[at] = entry;
        }
    }
}

/// A token's bytes to its index. The bytes themselves lie in the vocabulary's arena, and are compared there.
#[derive(Debug, Clone)]
pub(crate) struct TokenTable {
    /// `hash << 32 | index + 1`; 0 is empty.
    slots: Vec<u64>,
    shift: u32,
    seed: u64,
}

impl TokenTable {
    pub(crate) fn with_capacity(entries: usize) -> TokenTable {
        let capacity = capacity_for(entries);
        TokenTable { slots: vec![0; capacity], shift: shift_for(capacity), seed: random_seed() }
    }

    #[inline(always)]
    fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hash = self.seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
        let (words, tail) = bytes.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word), MULTIPLIER);
        }
        fold(hash ^ little_endian(tail), MULTIPLIER)
    }

    /// The index of the token that is `bytes`; `token` gives the bytes of an index.
    #[inline(always)]
    pub(crate) fn get<'a>(&self, bytes: &[u8], token: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let hash = self.hash(bytes);
        let mut at = (hash >> self.shift) as usize;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            let index = slot as u32 - 1;
            if slot >> 32 == hash & 0xffff_ffff && token(index) == bytes {
                return Some(index);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Adds a token, unless one of the same bytes is there: then returns that one's index. The capacity must suffice.
    pub(crate) fn insert<'a>(&mut self, bytes: &[u8], index: u32, token: impl Fn(u32) -> &'a [u8]) -> Option<u32> {
        let hash = self.hash(bytes);
        let mut at = (hash >> self.shift) as usize;
        while self.slots[at] != 0 {
            let other = self.slots[at] as u32 - 1;
            if self.slots[at] >> 32 == hash & 0xffff_ffff && token(other) == bytes {
                return Some(other);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = hash << 32 | u64::from(index + 1);
        None
    }
}

/// Up to seven bytes as a number, in at most three loads.
#[inline(always)]
fn little_endian(bytes: &[u8]) -> u64 {
    match *bytes {
        [] => 0,
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        [a, b, c, d, ref rest @ ..] => {
            let high = rest.iter().rev().fold(0u64, |high, &byte| high << 8 | u64::from(byte));
            u64::from(u32::from_le_bytes([a, b, c, d])) | high << 32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_after_the_table_has_grown() {
        let mut table = PairTable::with_capacity(1);
        for i in 0..10_000 {
            assert!(table.insert(i, i * 7 % 4096, 256 + i));
        }
        assert!(!table.insert(5, 35, 9), "the first merge of a pair stays");
        for i in 0..10_000 {
            assert_eq!(table.get(i, i * 7 % 4096), Some(256 + i));
            assert_eq!(table.get(i, i * 7 % 4096 + 1), None);
        }
        assert_eq!(table.get_bytes(3, 21), Some(259));
        assert_eq!(table.get_bytes(3, 22), None);
    }

    #[test]
    fn the_pair_of_the_first_bytes_is_not_an_empty_slot() {
        let mut table = PairTable::with_capacity(4);
        assert_eq!(table.get(0, 0), None);
        table.insert(0, 0, 256);
        assert_eq!(table.get(0, 0), Some(256));
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
