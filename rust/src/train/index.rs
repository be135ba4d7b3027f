//! The pairs that still matter: how often each occurs, and where.
//!
//! Places are never taken off a pair's list: one that a merge took shows in the cells, and does not come back. Each merge of a
//! place leaves one token less, and gives at most two places to new pairs, so all lists together hold at most three places a byte.
//! They lie in one array, in the order of the pairs, and when that is full those that still matter close up: with a list a pair the first
//! merge of Chinese text came 1.4 times as late. Lists are read from end to end, so the array does without large pages, which take longer to
//! clear where a host finds their memory anew.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Pair;
use super::cells::{Cell, Cells};
use super::numbers::Numbers;
use super::tallies::Tallies;
use crate::error::{Error, Result};
use crate::processor::prefetch;
use crate::progress::Pulse;
use crate::threads::in_parts;

/// A pair's place in the index.
pub(super) type PairId = u32;

/// Two tokens that stood side by side when the pair was indexed.
#[derive(Clone, Copy, Default)]
pub(super) struct IndexedPair {
    pub(super) tokens: Pair,
    /// Where its list begins: the cells where the left one began, ascending, without the first ones that are known to be gone.
    start: usize,
    length: u32,
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
    numbers: Numbers,
    /// How often each pair occurs now; it only falls.
    counts: Vec<u64>,
    pairs: Vec<IndexedPair>,
    /// The lists of all pairs.
    places: Vec<u32>,
}

impl Index {
    /// Indexes all pairs of `cells` that are wanted. `Error::Corpus` for a count past 2^63.
    pub(super) fn new<C: Cell>(cells: &Cells<C>, wanted: Wanted, pulse: &mut Pulse<'_>) -> Result<Index> {
        let mut tallies = in_parts(0..cells.parts(), pulse, |part, pulse| Tallies::of(cells, part, pulse))?;
        let mut index =
            Index { wanted, numbers: Numbers::new(), counts: Vec::new(), pairs: Vec::new(), places: Vec::new() };
        let mut end = 0;
        Tallies::ask(&mut tallies, |tokens, count, places| {
            if count >= 1 << 63 {
                return Err(Error::Corpus(format!(
                    "the pair {tokens:?} occurs more than 2^63 times: divide all counts by the same number"
                )));
            }
            Ok(wanted.admits(count, cells.length(tokens.0) + cells.length(tokens.1)).then(|| {
                let start = end;
                end += places as usize;
                index.insert(tokens, count, start..end);
                start as u32
            }))
        })?;
        // Memory that the system gives is zero, and is not written a first time for that.
        let places: Vec<_> = vec![0; end + end / 4].into_iter().map(AtomicU32::new).collect();
        in_parts((0..).zip(tallies), pulse, |(part, mut tallies), pulse| {
            cells.each_pair(part, pulse, |at, tokens, _| {
                if let Some(next) = tallies.next_place(tokens) {
                    places[next as usize].store(at, Ordering::Relaxed);
                }
            })
        })?;
        index.places = places.into_iter().map(AtomicU32::into_inner).collect();
        index.places.truncate(end);
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

    pub(super) fn tokens(&self, id: PairId) -> Pair {
        self.pairs[id as usize].tokens
    }

    pub(super) fn count(&self, id: PairId) -> u64 {
        self.counts[id as usize]
    }

    /// Has what tells the number of a pair fetched.
    pub(super) fn prefetch(&self, tokens: Pair) {
        self.numbers.prefetch(tokens);
    }

    /// The number of a pair, if it is here; its count is fetched.
    pub(super) fn find(&self, tokens: Pair) -> Option<PairId> {
        let id = self.numbers.get(tokens)?;
        prefetch(&self.counts, id as usize);
        Some(id)
    }

    /// Adds a pair that is new and has its list in a range of the room that was made.
    pub(super) fn insert(&mut self, tokens: Pair, count: u64, list: Range<usize>) -> PairId {
        let id = self.pairs.len() as PairId;
        self.pairs.push(IndexedPair { tokens, start: list.start, length: list.len() as u32 });
        self.counts.push(count);
        self.numbers.insert(tokens, id);
        id
    }

    /// The list of a pair.
    pub(super) fn places(&self, pair: IndexedPair) -> &[u32] {
        &self.places[pair.start..][..pair.length as usize]
    }

    /// Room for further lists, and where it begins.
    pub(super) fn make_room(&mut self, needed: usize) -> (usize, &mut [u32]) {
        if self.places.len() + needed > self.places.capacity() {
            self.close_up();
            let full = self.places.len() + needed;
            if full + full / 16 > self.places.capacity() {
                self.grow(needed);
            }
        }
        let start = self.places.len();
        self.places.resize(start + needed, 0);
        (start, &mut self.places[start..])
    }

    /// Makes the array larger, by a quarter more than is needed: closing up 100 MB takes 12 ms.
    fn grow(&mut self, needed: usize) {
        let full = self.places.len() + needed;
        self.places.reserve_exact(needed + full / 4);
    }

    /// Closes the gaps that pairs have left that were taken out or have become too rare.
    fn close_up(&mut self) {
        let mut end = 0;
        for (pair, &count) in self.pairs.iter_mut().zip(&self.counts) {
            if count < self.wanted.floor {
                pair.length = 0;
            }
            let start = std::mem::replace(&mut pair.start, end);
            self.places.copy_within(start..start + pair.length as usize, end);
            end += pair.length as usize;
        }
        self.places.truncate(end);
    }

    /// Takes `weight` off the count of a pair.
    pub(super) fn lower(&mut self, id: PairId, weight: u64) {
        self.counts[id as usize] -= weight;
    }

    /// Takes a pair out, to be merged: none of it will be left.
    pub(super) fn take(&mut self, id: PairId) -> IndexedPair {
        let pair = std::mem::take(&mut self.pairs[id as usize]);
        self.numbers.remove(pair.tokens);
        pair
    }

    /// The first cell where a pair still stands. Looks at each of its places once in a run, for what is gone stays gone.
    pub(super) fn first<C: Cell>(&mut self, id: PairId, cells: &Cells<C>) -> Option<u32> {
        let pair = &mut self.pairs[id as usize];
        let list = &self.places[pair.start..][..pair.length as usize];
        let gone = list.iter().position(|&at| cells.holds(pair.tokens, at))?;
        pair.start += gone;
        pair.length -= gone as u32;
        Some(list[gone])
    }
}
