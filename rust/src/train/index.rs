//! The pairs that still matter: how often each occurs, and where.
//!
//! Places are never taken off a pair's list: one that a merge took shows in the cells, and does not come back. Each merge of a
//! place leaves one token less, and gives at most two places to new pairs, so all lists together hold at most three places a byte.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Pair;
use super::cells::Cells;
use crate::error::{Error, Result};
use crate::progress::Pulse;

/// A pair's place in the index.
pub(super) type PairId = u32;

/// Two tokens that stood side by side when the pair was indexed.
pub(super) struct IndexedPair {
    pub(super) tokens: Pair,
    /// How often they do now; it only falls.
    pub(super) count: u64,
    /// The cells where the left one began, ascending.
    pub(super) places: Vec<u32>,
    /// How many of the first places are known to be gone.
    gone: u32,
}

/// Which pairs are of interest.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The count that a pair needs.
    pub(super) floor: u64,
    /// The bytes that its token may have.
    pub(super) max_length: usize,
}

impl Wanted {
    /// Whether a pair with this count, and a token of this length, is of interest.
    pub(super) fn admits(self, count: u64, length: usize) -> bool {
        count >= self.floor && length <= self.max_length
    }
}

/// Pairs by their tokens. Those that were not wanted when they came up are left out, and count as if they were not.
pub(super) struct Index {
    wanted: Wanted,
    ids: HashMap<Pair, PairId, BuildHasherDefault<PairHasher>>,
    pairs: Vec<IndexedPair>,
}

impl Index {
    /// Indexes all pairs of `cells` that are wanted. `Error::Corpus` for a count past 2^63.
    pub(super) fn new(cells: &Cells, wanted: Wanted, pulse: &mut Pulse<'_>) -> Result<Index> {
        let mut of_bytes = vec![(0, 0); BYTE_PAIRS];
        let mut of_others: HashMap<Pair, (u64, usize), BuildHasherDefault<PairHasher>> = HashMap::default();
        cells.each_pair(|_, tokens, weight| {
            let (count, places) = match byte_pair(tokens) {
                Some(at) => &mut of_bytes[at],
                None => of_others.entry(tokens).or_default(),
            };
            *count = u64::saturating_add(*count, weight);
            *places += 1;
            pulse.step(1)
        })?;
        let of_bytes = (0..).zip(of_bytes).map(|(pair, tally)| ((pair >> 8, pair & 255), tally));
        let mut index = Index { wanted, ids: HashMap::default(), pairs: Vec::new() };
        let mut ids_of_bytes = vec![None; BYTE_PAIRS];
        for (tokens, (count, places)) in of_bytes.filter(|&(_, (_, places))| places > 0).chain(of_others) {
            if count >= 1 << 63 {
                return Err(Error::Corpus(format!(
                    "the pair {tokens:?} occurs more than 2^63 times: divide all counts by the same number"
                )));
            }
            if wanted.admits(count, cells.length(tokens.0) + cells.length(tokens.1)) {
                let id = index.insert(tokens, count, Vec::with_capacity(places));
                if let Some(at) = byte_pair(tokens) {
                    ids_of_bytes[at] = Some(id);
                }
            }
        }
        let Index { ids, pairs, .. } = &mut index;
        cells.each_pair(|at, tokens, _| {
            let id = match byte_pair(tokens) {
                Some(pair) => ids_of_bytes[pair],
                None => ids.get(&tokens).copied(),
            };
            if let Some(id) = id {
                pairs[id as usize].places.push(at);
            }
            pulse.step(1)
        })?;
        Ok(index)
    }

    /// Which pairs are here.
    pub(super) fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// All pairs there are.
    pub(super) fn ids(&self) -> std::ops::Range<PairId> {
        0..self.pairs.len() as PairId
    }

    pub(super) fn get(&self, id: PairId) -> &IndexedPair {
        &self.pairs[id as usize]
    }

    /// Adds a pair that is new.
    pub(super) fn insert(&mut self, tokens: Pair, count: u64, places: Vec<u32>) -> PairId {
        let id = self.pairs.len() as PairId;
        self.pairs.push(IndexedPair { tokens, count, places, gone: 0 });
        self.ids.insert(tokens, id);
        id
    }

    /// Takes `weight` off the count of a pair, if it is here.
    pub(super) fn lower(&mut self, tokens: Pair, weight: u64) {
        if let Some(&id) = self.ids.get(&tokens) {
            self.pairs[id as usize].count -= weight;
        }
    }

    /// Takes a pair out, to be merged: none of it will be left.
    pub(super) fn take(&mut self, id: PairId) -> IndexedPair {
        let tokens = self.pairs[id as usize].tokens;
        self.ids.remove(&tokens);
        std::mem::replace(&mut self.pairs[id as usize], IndexedPair { tokens, count: 0, places: Vec::new(), gone: 0 })
    }

    /// The first cell where a pair still stands. Looks at each of its places once in a run, for what is gone stays gone.
    pub(super) fn first(&mut self, id: PairId, cells: &Cells) -> Option<u32> {
        let pair = &mut self.pairs[id as usize];
        let rest = &pair.places[pair.gone as usize..];
        let skipped = rest.iter().position(|&at| cells.holds(pair.tokens, at))?;
        pair.gone += skipped as u32;
        Some(rest[skipped])
    }
}

/// The pairs of the first 256 tokens have a table: most of the first index is made of them, and hashing them took half of its time.
const BYTE_PAIRS: usize = 1 << 16;

fn byte_pair((left, right): Pair) -> Option<usize> {
    (left < 256 && right < 256).then_some((left << 8 | right) as usize)
}

/// A multiplication, folded: the ids are dense, and nobody chooses them.
#[derive(Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0 ^ u64::from(id)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
