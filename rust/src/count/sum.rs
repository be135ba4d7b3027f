//! The sum of the threads' tables, in first-seen order.
//!
//! Tables with the same seeds have their pieces in nearly the same order, so each thread reads one part of all of them side by side, from
//! end to end, and no piece is far from where it would be in the other tables. The sum of a piece stays in the table that saw it first. The
//! pieces that each table keeps are in order of position, and are merged in that order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::table::Table;
use super::{PieceCounts, Position, add, room};
use crate::error::Result;
use crate::progress::Pulse;
use crate::threads::in_parallel;

/// How many slots a thread reads between two checks whether to stop: some 20 milliseconds.
const AT_ONCE: usize = 1 << 18;

/// What the pieces of several tables add up to.
pub(super) struct Sums {
    /// For each piece of each table its sum, or 0 if another table saw it first.
    counts: Vec<Vec<AtomicU64>>,
    pieces: usize,
    bytes: usize,
}

impl Sums {
    /// Adds up tables that have the same seeds, share no position, and have written nothing to runs. `pulse` tells how many of their
    /// pieces' bytes are done.
    pub(super) fn of(tables: &[&Table], pulse: &mut Pulse<'_>) -> Result<Sums> {
        let mut sums = Sums { counts: Vec::with_capacity(tables.len()), pieces: 0, bytes: 0 };
        for table in tables {
            let mut zeros = room(table.firsts.len())?;
            zeros.resize_with(table.firsts.len(), AtomicU64::default);
            sums.counts.push(zeros);
        }
        let marks: Vec<_> = tables.iter().map(|table| Marks::of(table)).collect();
        let threads = tables.len();
        let rounds = tables.iter().map(|table| table.slots.len()).sum::<usize>().div_ceil(AT_ONCE * threads);
        let all = tables.iter().map(|table| table.bytes.len()).sum::<usize>();
        pulse.total = all as u64;
        for round in 0..rounds {
            let work = |part| gather(tables, &marks, round * threads + part, rounds * threads, &sums.counts);
            for (pieces, bytes) in in_parallel(threads, threads, work) {
                sums.pieces += pieces;
                sums.bytes += bytes;
            }
            pulse.done = (all * (round + 1) / rounds) as u64;
            pulse.step(AT_ONCE)?;
        }
        Ok(sums)
    }

    /// The counts of `sources` sources, `Error::Corpus` if they add up past 2^63. `tables` are those that were added up.
    pub(super) fn merge(self, tables: Vec<Table>, sources: u64) -> Result<PieceCounts> {
        let counts = self.counts.into_iter().map(|counts| counts.into_iter().map(AtomicU64::into_inner).collect());
        let parts: Vec<_> = tables.into_iter().zip(counts).map(|(table, counts)| table.with_counts(counts)).collect();
        let mut merged = PieceCounts::with_room(self.pieces, self.bytes)?;
        merged.sources = sources;
        merge(&parts, &mut merged);
        add(merged.total, 0)?;
        Ok(merged)
    }
}

/// Writes to `counts` the sums of the pieces in part `part` of `parts` of the hashes, each in the list of the table that saw the piece
/// first. Returns how many pieces these are, and their bytes.
fn gather(
    tables: &[&Table],
    marks: &[Marks<'_>],
    part: usize,
    parts: usize,
    counts: &[Vec<AtomicU64>],
) -> (usize, usize) {
    let (mut pieces, mut bytes) = (0, 0);
    for (which, (table, counts)) in tables.iter().zip(counts).enumerate() {
        for slot in table.part(part, parts) {
            let mut count = slot.count;
            let is_first = (0..tables.len()).filter(|&other| other != which).all(|other| {
                let Some(there) = tables[other].find(slot, table) else { return true };
                count = count.saturating_add(there.count);
                marks[which].has_before(slot.index, &marks[other], there.index)
            });
            if is_first {
                counts[slot.index].store(count, Relaxed);
                pieces += 1;
                bytes += slot.key.length();
            }
        }
    }
    (pieces, bytes)
}

/// How many pieces lie from one mark to the next: the marks of a million pieces fit into the processor's second-level cache.
const MARK: usize = 64;

/// Tells which of two pieces was seen first, nearly always without reading their positions, which lie anywhere in memory.
struct Marks<'a> {
    firsts: &'a [Position],
    /// The position of each `MARK`th piece.
    marks: Vec<Position>,
}

