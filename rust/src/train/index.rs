//! The pairs that still matter: how often each occurs, and where.
//!
//! Places are not removed from a pair's list when merges take them: the cells show that a place is gone, and it never comes back. A merge
//! at one place leaves one token less and adds at most two places to the lists of new pairs, so all lists together hold at most three
//! places per byte. The lists lie in one array, in the order of the pairs. When it is full, the lists that still matter are moved together.
//! With one list per pair, the first merge of Chinese text came 1.4 times as late. Lists are read from end to end, so the array does
//! without large pages, which take longer to clear where a host has to find the memory first.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cells::{Cell, Cells};
use super::numbers::Numbers;
use super::tallies::Tallies;
use super::{Pair, no_memory, zeros};
use crate::error::{Error, Result};
use crate::processor::prefetch;
use crate::progress::Pulse;
use crate::threads::in_parts;

/// A pair's number: its place in the index.
pub(super) type PairId = u32;

/// Two tokens that stood side by side when the pair was indexed.
#[derive(Clone, Copy, Default)]
pub(super) struct IndexedPair {
    pub(super) tokens: Pair,
    /// Where its list starts: the cells where the left token began, ascending, without the leading ones known to be gone.
    start: usize,
    length: u32,
}

/// Which pairs are worth indexing.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The lowest count that a pair may have.
    pub(super) floor: u64,
    /// The most bytes that its token may have.
    pub(super) max_length: usize,
}

impl Wanted {
    /// Whether a pair with this count, and a token of this length, is worth indexing.
    pub(super) fn admits(self, count: u64, length: usize) -> bool {
        count >= self.floor && length <= self.max_length
    }
}

/// Pairs by their tokens. Pairs that were not wanted when they came up are left out and treated as if they did not exist.
pub(super) struct Index {
    /// Which pairs are indexed.
    pub(super) wanted: Wanted,
    numbers: Numbers,
    /// How often each pair occurs now; it only falls.
    counts: Vec<u64>,
    pairs: Vec<IndexedPair>,
    /// The lists of all pairs, one after the other.
    places: Vec<u32>,
}

impl Index {
    /// Indexes all pairs of `cells` that are wanted. `Error::Corpus` for a count past 2^63, `Error::Memory` if there is too little.
    pub(super) fn new<C: Cell>(cells: &Cells<C>, wanted: Wanted, pulse: &mut Pulse<'_>) -> Result<Index> {
        let mut tallies =
            in_parts(0..cells.parts(), cells.parts(), pulse, |part, pulse| Tallies::of(cells, part, pulse))?;
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
        let places: Vec<_> = zeros(end + end / 4)?.into_iter().map(AtomicU32::new).collect();
        in_parts((0..).zip(tallies), cells.parts(), pulse, |(part, mut tallies), pulse| {
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

    /// The numbers of all pairs.
    pub(super) fn ids(&self) -> Range<PairId> {
        0..self.pairs.len() as PairId
    }

    pub(super) fn tokens(&self, id: PairId) -> Pair {
        self.pairs[id as usize].tokens
    }

    pub(super) fn count(&self, id: PairId) -> u64 {
        self.counts[id as usize]
    }

    /// Prefetches the slot that tells a pair's number.
    pub(super) fn prefetch(&self, tokens: Pair) {
        self.numbers.prefetch(tokens);
    }

    /// The number of a pair, if it is indexed. Prefetches its count.
    pub(super) fn find(&self, tokens: Pair) -> Option<PairId> {
        let id = self.numbers.get(tokens)?;
        prefetch(&self.counts, id as usize);
        Some(id)
    }

    /// Adds a new pair, whose list is a range of the room that was made.
    pub(super) fn insert(&mut self, tokens: Pair, count: u64, list: Range<usize>) -> PairId {
        let id = self.pairs.len() as PairId;
        self.pairs.push(IndexedPair { tokens, start: list.start, length: list.len() as u32 });
        self.counts.push(count);
        self.numbers.insert(tokens, id);
        id
    }

    /// The list of a pair's places.
    pub(super) fn places(&self, pair: IndexedPair) -> &[u32] {
        &self.places[pair.start..][..pair.length as usize]
    }

    /// Makes room for further lists; returns where it begins, and the room. `Error::Memory` if there is none.
    pub(super) fn make_room(&mut self, needed: usize) -> Result<(usize, &mut [u32])> {
        if self.places.len() + needed > self.places.capacity() {
            self.close_up();
            let full = self.places.len() + needed;
            // A quarter more than is needed: closing up 100 MB takes 12 ms.
            if full + full / 16 > self.places.capacity() {
                self.places.try_reserve_exact(needed + full / 4).map_err(no_memory)?;
            }
        }
        let start = self.places.len();
        self.places.resize(start + needed, 0);
        Ok((start, &mut self.places[start..]))
    }

    /// Closes the gaps left by pairs that were removed or have become too rare.
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

    /// Subtracts `weight` from the count of a pair.
    pub(super) fn lower(&mut self, id: PairId, weight: u64) {
        self.counts[id as usize] -= weight;
    }

    /// Removes a pair that is about to be merged: none of it will be left.
    pub(super) fn take(&mut self, id: PairId) -> IndexedPair {
        let pair = std::mem::take(&mut self.pairs[id as usize]);
        self.numbers.remove(pair.tokens);
        pair
    }

    /// The first cell where a pair still stands. What is gone stays gone, so in a whole training each place is skipped at most once.
    pub(super) fn first<C: Cell>(&mut self, id: PairId, cells: &Cells<C>) -> Option<u32> {
        let pair = &mut self.pairs[id as usize];
        let list = &self.places[pair.start..][..pair.length as usize];
        let gone = list.iter().position(|&at| cells.holds(pair.tokens, at))?;
        pair.start += gone;
        pair.length -= gone as u32;
        Some(list[gone])
    }
}
