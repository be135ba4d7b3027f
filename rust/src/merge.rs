//! Merging one piece: from its bytes to the tokens that byte pair encoding makes of them.
//!
//! The rule: while some two neighbours have a merge, join the pair of lowest rank, the leftmost among equals. There are three ways to the
//! same result: up to 64 bytes on the stack; longer pieces with a heap or, where each token has one pair of parents, in blocks
//! (`blocks.rs`), which is linear and stays in the first-level cache.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::blocks::merge_in_blocks;
use crate::error::Result;
use crate::meetings::Meetings;
use crate::progress::Look;
use crate::table::Pairs;

/// Pieces up to this length are merged on the stack; also the length of the first block of a longer one.
pub(crate) const SHORT: usize = 64;

/// What merging needs to know of a vocabulary. Tokens are indices, and of two merges the lower index goes first.
pub(crate) struct Rules<'a> {
    pub(crate) pairs: Pairs<'a>,
    /// The two tokens that index 256 + i was made of. Empty if some token has several pairs of parents.
    pub(crate) parents: &'a [(u32, u32)],
    /// Where each token's bytes start in the arena, and where the last one's end: differences are lengths.
    pub(crate) starts: &'a [u32],
    /// Which bytes meet in tokens, if that is already known.
    pub(crate) meetings: Option<&'a Meetings>,
}

impl Rules<'_> {
    /// Appends the tokens of `piece` to `out`. O(n log n) at most, linear in nearly all cases. Nothing fails but `look`.
    pub(crate) fn merge(&self, piece: &[u8], out: &mut Vec<u32>, look: &mut Look<'_>) -> Result<()> {
        if piece.len() <= SHORT {
            merge_short(self.pairs, piece, out);
            Ok(())
        } else if self.parents.is_empty() {
            merge_by_heap(self.pairs, piece, out, look)
        } else {
            merge_in_blocks(self, piece, out, look)
        }
    }

    /// Would `left` and `right` stay as they are if their bytes stood side by side?
    ///
    /// Undo their merges, the latest first (of two of one rank, the right one is later): if at any time the two tokens at the seam could
    /// have been joined before the merge that is undone next, they would have been. A sequence of tokens is what merging makes of its bytes
    /// exactly if all its seams hold (rust-gems, `bpe`, calls such neighbours compatible). O(depth of the merges).
    pub(crate) fn seam_holds(&self, left: u32, right: u32) -> bool {
        self.seam_holds_below(left, right, u32::MAX)
    }

    /// Like `seam_holds`, but merges from the index `limit` on may cross the seam.
    pub(crate) fn seam_holds_below(&self, mut left: u32, mut right: u32, mut limit: u32) -> bool {
        loop {
            if self.pairs.get(left, right).is_some_and(|merged| merged < limit) {
                return false;
            }
            match (self.parents_of(left), self.parents_of(right)) {
                (Some((_, end)), other) if left > right || other.is_none() => {
                    limit = left;
                    left = end;
                }
                // A merge at the seam of the same rank as `right` would have gone first, being further left.
                (_, Some((start, _))) => {
                    limit = right + 1;
                    right = start;
                }
                _ => return true,
            }
        }
    }

    fn parents_of(&self, token: u32) -> Option<(u32, u32)> {
        (token >= 256).then(|| self.parents[token as usize - 256])
    }

    pub(crate) fn length(&self, token: u32) -> usize {
        (self.starts[token as usize + 1] - self.starts[token as usize]) as usize
    }
}