impl Marks<'_> {
    fn of(table: &Table) -> Marks<'_> {
        let firsts = &table.firsts[..];
        Marks { firsts, marks: firsts.iter().step_by(MARK).copied().collect() }
    }

    /// Whether `piece` was seen here before `there` was seen in `other`.
    fn has_before(&self, piece: usize, other: &Marks<'_>, there: usize) -> bool {
        self.clearly_before(piece, other, there)
            || !other.clearly_before(there, self, piece) && self.firsts[piece] < other.firsts[there]
    }

    fn clearly_before(&self, piece: usize, other: &Marks<'_>, there: usize) -> bool {
        self.marks.get(piece / MARK + 1).is_some_and(|&next| next <= other.marks[there / MARK])
    }
}

/// Adds the pieces that have a count to `merged`, in order of position: each time the pieces of a stretch of text, all from one table.
fn merge(parts: &[PieceCounts], merged: &mut PieceCounts) {
    let head = |which: usize, at: usize| parts[which].firsts.get(at).map(|&first| Reverse((first, which, at)));
    let mut heads: BinaryHeap<_> = (0..parts.len()).filter_map(|which| head(which, 0)).collect();
    while let Some(Reverse((_, which, start))) = heads.pop() {
        let next = heads.peek().map(|&Reverse((first, ..))| first);
        let mut at = start;
        while let Some(piece) = parts[which].get(at).filter(|piece| next.is_none_or(|next| piece.first <= next)) {
            if piece.count > 0 {
                merged.push(piece);
            }
            at += 1;
        }
        heads.extend(head(which, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::Piece;
    use crate::error::Error;
    use crate::key::Seeds;
    use crate::progress::unwatched;

    fn sum(tables: Vec<Table>, sources: u64) -> Result<PieceCounts> {
        let all: Vec<_> = tables.iter().collect();
        Sums::of(&all, &mut Pulse::new(&mut unwatched, 0))?.merge(tables, sources)
    }

    /// What one table counts of 20,000 pieces, short and long, and the sum of what `tables` tables count of them, taking stretches of
    /// different lengths in turn.
    fn alone_and_summed(tables: usize) -> (PieceCounts, PieceCounts) {
        let seeds = Seeds::random();
        let mut alone = Table::seeded(seeds);
        let mut parts: Vec<_> = (0..tables).map(|_| Table::seeded(seeds)).collect();
        let (mut which, mut left, mut state) = (0, 0, 7u64);
        for offset in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if left == 0 {
                which = (which + 1) % tables;
                left = [3, 700, 90][which % 3];
            }
            left -= 1;
            // As in a text, a few pieces are frequent and most are rare.
            let number = (state >> 33) % (1 << (state >> 20 & 15));
            let bytes = if number % 3 == 0 { format!("{number:020}") } else { format!("{number}") };
            let piece = Piece { first: Position { source: 0, offset }, bytes: bytes.as_bytes(), count: 1 };
            alone.add(piece).unwrap();
            parts[which].add(piece).unwrap();
        }
        (alone.finish(1).unwrap(), sum(parts, 1).unwrap())
    }

    #[test]
    fn the_sum_of_tables_is_what_one_table_counts() {
        for tables in 2..6 {
            let (alone, summed) = alone_and_summed(tables);
            assert!(alone.len() > 2_000 && alone.len() < 10_000);
            assert!(alone == summed, "{tables} tables");
        }
    }

    #[test]
    fn counts_past_2_63_are_an_error_whichever_table_has_them() {
        let seeds = Seeds::random();
        let counted = |pieces: &[(&str, u64)]| {
            let mut table = Table::seeded(seeds);
            for (offset, &(bytes, count)) in (0..).zip(pieces) {
                let first = Position { source: pieces.len() as u64, offset };
                table.add(Piece { first, bytes: bytes.as_bytes(), count }).unwrap();
            }
            table
        };
        let most = (1 << 63) - 1;
        assert_eq!(sum(vec![counted(&[("a", most)]), counted(&[])], 1).unwrap().total(), most);
        for (one, other) in [
            (&[("a", most), ("b", 1)][..], &[][..]),
            (&[("a", most)], &[("b", 1), ("c", 1)]),
            (&[("a", most), ("b", most), ("c", most)], &[]),
            (&[("a", most), ("b", most)], &[("a", most)]),
        ] {
            assert!(matches!(sum(vec![counted(one), counted(other)], 1), Err(Error::Corpus(_))));
        }
    }

    #[test]
    fn tables_without_a_piece_sum_to_none() {
        let seeds = Seeds::random();
        assert_eq!(sum(vec![Table::seeded(seeds), Table::seeded(seeds)], 3).unwrap(), Table::new().finish(3).unwrap());
    }
}
