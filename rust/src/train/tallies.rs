//! The first count of pairs: how often each two neighbours occur, and in how many places.
//!
//! As long as tokens are few, each pair has a place in a table: hashing the pairs took half of the time of the first index.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::Pair;
use super::cells::{Cell, Cells};
use crate::error::Result;
use crate::progress::Pulse;

/// The entries that a table may have, of 16 bytes each.
const MOST: usize = 1 << 22;

/// In place of where the index puts a place: there are fewer places than cells, and these have numbers below it.
pub(super) const UNWANTED: u32 = u32::MAX;

/// What there is of a pair.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    /// How often it occurs, or as often as a count can tell.
    pub(super) count: u64,
    /// In how many places.
    pub(super) places: u32,
    /// Where the index puts its next place; `UNWANTED` as long as it wants none.
    pub(super) next: u32,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { count: 0, places: 0, next: UNWANTED }
    }
}

/// Pairs by their tokens.
pub(super) type PairMap<T> = HashMap<Pair, T, BuildHasherDefault<PairHasher>>;

/// All pairs of some cells.
pub(super) enum Tallies {
    /// Row by row, a row for each left token.
    Table { tokens: usize, rows: Vec<Tally> },
    /// Of more tokens.
    Map(PairMap<Tally>),
}

impl Tallies {
    /// Counts the pairs of `cells`.
    pub(super) fn of<C: Cell>(cells: &Cells<C>, pulse: &mut Pulse<'_>) -> Result<Tallies> {
        let tokens = cells.tokens();
        let mut tallies = if tokens <= 256 || tokens * tokens <= MOST.min(cells.count()) {
            Tallies::Table { tokens, rows: vec![Tally::default(); tokens * tokens] }
        } else {
            Tallies::Map(PairMap::default())
        };
        cells.each_pair(pulse, |_, tokens, weight| {
            let tally = tallies.get(tokens);
            tally.count = tally.count.saturating_add(weight);
            tally.places += 1;
        })?;
        Ok(tallies)
    }

    /// What there is of a pair, nothing at first.
    #[inline(always)]
    pub(super) fn get(&mut self, (left, right): Pair) -> &mut Tally {
        match self {
            Tallies::Table { tokens, rows } => &mut rows[left as usize * *tokens + right as usize],
            Tallies::Map(map) => map.entry((left, right)).or_default(),
        }
    }

    /// Calls `each` for each pair that there is, until it fails.
    pub(super) fn each(&mut self, mut each: impl FnMut(Pair, &mut Tally) -> Result<()>) -> Result<()> {
        match self {
            Tallies::Table { tokens, rows } => (0..).zip(rows.chunks_mut(*tokens)).try_for_each(|(left, row)| {
                let mut used = (0..).zip(row).filter(|(_, tally)| tally.places > 0);
                used.try_for_each(|(right, tally)| each((left, right), tally))
            }),
            Tallies::Map(map) => map.iter_mut().try_for_each(|(&tokens, tally)| each(tokens, tally)),
        }
    }
}

/// A multiplication, folded: the ids are dense, and nobody chooses them.
#[derive(Default)]
pub(super) struct PairHasher(u64);

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
