//! The first count of pairs: how often each pair of neighbours occurs, and in how many places.
//!
//! While tokens are few, each pair has its own entry in a table: hashing the pairs took half of the time of the first index.

use std::iter;

use super::Pair;
use super::cells::{Cell, Cells};
use crate::error::Result;
use crate::hash::NumberMap;
use crate::progress::Pulse;

/// The most entries, of 16 bytes each, that the tables of all parts may have together.
const MOST: usize = 1 << 22;

/// In place of where the index puts a place: the pair is not wanted. It cannot be mistaken for one: there are fewer places than cells, and
/// cells have numbers below it.
const UNWANTED: u32 = u32::MAX;
/// Likewise: the index has not been asked about the pair yet.
const UNASKED: u32 = u32::MAX - 1;

/// How a pair occurs in one part of the cells.
#[derive(Clone, Copy)]
pub(super) struct Tally {
    /// How often it occurs; saturates.
    count: u64,
    /// In how many places.
    places: u32,
    /// Where the index puts its next place, or one of the two values above.
    next: u32,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { count: 0, places: 0, next: UNASKED }
    }
}

/// All pairs of a part of the cells.
pub(super) enum Tallies {
    /// Row by row, with a row for each left token.
    Table { tokens: usize, rows: Vec<Tally> },
    /// For more tokens than a table is made for.
    Map(NumberMap<Pair, Tally>),
}

impl Tallies {
    /// Counts the pairs of a part of `cells`.
    pub(super) fn of<C: Cell>(cells: &Cells<C>, part: usize, pulse: &mut Pulse<'_>) -> Result<Tallies> {
        let tokens = cells.tokens();
        let mut tallies = if tokens <= 256 || tokens * tokens <= MOST.min(cells.count()) / cells.parts() {
            Tallies::Table { tokens, rows: vec![Tally::default(); tokens * tokens] }
        } else {
            Tallies::Map(NumberMap::default())
        };
        cells.each_pair(part, pulse, |_, tokens, weight| {
            let tally = tallies.get(tokens);
            tally.count = tally.count.saturating_add(weight);
            tally.places += 1;
        })?;
        Ok(tallies)
    }

    /// Calls `wants(pair, count, places)` once for each pair that occurs in any of `parts`, with its count and its number of places in all
    /// of them. `wants` returns where the pair's places go, those of the first part first, or `None` if it is not wanted.
    pub(super) fn ask(
        mut parts: &mut [Tallies],
        mut wants: impl FnMut(Pair, u64, u32) -> Result<Option<u32>>,
    ) -> Result<()> {
        while let Some((part, others)) = parts.split_first_mut() {
            part.each(|tokens, tally| {
                if tally.next != UNASKED {
                    return Ok(());
                }
                let (mut count, mut places) = (tally.count, tally.places);
                for other in others.iter_mut().filter_map(|other| other.find(tokens)) {
                    count = count.saturating_add(other.count);
                    places += other.places;
                }
                let mut next = wants(tokens, count, places)?;
                for tally in iter::once(tally).chain(others.iter_mut().filter_map(|other| other.find(tokens))) {
                    tally.next = next.unwrap_or(UNWANTED);
                    next = next.map(|next| next + tally.places);
                }
                Ok(())
            })?;
            parts = others;
        }
        Ok(())
    }

    /// Where the next place of a pair goes, if the pair is wanted. `ask` must have been called before.
    #[inline(always)]
    pub(super) fn next_place(&mut self, tokens: Pair) -> Option<u32> {
        let next = &mut self.get(tokens).next;
        if *next == UNWANTED {
            return None;
        }
        *next += 1;
        Some(*next - 1)
    }

    /// The tally of a pair, empty at first.
    #[inline(always)]
    fn get(&mut self, (left, right): Pair) -> &mut Tally {
        match self {
            Tallies::Table { tokens, rows } => &mut rows[left as usize * *tokens + right as usize],
            Tallies::Map(map) => map.entry((left, right)).or_default(),
        }
    }

    /// The tally of a pair, if it has one.
    fn find(&mut self, pair: Pair) -> Option<&mut Tally> {
        match self {
            Tallies::Table { .. } => Some(self.get(pair)),
            Tallies::Map(map) => map.get_mut(&pair),
        }
    }

    /// Calls `each` for each pair that occurs, until it fails.
    fn each(&mut self, mut each: impl FnMut(Pair, &mut Tally) -> Result<()>) -> Result<()> {
        match self {
            Tallies::Table { tokens, rows } => (0..).zip(rows.chunks_mut(*tokens)).try_for_each(|(left, row)| {
                let mut used = (0..).zip(row).filter(|(_, tally)| tally.places > 0);
                used.try_for_each(|(right, tally)| each((left, right), tally))
            }),
            Tallies::Map(map) => map.iter_mut().try_for_each(|(&tokens, tally)| each(tokens, tally)),
        }
    }
}
