//! Which pair to merge next: the most frequent, and among equals the one that the tie rule names.
//!
//! While a pair lives, its count only falls and its first place only rises, so an entry may look too good but never too bad. A pair that
//! comes up and is still as good as its entry is the best; otherwise it is put back where it belongs.
//!
//! No pair is pushed with a higher count than the last one popped, so this is a radix heap (Ahuja, Mehlhorn, Orlin and Tarjan, "Faster
//! algorithms for the shortest path problem", 1990): most pairs are too rare ever to be merged, and cost four bytes and one step.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::TieBreak;
use super::cells::{Cell, Cells};
use super::index::{Index, PairId};

/// All pairs whose count is not below the index's floor.
pub(super) struct Queue {
    rule: TieBreak,
    /// The highest count.
    best: u64,
    /// The pairs with this count, the one that the tie rule names on top.
    ties: BinaryHeap<Reverse<(u64, PairId)>>,
    /// The pairs with lower counts, by the highest bit in which these differ from `best`: the lower the bit, the higher the count.
    rest: [Vec<PairId>; 64],
}

impl Queue {
    /// A queue of all pairs of `index`.
    pub(super) fn new<C: Cell>(rule: TieBreak, index: &mut Index, cells: &Cells<C>) -> Queue {
        let mut queue = Queue { rule, best: u64::MAX, ties: BinaryHeap::new(), rest: [const { Vec::new() }; 64] };
        index.ids().for_each(|pair| queue.push(pair, index, cells));
        queue
    }

    /// Adds a pair whose count is at most that of the last one popped.
    pub(super) fn push<C: Cell>(&mut self, pair: PairId, index: &mut Index, cells: &Cells<C>) {
        let count = index.count(pair);
        if count < index.wanted.floor {
            return;
        }
        match (count ^ self.best).checked_ilog2() {
            Some(bit) => self.rest[bit as usize].push(pair),
            None => self.ties.extend(self.tie(pair, index, cells).map(|tie| Reverse((tie, pair)))),
        }
    }

    /// Removes and returns the best pair; `None` if no pair reaches the index's floor.
    pub(super) fn pop<C: Cell>(&mut self, index: &mut Index, cells: &Cells<C>) -> Option<PairId> {
        loop {
            while let Some(Reverse((tie, pair))) = self.ties.pop() {
                if index.count(pair) == self.best && self.tie(pair, index, cells) == Some(tie) {
                    return Some(pair);
                }
                self.push(pair, index, cells);
            }
            let better = self.rest.iter().position(|pairs| !pairs.is_empty())?;
            // Pairs whose counts have fallen meanwhile go where they belong.
            self.sort(better, index, cells);
            if let Some(best) = self.rest[better].iter().map(|&pair| index.count(pair)).max() {
                self.best = best;
                self.sort(better, index, cells);
            }
        }
    }

    fn sort<C: Cell>(&mut self, bit: usize, index: &mut Index, cells: &Cells<C>) {
        std::mem::take(&mut self.rest[bit]).into_iter().for_each(|pair| self.push(pair, index, cells));
    }

    /// The order among pairs of the same count, the lowest first.
    fn tie<C: Cell>(&self, pair: PairId, index: &mut Index, cells: &Cells<C>) -> Option<u64> {
        match self.rule {
            TieBreak::First => index.first(pair, cells).map(u64::from),
            TieBreak::Lowest => {
                let (left, right) = index.tokens(pair);
                Some(u64::from(left) << 32 | u64::from(right))
            }
        }
    }
}
