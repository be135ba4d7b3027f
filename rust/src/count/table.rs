//! Distinct pieces and their counts, as a hash table that is filled at the speed of memory.
//!
//! Nearly all pieces of a text have at most 15 bytes: such a piece is its own key, so a piece that is known costs one cache
//! line and no comparison of bytes. Pieces are looked up in groups, whose slots are fetched side by side. The few that are long, new, or not
//! where the search for them begins wait until they are many, for each needs several lines, one after the other.

mod growth;
mod lookup;

use std::cmp::Ordering;

use super::runs::Runs;
use super::{Piece, PieceCounts, Position, add, add_of, room};
use crate::error::Result;
use crate::key::{Key, Seeds};
use crate::processor::{prefetch, widest};
use lookup::CountPieces;

/// Pieces looked up together.
const GROUP: usize = 64;
/// Slots of a new table.
const SLOTS: usize = 2 * GROUP;
/// Slots that are sorted between two looks at whether to stop, and pieces that are written: some 30 and 6 milliseconds.
const SORTED: usize = 1 << 18;
const WRITTEN: usize = 1 << 14;

/// Distinct pieces in the order they were added, which is that of their positions.
pub(super) struct Table {
    /// A power of two of them, at most three quarters of them taken. A piece is at the place that the top bits of its hash say, or after it, so
    /// that tables of the same seeds have their pieces in nearly the same order, and so has a table that has grown.
    pub(super) slots: Vec<Slot>,
    seeds: Seeds,
    pub(super) bytes: Vec<u8>,
    ends: Vec<usize>,
    pub(super) firsts: Vec<Position>,
    overflow: Option<Overflow>,
    /// Slots that a growth which was stopped has yet to move, the first ones, and pieces that wait for its end.
    unmoved: usize,
    late: Vec<Slot>,
}

/// Told of steps of some nanoseconds; an error stops the work.
pub(super) type Look<'a> = dyn FnMut(usize) -> Result<()> + 'a;

/// What a table does in place of growing past its ceiling: it is written as a run, and begins anew.
struct Overflow {
    ceiling: usize,
    runs: Runs,
}

/// A piece, by its key, and what was counted of it. Aligned, so that none lies across two cache lines.
#[derive(Clone, Copy, Default)]
#[repr(align(32))]
pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) count: u64,
    /// Which of the pieces it is.
    pub(super) index: usize,
}

impl Table {
    /// An empty table that grows as it needs to.
    pub(super) fn new() -> Table {
        Table::seeded(Seeds::random())
    }

    /// The same, for tables that are to be summed.
    pub(super) fn seeded(seeds: Seeds) -> Table {
        Table {
            slots: vec![Slot::default(); SLOTS],
            seeds,
            bytes: Vec::new(),
            ends: Vec::new(),
            firsts: Vec::new(),
            overflow: None,
            unmoved: 0,
            late: Vec::new(),
        }
    }

    /// An empty table that takes `ceiling` bytes at most, unless a single piece needs more; what passes it goes to `runs`.
    pub(super) fn under(ceiling: usize, runs: Runs, seeds: Seeds) -> Table {
        Table { overflow: Some(Overflow { ceiling, runs }), ..Table::seeded(seeds) }
    }

    /// Counts each of the pieces of `text` that end at `ends`, relative to `start`, where the first begins. `position` tells
    /// where a byte of `text` stands in the corpus. `look` may stop it where the table grows or is spilled; what was counted is then lost.
    pub(super) fn count(
        &mut self,
        text: &[u8],
        start: usize,
        ends: &[u32],
        position: impl Fn(usize) -> Position,
        look: &mut Look<'_>,
    ) -> Result<()> {
        widest(CountPieces { table: self, text, start, ends, position, look })
    }

    /// Adds a piece that was counted elsewhere. Pieces not seen before come in the order of their positions.
    pub(super) fn add(&mut self, piece: Piece<'_>) -> Result<()> {
        self.reserve(1, piece.bytes.len(), &mut |_| Ok(()))?;
        self.add_keyed(self.seeds.key(piece.bytes), piece)
    }

