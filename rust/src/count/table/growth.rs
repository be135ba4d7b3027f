//! How a table grows: where it is, as far as it has addresses.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::{Position, no_memory, room};
use super::{Slot, Table};
use crate::error::{Error, Result};

/// A table gets addresses for so many times the slots that it needs, and grows where it is: memory is taken as it is written, and new pages
/// have to be cleared. With a ceiling it gets no more than it needs, for some ceilings are on addresses.
const AHEAD: usize = 4;

impl Table {
    /// Makes room for so many more pieces and bytes, so that adding them moves no slot.
    pub(super) fn reserve(&mut self, pieces: usize, bytes: usize) -> Result<()> {
        if self.slots_for(pieces) <= self.slots.len() && self.bytes.capacity() - self.bytes.len() >= bytes {
            return Ok(());
        }
        if let Some(overflow) = &self.overflow
            && self.while_growing(pieces, bytes) > overflow.ceiling
        {
            let abandoned = Arc::clone(&overflow.abandoned);
            self.spill(&mut |_| if abandoned.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) })?;
        }
        self.grow(pieces, bytes)
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

    fn grow(&mut self, pieces: usize, bytes: usize) -> Result<()> {
        self.bytes.try_reserve(bytes).map_err(no_memory)?;
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
            larger.append(&mut self.slots);
            self.slots = larger;
        }
        let before = self.slots.len();
        self.slots.resize(wanted, Slot::default());
        self.spread(before);
        Ok(())
    }

    /// Brings the pieces of the first `before` slots to where they are looked for among all. The last goes first: each moves up, to about
    /// twice its place, where nothing is left that has yet to move. What would not, or would pass the end, goes when all others have.
    fn spread(&mut self, before: usize) {
        let mut late = Vec::new();
        for at in (0..before).rev() {
            let slot = std::mem::take(&mut self.slots[at]);
            if slot.key.is_none() {
                continue;
            }
            let home = self.home(slot.key);
            match self.free_from(home).filter(|_| home > at) {
                Some(place) => self.slots[place] = slot,
                None => late.push(slot),
            }
        }
        for slot in late {
            let place = self.free_from(self.home(slot.key)).or_else(|| self.free_from(0));
            self.slots[place.expect("a quarter of the slots is free")] = slot;
        }
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

    #[test]
    fn each_piece_is_where_it_is_looked_for_after_each_growth() {
        for _ in 0..64 {
            let mut table = Table::new();
            let mut slots = table.slots.len();
            for added in 0u32..4000 {
                let piece = Piece { bytes: &added.to_le_bytes(), count: 1, first: Position::default() };
                table.add(piece).unwrap();
                if table.slots.len() > slots {
                    slots = table.slots.len();
                    assert_eq!(taken(&table.slots).count(), added as usize + 1);
                    for known in 0..=added {
                        let bytes = known.to_le_bytes();
                        let slot = &table.slots[table.search(table.key(&bytes), || &bytes)];
                        assert_eq!((slot.key.is_none(), slot.index), (false, known as usize));
                    }
                }
            }
            assert!(slots > 16 * 256);
        }
    }
}
