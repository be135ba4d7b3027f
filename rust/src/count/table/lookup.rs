//! Counting the pieces of a text, in groups: while the slots of one are on their way from memory, those of the one before are read.

use std::ops::Range;

use super::{GROUP, Look, Slot, Table, place_of, shift};
use crate::count::{Piece, Position};
use crate::error::Result;
use crate::key::{Key, SHORT};
use crate::processor::{Instructions, Work, prefetch};

/// What `Table::count` does.
pub(super) struct CountPieces<'a, 'l, P> {
    pub(super) table: &'a mut Table,
    pub(super) text: &'a [u8],
    pub(super) start: usize,
    pub(super) ends: &'a [u32],
    pub(super) position: P,
    pub(super) look: &'a mut Look<'l>,
}

impl<P: Fn(usize) -> Position> Work for CountPieces<'_, '_, P> {
    type Done = Result<()>;

    #[inline(always)]
    fn run<I: Instructions>(self) -> Result<()> {
        let CountPieces { table, text, start, ends, position, look } = self;
        let text = &text[start..];
        let piece = |number: u32| {
            let bytes = &text[start_of(number as usize, ends)..ends[number as usize] as usize];
            Piece { first: position(start + start_of(number as usize, ends)), bytes, count: 1 }
        };
        let (mut coming, mut there) = (&mut Group::new(), &mut Group::new());
        // Pieces that wait, by number.
        let mut others = Vec::new();
        for first in (0..ends.len()).step_by(GROUP) {
            coming.fetch::<I>(table, text, ends, first..ends.len().min(first + GROUP));
            there.count(&mut table.slots, &mut others);
            std::mem::swap(&mut coming, &mut there);
            if others.len() >= GROUP {
                // First what is on its way: the table may grow, and then all slots are elsewhere.
                there.count(&mut table.slots, &mut others);
                table.add_all(others.drain(..).map(piece), look)?;
            }
        }
        there.count(&mut table.slots, &mut others);
        table.add_all(others.drain(..).map(piece), look)
    }
}

/// Where a piece starts.
#[inline(always)]
fn start_of(number: usize, ends: &[u32]) -> usize {
    if number == 0 { 0 } else { ends[number - 1] as usize }
}

/// Pieces whose slots are on the way.
struct Group {
    /// Their numbers.
    pieces: Range<usize>,
    keys: [Key; GROUP],
    homes: [usize; GROUP],
}

impl Group {
    fn new() -> Group {
        Group { pieces: 0..0, keys: [Key::default(); GROUP], homes: [0; GROUP] }
    }

    /// Makes the keys of some pieces of `text`, and has the slots fetched where they may be.
    #[inline(always)]
    fn fetch<I: Instructions>(&mut self, table: &Table, text: &[u8], ends: &[u32], pieces: Range<usize>) {
        let (slots, seeds) = (&table.slots[..], table.seeds);
        let shift = shift(slots);
        let mut from = start_of(pieces.start, ends);
        self.pieces = pieces.clone();
        let eights = self.keys.as_chunks_mut::<8>().0.iter_mut().zip(self.homes.as_chunks_mut::<8>().0);
        for (ends, (keys, homes)) in ends[pieces].chunks(8).zip(eights) {
            let mut spread = [0; 8];
            let made = match ends.try_into() {
                Ok(ends) => I::eight_keys(text, from, ends, seeds, keys, &mut spread),
                Err(_) => false,
            };
            if !made {
                for ((key, spread), &end) in keys.iter_mut().zip(&mut spread).zip(ends) {
                    let end = end as usize;
                    if end - from <= SHORT {
                        *spread = seeds.spread(key.write::<I>(text, from, end));
                    } else {
                        *key = Key::MARK;
                    }
                    from = end;
                }
            }
            from = ends[ends.len() - 1] as usize;
            homes.iter_mut().zip(spread).for_each(|(home, spread)| *home = place_of(spread, shift));
        }
        // Side by side, so that they wait for the addresses of their pages together.
        self.homes[..self.pieces.len()].iter().for_each(|&home| prefetch(slots, home));
    }

    /// Counts those that are where the search for them begins; the others wait.
    #[inline(always)]
    fn count(&mut self, slots: &mut [Slot], others: &mut Vec<u32>) {
        let homes = &self.homes[..self.pieces.len()];
        for (number, (key, &home)) in (self.pieces.start as u32..).zip(self.keys.iter().zip(homes)) {
            let slot = &mut slots[home];
            if slot.key == *key {
                slot.count += 1;
            } else {
                others.push(number);
            }
        }
        self.pieces = 0..0;
    }
}