/// Up to 64 bytes. Bit i of `live` says that a token starts at byte i, so neighbours are found by counting zeros and nothing is moved.
/// `keys[i]` is `merged << 6 | i` for the merge of the token at i with its right neighbour: one minimum gives the lowest rank and, among
/// equals, the leftmost.
pub(crate) fn merge_short(pairs: Pairs<'_>, piece: &[u8], out: &mut Vec<u32>) {
    const NONE: u32 = u32::MAX;
    let n = piece.len();
    if n < 2 {
        out.extend(piece.iter().map(|&byte| u32::from(byte)));
        return;
    }
    let mut tokens = [0u32; SHORT];
    let mut keys = [NONE; SHORT];
    for (token, &byte) in tokens.iter_mut().zip(piece) {
        *token = u32::from(byte);
    }
    for (i, two) in piece.windows(2).enumerate() {
        keys[i] = pairs.get_bytes(two[0], two[1]).map_or(NONE, |merged| merged << 6 | i as u32);
    }
    let key = |left: u32, right: u32, at: usize| pairs.get(left, right).map_or(NONE, |merged| merged << 6 | at as u32);
    let mut live = u64::MAX >> (64 - n);
    let used = n.next_multiple_of(16);
    loop {
        let lowest = keys[..used].iter().fold(NONE, |lowest, &key| lowest.min(key));
        if lowest == NONE {
            break;
        }
        let (at, merged) = ((lowest & 63) as usize, lowest >> 6);
        let after = live & (!1 << at);
        let right = after.trailing_zeros() as usize;
        live &= !(1 << right);
        tokens[at] = merged;
        keys[right] = NONE;
        let beyond = after & after.wrapping_sub(1);
        keys[at] = if beyond == 0 { NONE } else { key(merged, tokens[beyond.trailing_zeros() as usize], at) };
        let before = live & ((1 << at) - 1);
        if before != 0 {
            let left = 63 - before.leading_zeros() as usize;
            keys[left] = key(tokens[left], merged, left);
        }
    }
    while live != 0 {
        out.push(tokens[live.trailing_zeros() as usize]);
        live &= live - 1;
    }
}

/// Any length.
pub(crate) fn merge_by_heap(pairs: Pairs<'_>, piece: &[u8], out: &mut Vec<u32>, look: &mut Look<'_>) -> Result<()> {
    let mut tokens = piece.iter().map(|&byte| u32::from(byte)).collect();
    Chain::default().merge(pairs, &mut tokens, look)?;
    out.extend_from_slice(&tokens);
    Ok(())
}

/// A row of tokens, some of which are joined: each knows its neighbours, and a heap has the merges by rank, then place. A merge in the heap
/// is stale when its two tokens no longer stand there.
#[derive(Default)]
pub(crate) struct Chain {
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Chain {
    /// Joins neighbours that have a merge, the one of lowest rank first and the leftmost among equals.
    pub(crate) fn merge(&mut self, pairs: Pairs<'_>, tokens: &mut Vec<u32>, look: &mut Look<'_>) -> Result<()> {
        const GONE: u32 = u32::MAX;
        let Chain { next, previous, heap } = self;
        let n = tokens.len();
        let found = tokens.windows(2).zip(0..).filter_map(|(two, at)| Some(Reverse((pairs.get(two[0], two[1])?, at))));
        heap.clear();
        heap.extend(found);
        if heap.is_empty() {
            return Ok(());
        }
        next.clear();
        next.extend(1..=n as u32);
        previous.clear();
        previous.extend((0..n as u32).map(|at| at.wrapping_sub(1)));
        while let Some(Reverse((merged, place))) = heap.pop() {
            look(1)?;
            let at = place as usize;
            let right = next[at] as usize;
            if tokens[at] == GONE || right >= n || pairs.get(tokens[at], tokens[right]) != Some(merged) {
                continue;
            }
            tokens[at] = merged;
            tokens[right] = GONE;
            let beyond = next[right];
            next[at] = beyond;
            if (beyond as usize) < n {
                previous[beyond as usize] = place;
                heap.extend(pairs.get(merged, tokens[beyond as usize]).map(|later| Reverse((later, place))));
            }
            if at > 0 {
                let left = previous[at];
                heap.extend(pairs.get(tokens[left as usize], merged).map(|later| Reverse((later, left))));
            }
        }
        tokens.retain(|&token| token != GONE);
        Ok(())
    }
}
