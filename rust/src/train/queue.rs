//! Which pair to merge next: the most frequent, and among equals the one that the tie rule names.
//!
//! While a pair lives its count only falls and its first place only rises, so what the queue knows may be too good but never too bad:
//! a pair that comes up and is still as good is the best; if not, it is put where it belongs.
//!
//! No pair comes that has a higher count than the last one popped, so this is a radix heap (Ahuja, Mehlhorn, Orlin and Tarjan,
//! "Faster algorithms for the shortest path problem", 1990): most pairs are too rare to be merged, and cost four bytes and one step.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::TieBreak;
use super::cells::{Cell, Cells};
use super::index::{Index, PairId};

/// All pairs that have the count that the index asks for.
pub(super) struct Queue {
    rule: TieBreak,
    /// The highest count.
    best: u64,
    /// Those with this count, the one first that the tie rule names.
    ties: BinaryHeap<Reverse<(u64, PairId)>>,
    /// Those with lower ones, by the highest bit in which these differ from the best: the lower, the better.
    rest: [Vec<PairId>; 64],
}

impl Queue {
    /// All pairs of `index`.
    pub(super) fn new<C: Cell>(rule: TieBreak, index: &mut Index, cells: &Cells<C>) -> Queue {
        let mut queue = Queue { rule, best: u64::MAX, ties: BinaryHeap::new(), rest: [const { Vec::new() }; 64] };
        index.ids().for_each(|pair| queue.push(pair, index, cells));
        queue
    }

    /// Adds a pair whose count is at most that of the last one popped.
    pub(super) fn push<C: Cell>(&mut self, pair: PairId, index: &mut Index, cells: &Cells<C>) {
        let count = index.count(pair);
        if count < index.wanted().floor {
            return;
        }
        match (count ^ self.best).checked_ilog2() {
            Some(bit) => self.rest[bit as usize].push(pair),
            None => self.ties.extend(self.tie(pair, index, cells).map(|tie| Reverse((tie, pair)))),
        }
    }

    /// The best pair, `None` if none has the count that the index asks for.
    pub(super) fn pop<C: Cell>(&mut self, index: &mut Index, cells: &Cells<C>) -> Option<PairId> {
        loop {
            while let Some(Reverse((tie, pair))) = self.ties.pop() {
                if index.count(pair) == self.best && self.tie(pair, index, cells) == Some(tie) {
                    return Some(pair);
                }
                self.push(pair, index, cells);
            }
            let better = self.rest.iter().position(|pairs| !pairs.is_empty())?;
            // Those whose counts fell meanwhile go where they belong.
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

    /// The lower, the sooner among pairs of the same count.
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
