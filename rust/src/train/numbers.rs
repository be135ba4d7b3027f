//! The number of each pair, by its tokens: a hash table with open addressing, whose callers prefetch the slots that they will look up.

use super::Pair;
use super::index::PairId;
use crate::hash::MULTIPLIER;
use crate::lines::on_large_pages;
use crate::processor::prefetch;

/// In place of the number of a removed pair. Its slot stays occupied, because other pairs may have been put behind it.
const TAKEN: PairId = PairId::MAX;
/// A slot without a pair. Tokens have lower numbers than these.
const EMPTY: Slot = Slot { tokens: (u32::MAX, u32::MAX), id: TAKEN };

#[derive(Clone, Copy)]
struct Slot {
    tokens: Pair,
    id: PairId,
}

/// Pairs by their tokens. The number of slots is a power of two, and at most five in eight are used.
pub(super) struct Numbers {
    slots: Vec<Slot>,
    used: usize,
}

impl Numbers {
    pub(super) fn new() -> Numbers {
        Numbers { slots: vec![EMPTY; 1 << 10], used: 0 }
    }

    /// The slot where the search for a pair begins. One multiplication is enough: tokens are dense, and nobody chooses them.
    fn home(&self, (left, right): Pair) -> usize {
        let key = u64::from(left) << 32 | u64::from(right);
        (key.wrapping_mul(MULTIPLIER) >> (64 - self.slots.len().ilog2())) as usize
    }

    /// The slot of a pair, or the empty one where it belongs.
    fn find(&self, tokens: Pair) -> usize {
        let mut at = self.home(tokens);
        while self.slots[at].tokens != tokens && self.slots[at].tokens != EMPTY.tokens {
            at = (at + 1) % self.slots.len();
        }
        at
    }

    /// Prefetches the slot where the search for a pair begins.
    pub(super) fn prefetch(&self, tokens: Pair) {
        prefetch(&self.slots, self.home(tokens));
    }

    pub(super) fn get(&self, tokens: Pair) -> Option<PairId> {
        Some(self.slots[self.find(tokens)].id).filter(|&id| id != TAKEN)
    }

    /// Adds a new pair.
    pub(super) fn insert(&mut self, tokens: Pair, id: PairId) {
        if (self.used + 1) * 8 > self.slots.len() * 5 {
            let mut larger = Vec::with_capacity(self.slots.len() * 2);
            on_large_pages(larger.spare_capacity_mut());
            larger.resize(self.slots.len() * 2, EMPTY);
            for slot in std::mem::replace(&mut self.slots, larger) {
                if slot.id != TAKEN {
                    let at = self.find(slot.tokens);
                    self.slots[at] = slot;
                }
            }
        }
        let at = self.find(tokens);
        self.slots[at] = Slot { tokens, id };
        self.used += 1;
    }

    /// Removes a pair.
    pub(super) fn remove(&mut self, tokens: Pair) {
        let at = self.find(tokens);
        self.slots[at].id = TAKEN;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn pairs_are_found_by_their_tokens_until_they_are_taken_out() {
        let (mut numbers, mut expected) = (Numbers::new(), HashMap::new());
        for id in 0..5000 {
            let tokens = (id * id % 401, id / 7);
            if expected.insert(tokens, id).is_none() {
                numbers.insert(tokens, id);
            } else {
                expected.remove(&tokens);
                numbers.remove(tokens);
            }
        }
        for tokens in (0..401).flat_map(|left| (0..800).map(move |right| (left, right))) {
            assert_eq!(numbers.get(tokens), expected.get(&tokens).copied(), "{tokens:?}");
        }
    }
}