    /// Adds pieces as `add` does, in groups of which all that is looked at is fetched side by side: two slots each and what lies beside
    /// them, then of long pieces that seem to be there where their bytes are, then these. `look` may stop it where the table grows or is spilled.
    pub(super) fn add_all<'a>(
        &mut self,
        mut pieces: impl Iterator<Item = Piece<'a>>,
        look: &mut Look<'_>,
    ) -> Result<()> {
        let mut group = Vec::with_capacity(pieces.size_hint().0.min(GROUP));
        loop {
            group.extend(pieces.by_ref().take(GROUP).map(|piece| {
                let key = self.seeds.key(piece.bytes);
                let home = self.home(key);
                [home, home + 2].iter().for_each(|&at| prefetch(&self.slots, at));
                (key, piece)
            }));
            if group.is_empty() {
                return Ok(());
            }
            let known = |&(key, _): &(Key, _)| {
                Some(self.slots[self.home(key)]).filter(|slot| slot.key == key && !key.is_short())
            };
            group.iter().filter_map(known).for_each(|slot| prefetch(&self.ends, slot.index));
            group.iter().filter_map(known).for_each(|slot| prefetch(self.piece(slot.index), 0));
            self.reserve(group.len(), group.iter().map(|(_, piece)| piece.bytes.len()).sum(), look)?;
            group.drain(..).try_for_each(|(key, piece)| self.add_keyed(key, piece))?;
        }
    }

    /// Adds a piece that room was made for.
    fn add_keyed(&mut self, key: Key, piece: Piece<'_>) -> Result<()> {
        let at = self.place(key, piece.bytes, || piece.first);
        self.slots[at].count = add_of(piece.bytes, self.slots[at].count, piece.count)?;
        self.bring_home(at);
        Ok(())
    }

    /// The counts of so many sources, `Error::Corpus` if they add up past 2^63. None of the table was written to runs.
    pub(super) fn finish(self, sources: u64) -> Result<PieceCounts> {
        let mut counts = room(self.ends.len())?;
        counts.resize(self.ends.len(), 0);
        let mut total = 0;
        for slot in taken(&self.slots) {
            counts[slot.index] = slot.count;
            total = add(total, slot.count)?;
        }
        Ok(PieceCounts { total, sources, ..self.with_counts(counts) })
    }

    /// The pieces with other counts than the table's.
    pub(super) fn with_counts(self, counts: Vec<u64>) -> PieceCounts {
        PieceCounts { bytes: self.bytes, ends: self.ends, counts, firsts: self.firsts, total: 0, sources: 0 }
    }

    /// The slots of one of so many parts of the hashes.
    pub(super) fn part(&self, part: usize, parts: usize) -> impl Iterator<Item = &Slot> {
        let place = |part: usize| (self.slots.len() as u128 * part as u128 / parts as u128) as usize;
        taken(&self.slots[place(part)..place(part + 1)])
    }

    /// What is here of a piece of another table, which has the same seeds.
    pub(super) fn find(&self, slot: &Slot, of: &Table) -> Option<&Slot> {
        let at = self.search(slot.key, || of.piece(slot.index));
        Some(&self.slots[at]).filter(|found| !found.key.is_none())
    }

    /// The bytes that the table takes.
    pub(super) fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
            + self.bytes.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.firsts.capacity() * size_of::<Position>()
    }

    /// Whether some of the pieces were written to runs.
    pub(super) fn has_spilled(&self) -> bool {
        self.overflow.as_ref().is_some_and(|overflow| overflow.runs.len() > 0)
    }

    /// The runs of a table that has a ceiling.
    pub(super) fn into_runs(self) -> Option<Runs> {
        self.overflow.map(|overflow| overflow.runs)
    }

    /// Writes the pieces as a run, and forgets them. The slots are sorted where they are, so this takes no memory. If `look`
    /// stops it, pieces that are not written are no longer found, and wait for another call.
    pub(super) fn spill(&mut self, look: &mut Look<'_>) -> Result<()> {
        let Table { slots, bytes, ends, firsts, overflow: Some(Overflow { runs, .. }), .. } = self else {
            return Ok(());
        };
        if ends.is_empty() {
            return Ok(());
        }
        let mut taken = 0;
        for at in 0..slots.len() {
            if !slots[at].key.is_none() {
                slots.swap(taken, at);
                taken += 1;
            }
        }
        let piece = |index: usize| &bytes[if index == 0 { 0 } else { ends[index - 1] }..ends[index]];
        let order = |a: &Slot, b: &Slot| match a.key.is_short() && b.key.is_short() {
            true => a.key.cmp(&b.key),
            false => b.key.is_short().cmp(&a.key.is_short()).then_with(|| piece(a.index).cmp(piece(b.index))),
        };
        sort(&mut slots[..taken], &order, look)?;
        for written in slots[..taken].chunks_mut(WRITTEN) {
            for &Slot { count, index, .. } in &*written {
                runs.push(Piece { first: firsts[index], bytes: piece(index), count })?;
            }
            written.fill(Slot::default());
            if let Err(stopped) = look(8 * WRITTEN) {
                runs.end_run()?;
                return Err(stopped);
            }
        }
        runs.end_run()?;
        bytes.clear();
        ends.clear();
        firsts.clear();
        Ok(())
    }

    /// Where the search for a key begins.
    #[inline(always)]
    fn home(&self, key: Key) -> usize {
        place_of(self.seeds.spread(key), shift(&self.slots))
    }

    /// The place of the slot of `piece`, or of the empty one that it would take. Its bytes, which may lie anywhere in memory, are asked
    /// for only where a long piece has the same key.
    fn search<'a>(&self, key: Key, piece: impl Fn() -> &'a [u8]) -> usize {
        let mut at = self.home(key);
        loop {
            let Slot { key: found, index, .. } = self.slots[at];
            if found.is_none() || found == key && (key.is_short() || self.piece(index) == piece()) {
                return at;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Where the slot of `piece` is, made if there is none yet. A place was reserved.
    fn place(&mut self, key: Key, piece: &[u8], first: impl FnOnce() -> Position) -> usize {
        let at = self.search(key, || piece);
        if self.slots[at].key.is_none() {
            self.slots[at] = Slot { key, count: 0, index: self.ends.len() };
            self.bytes.extend_from_slice(piece);
            self.ends.push(self.bytes.len());
            self.firsts.push(first());
        }
        at
    }

    /// Gives a piece the place where its search begins if the one that has it is rarer, which is found as well where the other was: all
    /// places between the two are taken. Of English 1.5 % of the pieces are then elsewhere, in place of 5.8.
    fn bring_home(&mut self, at: usize) {
        let Slot { key, count, .. } = self.slots[at];
        let home = self.home(key);
        if count > self.slots[home].count {
            self.slots.swap(at, home);
        }
    }

    fn piece(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

/// By how many bits what spreads a key is shifted to give the place where the search for it begins.
fn shift(slots: &[Slot]) -> u32 {
    u64::BITS - slots.len().trailing_zeros()
}

/// That place.
#[inline(always)]
fn place_of(spread: u32, shift: u32) -> usize {
    (u64::from(spread) << 32 >> shift) as usize
}

/// Sorts slots a part at a time: the lower half, then the upper one.
fn sort(slots: &mut [Slot], order: &impl Fn(&Slot, &Slot) -> Ordering, look: &mut Look<'_>) -> Result<()> {
    look(SORTED)?;
    if slots.len() <= SORTED {
        slots.sort_unstable_by(order);
        return Ok(());
    }
    let (lower, _, upper) = slots.select_nth_unstable_by(slots.len() / 2, order);
    sort(lower, order, look)?;
    sort(upper, order, look)
}

fn taken(slots: &[Slot]) -> impl Iterator<Item = &Slot> {
    slots.iter().filter(|slot| !slot.key.is_none())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn every_piece_is_found_again_wherever_frequent_ones_have_moved_it() {
        // The later a piece is first seen, the more frequent it is.
        let pieces: Vec<String> =
            (0..900).flat_map(|last| (last / 2..=last).map(|piece| format!("<{piece}>"))).collect();
        let text = pieces.concat();
        let ends: Vec<u32> = pieces
            .iter()
            .scan(0, |end, piece| {
                *end += piece.len() as u32;
                Some(*end)
            })
            .collect();
        let mut naive: HashMap<&[u8], u64> = HashMap::new();
        pieces.iter().for_each(|piece| *naive.entry(piece.as_bytes()).or_default() += 1);
        let mut table = Table::new();
        table
            .count(text.as_bytes(), 0, &ends, |at| Position { source: 0, offset: at as u64 }, &mut |_| Ok(()))
            .unwrap();
        let displaced = taken(&table.slots).filter(|slot| table.slots[table.home(slot.key)].key != slot.key);
        assert!(displaced.count() > 10);
        let counts = table.finish(1).unwrap();
        assert_eq!(counts.iter().map(|piece| (piece.bytes, piece.count)).collect::<HashMap<_, _>>(), naive);
        assert_eq!(counts.len(), naive.len());
    }
}
