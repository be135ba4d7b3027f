//! How a table grows: where it is, as far as it has addresses.

use super::super::{Position, no_memory, no_memory_for_a_piece, room};
use super::{Look, Slot, Table};
use crate::error::Result;

/// A table gets addresses for so many times the slots that it needs, and grows where it is: memory is taken as it is written, and new pages
/// have to be cleared. With a ceiling it gets no more than it needs, for some ceilings are on addresses.
const AHEAD: usize = 4;

/// Slots that are cleared or moved between two looks at whether to stop: a millisecond.
const LOOKED: usize = 1 << 16;

impl Table {
    /// Makes room for so many more pieces and bytes, so that adding them moves no slot. If `look` stops it all pieces are there, and are where
    /// they are looked for once another call comes to its end.
    pub(in crate::count) fn reserve(&mut self, pieces: usize, bytes: usize, look: &mut Look<'_>) -> Result<()> {
        let fits = self.slots_for(pieces) <= self.slots.len() && self.bytes.capacity() - self.bytes.len() >= bytes;
        if fits && self.unmoved == 0 {
            return Ok(());
        }
        self.settle(look)?;
        if self.overflow.as_ref().is_some_and(|overflow| self.while_growing(pieces, bytes) > overflow.ceiling) {
            self.spill(look)?;
        }
        self.grow(pieces, bytes, look)
    }

    /// The slots that so many more pieces ask for.
    fn slots_for(&self, pieces: usize) -> usize {
        ((self.ends.len() + pieces) * 4).div_ceil(3).next_power_of_two()
    }

    /// The pieces that so many slots are for.
    fn most(slots: usize) -> usize {
        slots / 4 * 3
    }

    /// The bytes that the table takes while `grow` works, old and new.
    fn while_growing(&self, pieces: usize, bytes: usize) -> usize {
        let slots = self.slots.len();
        let wanted = self.slots_for(pieces);
        let more = if wanted > slots { wanted } else { 0 };
        let text = self.bytes.capacity().max((self.bytes.len() + bytes).next_power_of_two());
        let each = size_of::<usize>() + size_of::<Position>();
        (slots + more) * size_of::<Slot>() + Table::most(slots.max(more)) * each + text
    }

    fn grow(&mut self, pieces: usize, bytes: usize, look: &mut Look<'_>) -> Result<()> {
        let alone = self.overflow.as_ref().is_some_and(|overflow| bytes > overflow.ceiling);
        self.bytes.try_reserve(bytes).map_err(if alone { no_memory_for_a_piece } else { no_memory })?;
        let wanted = self.slots_for(pieces);
        if wanted <= self.slots.len() {
            return Ok(());
        }
        let most = Table::most(wanted);
        self.ends.try_reserve_exact(most - self.ends.len()).map_err(no_memory)?;
        self.firsts.try_reserve_exact(most - self.firsts.len()).map_err(no_memory)?;
        if wanted > self.slots.capacity() {
            let ahead = if self.overflow.is_some() { 1 } else { AHEAD };
            let mut larger = room(ahead * wanted).or_else(|_| room(wanted))?;
            for some in self.slots.chunks(LOOKED) {
                larger.extend_from_slice(some);
                look(LOOKED)?;
            }
            self.slots = larger;
        }
        let before = self.slots.len();
        while self.slots.len() < wanted {
            self.slots.resize(wanted.min(self.slots.len() + LOOKED), Slot::default());
            if let Err(stopped) = look(LOOKED) {
                self.slots.truncate(before);
                return Err(stopped);
            }
        }
        self.unmoved = before;
        self.settle(look)
    }

    /// Brings the pieces of the first `unmoved` slots to where they are looked for among all. The last goes first: each moves up, to about
    /// twice its place, where nothing is left that has yet to move. What would not, or would pass the end, goes when all others have.
    pub(in crate::count) fn settle(&mut self, look: &mut Look<'_>) -> Result<()> {
        while self.unmoved > 0 {
            look(LOOKED)?;
            let start = (self.unmoved - 1) / LOOKED * LOOKED;
            for at in (start..self.unmoved).rev() {
                let slot = std::mem::take(&mut self.slots[at]);
                if slot.key.is_none() {
                    continue;
                }
                let home = self.home(slot.key);
                match self.free_from(home).filter(|_| home > at) {
                    Some(place) => self.slots[place] = slot,
                    None => self.late.push(slot),
                }
            }
            self.unmoved = start;
        }
        for slot in std::mem::take(&mut self.late) {
            let place = self.free_from(self.home(slot.key)).or_else(|| self.free_from(0));
            self.slots[place.expect("a quarter of the slots is free")] = slot;
        }
        Ok(())
    }

    /// The first free slot from `start` on.
    fn free_from(&self, start: usize) -> Option<usize> {
        self.slots[start..].iter().position(|slot| slot.key.is_none()).map(|place| start + place)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Piece;
    use super::super::taken;
    use super::*;
    use crate::error::Error;

    fn piece(bytes: &[u8]) -> Piece<'_> {
        Piece { bytes, count: 1, first: Position::default() }
    }

    fn each_is_found(table: &Table, pieces: u32) {
        assert_eq!(taken(&table.slots).count(), pieces as usize);
        for known in 0..pieces {
            let bytes = known.to_le_bytes();
            let slot = &table.slots[table.search(table.seeds.key(&bytes), || &bytes)];
            assert_eq!((slot.key.is_none(), slot.index), (false, known as usize));
        }
    }

    #[test]
    fn each_piece_is_where_it_is_looked_for_after_each_growth() {
        for _ in 0..64 {
            let mut table = Table::new();
            let mut slots = table.slots.len();
            for added in 0u32..4000 {
                table.add(piece(&added.to_le_bytes())).unwrap();
                if table.slots.len() > slots {
                    slots = table.slots.len();
                    each_is_found(&table, added + 1);
                }
            }
            assert!(slots > 16 * 256);
        }
    }

    #[test]
    fn a_growth_that_is_stopped_anywhere_loses_no_piece_and_goes_on() {
        const PIECES: u32 = 150_000;
        let mut looks = 0;
        for stop in 0.. {
            let mut table = Table::new();
            (0..PIECES).for_each(|added| table.add(piece(&added.to_le_bytes())).unwrap());
            let slots = table.slots.len();
            looks = 0;
            let stopped = table.reserve(PIECES as usize, 0, &mut |_| {
                looks += 1;
                if looks > stop { Err(Error::Interrupted) } else { Ok(()) }
            });
            if stopped.is_ok() {
                each_is_found(&table, PIECES);
                assert_eq!(table.slots.len(), 2 * slots);
                break;
            }
            assert_eq!(taken(&table.slots).chain(&table.late).count(), PIECES as usize);
            // What comes next finishes it.
            table.add(piece(&PIECES.to_le_bytes())).unwrap();
            each_is_found(&table, PIECES + 1);
        }
        // Clearing as many slots as there are, moving these.
        assert!(looks >= 8, "{looks}");
    }
}
