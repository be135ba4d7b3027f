//! One merge: the pair becomes a token wherever it stands, and the pairs around those places change their counts.
//!
//! Changes are gathered by neighbour, so each of those pairs is looked up once per merge, not once per place.

use super::Pair;
use super::cells::{Cell, Cells};
use super::index::{Index, IndexedPair, PairId};
use crate::error::Result;
use crate::progress::Pulse;

/// How many places each stage of a merge is ahead of the next: cells are prefetched; then they are read and weights prefetched; then the
/// pair is merged. Prefetching in bursts took longer.
const AHEAD: usize = 16;

/// In place of the start of a piece: the pair no longer stands there.
const GONE: u32 = u32::MAX;

/// How many neighbours have their pairs looked up side by side.
const GROUP: usize = 32;

/// In place of where a pair's next place goes: the pair is not wanted.
const UNWANTED: u32 = u32::MAX;

/// Merges pairs, one after the other. Between two merges it holds nothing but buffers to reuse.
#[derive(Default)]
pub(super) struct Merger {
    left: Neighbours,
    right: Neighbours,
    created: Vec<PairId>,
}

/// What a merge did.
pub(super) struct Merged<'a> {
    /// In how many places of the corpus the pair became a token.
    pub(super) places: u64,
    /// The new pairs.
    pub(super) created: &'a [PairId],
}

impl Merger {
    /// Replaces `pair` by `token` in all its places and updates the index.
    pub(super) fn merge<C: Cell>(
        &mut self,
        pair: IndexedPair,
        token: u32,
        cells: &mut Cells<C>,
        index: &mut Index,
        pulse: &mut Pulse<'_>,
    ) -> Result<Merged<'_>> {
        let (first, second) = pair.tokens;
        let length = cells.length(token) as u32;
        let wanted = index.wanted;
        let mut merged = 0;
        self.left.make_room(cells.tokens());
        self.right.make_room(cells.tokens());
        self.created.clear();
        let places = index.places(pair);
        let mut starts = [GONE; AHEAD];
        for stage in 0..places.len() + 2 * AHEAD {
            pulse.step(1)?;
            if let Some(&at) = places.get(stage) {
                cells.prefetch(at, length);
            }
            let slot = &mut starts[stage % AHEAD];
            let start = *slot;
            if let Some(&at) = places.get(stage.wrapping_sub(AHEAD)) {
                let start = cells.piece_around(at);
                *slot = if cells.holds(pair.tokens, at) { start } else { GONE };
            }
            // In a run ("aaa") the place before may have taken a token of this one.
            if start != GONE
                && let Some(&at) = places.get(stage.wrapping_sub(2 * AHEAD))
                && (first != second || cells.holds(pair.tokens, at))
            {
                let weight = cells.weight(start);
                let next = at + length;
                if at > start {
                    let left = cells.left_of(at);
                    let start = at - cells.length(left) as u32;
                    self.left.gather(left, start, weight);
                }
                // If the pair follows itself, the merge at the next place will find the new token on its left.
                if let Some(right) = cells.begins_at(next)
                    && !cells.holds(pair.tokens, next)
                {
                    self.right.gather(right, at, weight);
                }
                cells.write(pair.tokens, at, token);
                merged += weight;
            }
        }
        let admits = |neighbour, weight| wanted.admits(weight, cells.length(neighbour) + length as usize);
        let lost = |left| (if left == token { second } else { left }, first);
        self.left.drain(admits, lost, |left| (left, token), index, &mut self.created)?;
        self.right.drain(admits, |right| (second, right), |right| (token, right), index, &mut self.created)?;
        Ok(Merged { places: merged, created: &self.created })
    }
}

/// The tokens on one side of a pair's places, and where they make pairs with the new token.
#[derive(Default)]
struct Neighbours {
    /// By token; zero for those not seen in this merge.
    tallies: Vec<Tally>,
    seen: Vec<u32>,
    /// Each neighbour, with the place of its new pair.
    places: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    weight: u64,
    /// How many places; once these are handed out, where the next one goes.
    places: u32,
}

impl Neighbours {
    fn make_room(&mut self, tokens: usize) {
        self.tallies.resize(tokens, Tally::default());
    }

    fn gather(&mut self, neighbour: u32, place: u32, weight: u64) {
        let tally = &mut self.tallies[neighbour as usize];
        if tally.places == 0 {
            self.seen.push(neighbour);
        }
        tally.weight += weight;
        tally.places += 1;
        self.places.push((neighbour, place));
    }

    /// Empties the buffers into the index. For each neighbour, the pair it was in before, `lost`, now occurs less often, and the pair it is
    /// in now, `made`, is added if `admits(neighbour, weight)`. `Error::Memory` if there is no room for it.
    fn drain(
        &mut self,
        admits: impl Fn(u32, u64) -> bool,
        lost: impl Fn(u32) -> Pair,
        made: impl Fn(u32) -> Pair,
        index: &mut Index,
        created: &mut Vec<PairId>,
    ) -> Result<()> {
        let mut needed = 0;
        for &neighbour in &self.seen {
            index.prefetch(lost(neighbour));
            let tally = &mut self.tallies[neighbour as usize];
            let places = tally.places;
            tally.places = UNWANTED;
            if admits(neighbour, tally.weight) {
                tally.places = needed;
                needed += places;
            }
        }
        let (start, room) = index.make_room(needed as usize)?;
        for (neighbour, place) in self.places.drain(..) {
            let tally = &mut self.tallies[neighbour as usize];
            if tally.places != UNWANTED {
                room[tally.places as usize] = place;
                tally.places += 1;
            }
        }
        let mut ids = [None; GROUP];
        let mut begin = start;
        for group in self.seen.chunks(GROUP) {
            for (id, &neighbour) in ids.iter_mut().zip(group) {
                *id = index.find(lost(neighbour));
                index.prefetch(made(neighbour));
            }
            for (id, &neighbour) in ids.iter().zip(group) {
                let Tally { weight, places } = std::mem::take(&mut self.tallies[neighbour as usize]);
                if let Some(id) = *id {
                    index.lower(id, weight);
                }
                if places != UNWANTED {
                    let end = start + places as usize;
                    created.push(index.insert(made(neighbour), weight, begin..end));
                    begin = end;
                }
            }
        }
        self.seen.clear();
        Ok(())
    }
}
