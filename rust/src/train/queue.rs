//! Which pair to merge next: the most frequent, and among equals the one that the tie rule names.
//!
//! While a pair lives its count only falls and its first place only rises, so an entry may be too good but never too bad: if the
//! best entry tells the truth, its pair is the best; if not, it is put right and the next best is looked at.

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::TieBreak;
use super::cells::Cells;
use super::index::{Index, PairId};

/// A max-heap whose entries are put right when they come up.
pub(super) struct Queue {
    rule: TieBreak,
    heap: BinaryHeap<Entry>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: Key,
    pair: PairId,
}

/// The count, then how the tie rule likes the pair, in one number. No two pairs have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

impl Queue {
    /// All pairs of `index`.
    pub(super) fn new(rule: TieBreak, index: &mut Index, cells: &Cells) -> Queue {
        let heap = index.ids().filter_map(|pair| entry(rule, pair, index, cells)).collect();
        Queue { rule, heap }
    }

    /// Adds a pair.
    pub(super) fn push(&mut self, pair: PairId, index: &mut Index, cells: &Cells) {
        self.heap.extend(entry(self.rule, pair, index, cells));
    }

    /// The best pair, `None` if none has the count that the index asks for.
    pub(super) fn pop(&mut self, index: &mut Index, cells: &Cells) -> Option<PairId> {
        loop {
            let mut top = self.heap.peek_mut()?;
            match entry(self.rule, top.pair, index, cells) {
                Some(live) if live == *top => return Some(PeekMut::pop(top).pair),
                Some(live) => *top = live,
                None => drop(PeekMut::pop(top)),
            }
        }
    }
}

/// A pair as it is now, `None` if its count is below the floor.
fn entry(rule: TieBreak, pair: PairId, index: &mut Index, cells: &Cells) -> Option<Entry> {
    let count = index.get(pair).count;
    if count < index.wanted().floor {
        return None;
    }
    let (left, right) = index.get(pair).tokens;
    let tie = match rule {
        TieBreak::First => u64::from(index.first(pair, cells)?),
        TieBreak::Lowest => u64::from(left) << 32 | u64::from(right),
    };
    Some(Entry { key: Key(u128::from(count) << 64 | u128::from(!tie)), pair })
}
