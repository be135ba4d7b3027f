//! The pairs that still matter: how often each occurs, and where.
//!
//! Places are never taken off a pair's list: one that a merge took shows in the cells, and does not come back. Each merge of a
//! place leaves one token less, and gives at most two places to new pairs, so all lists together hold at most three places a byte.

use super::Pair;
use super::cells::Cells;
use super::tallies::{PairMap, Tallies};
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
    ids: PairMap<PairId>,
    pairs: Vec<IndexedPair>,
}

impl Index {
    /// Indexes all pairs of `cells` that are wanted. `Error::Corpus` for a count past 2^63.
    pub(super) fn new(cells: &Cells, wanted: Wanted, pulse: &mut Pulse<'_>) -> Result<Index> {
        let mut tallies = Tallies::of(cells, pulse)?;
        let mut index = Index { wanted, ids: PairMap::default(), pairs: Vec::new() };
        tallies.each(|tokens, tally| {
            if tally.count >= 1 << 63 {
                return Err(Error::Corpus(format!(
                    "the pair {tokens:?} occurs more than 2^63 times: divide all counts by the same number"
                )));
            }
            if wanted.admits(tally.count, cells.length(tokens.0) + cells.length(tokens.1)) {
                tally.id = index.insert(tokens, tally.count, Vec::with_capacity(tally.places as usize));
            }
            Ok(())
        })?;
        let pairs = &mut index.pairs;
        cells.each_pair(pulse, |at, tokens, _| {
            if let Some(pair) = pairs.get_mut(tallies.get(tokens).id as usize) {
                pair.places.push(at);
            }
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
