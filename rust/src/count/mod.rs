//! Counting: a corpus as its distinct pieces, each with its count and where it was first seen.
//!
//! All that training needs of a corpus, and far less of it: English text of 120 MB has 435,051 distinct pieces. Two
//! `PieceCounts` merge by adding counts and keeping the lower position, which is commutative and associative, so the
//! threads, the chunks and the machines that counted leave no trace in the result.

mod bytes;
mod counted;
mod counter;
mod runs;
mod spill;
mod sum;
mod survey;
mod table;
mod work;

pub use crate::document::Document;
pub use counted::Counted;
pub use counter::Counter;
pub use spill::{Ceiling, Tally};
pub use survey::Survey;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::lines::on_large_pages;
use crate::progress::{Progress, Pulse};
use table::Table;

/// Pieces that are merged between two looks at whether to stop: a millisecond.
const AT_ONCE: usize = 1 << 14;

/// Where a piece was first seen. Positions order pieces as reading the sources one after the other would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The document or file, by its place in the list of inputs.
    pub source: u64,
    /// The byte in it.
    pub offset: u64,
}

/// A distinct piece of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece<'a> {
    /// Where it was first seen.
    pub first: Position,
    /// Its bytes, at least one.
    pub bytes: &'a [u8],
    /// How often it was seen, at least once.
    pub count: u64,
}

/// The distinct pieces of a corpus in the order in which they were first seen. Immutable; the sum of all counts is below 2^63.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PieceCounts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    counts: Vec<u64>,
    firsts: Vec<Position>,
    total: u64,
    sources: u64,
}

impl PieceCounts {
    /// Counts that are there already, in the order given, as if the pieces stood one after the other in one source. The
    /// counts of a piece that is given twice add up; a count of 0 is no piece.
    ///
    /// `Error::Corpus` for an empty piece, and for counts that add up past 2^63.
    pub fn from_items<B: AsRef<[u8]>>(items: impl IntoIterator<Item = (B, u64)>) -> Result<PieceCounts> {
        let mut table = Table::new();
        let mut first = Position { source: 0, offset: 0 };
        for (bytes, count) in items {
            let bytes = bytes.as_ref();
            if bytes.is_empty() {
                return Err(Error::Corpus("an empty piece has no bytes to merge: leave it out".into()));
            }
            if count > 0 {
                table.add(Piece { bytes, count, first })?;
                first.offset += bytes.len() as u64;
            }
        }
        table.finish(1)
    }

    /// The sum of all `parts`: counts add up, the lower position stays. `Error::Corpus` past 2^63. `progress` is told how many of
    /// their pieces were read.
    ///
    /// Linear in the pieces: the parts are read side by side in order of position, so the first sight of a piece is its lowest
    /// and the result is in order as it grows.
    pub fn merge<'a>(parts: &[&PieceCounts], progress: &'a mut Progress<'a>) -> Result<PieceCounts> {
        let most = |of: fn(&PieceCounts) -> usize| parts.iter().map(|part| of(part)).max().unwrap_or(0);
        let all = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut pulse = Pulse::new(progress, all as u64);
        let (pieces, bytes) = (most(PieceCounts::len), most(PieceCounts::distinct_bytes));
        let mut table = Table::new();
        table.reserve(pieces, bytes, &mut |steps| pulse.step(steps))?;
        let mut queues: Vec<_> = parts.iter().map(|part| part.iter()).collect();
        let mut heads: BinaryHeap<_> = (0..)
            .zip(&mut queues)
            .filter_map(|(which, queue)| queue.next().map(|piece| Reverse((piece, which))))
            .collect();
        let mut pieces = std::iter::from_fn(|| {
            let mut head = heads.peek_mut()?;
            let Reverse((piece, which)) = *head;
            match queues[which].next() {
                Some(next) => *head = Reverse((next, which)),
                None => drop(PeekMut::pop(head)),
            }
            Some(piece)
        });
        while (pulse.done as usize) < all {
            table.add_all(pieces.by_ref().take(AT_ONCE), &mut |steps| pulse.step(steps))?;
            pulse.done += AT_ONCE as u64;
            pulse.step(8 * AT_ONCE)?;
        }
        table.finish(parts.iter().map(|part| part.sources).max().unwrap_or(0))
    }

    /// The same counts with `by` added to each source number: what to do before merging counts that were made apart, so that
    /// the sources of the one come after those of the other.
    pub fn shift_sources(&self, by: u64) -> Result<PieceCounts> {
        let mut shifted = self.clone();
        shifted.sources = self
            .sources
            .checked_add(by)
            .ok_or_else(|| Error::Corpus(format!("{} sources and {by} more pass 2^64: shift by less", self.sources)))?;
        for first in &mut shifted.firsts {
            first.source += by;
        }
        Ok(shifted)
    }

    /// The pieces that were seen at least so often, where they were first seen.
    pub fn at_least(&self, min_count: u64) -> PieceCounts {
        let mut kept = PieceCounts { sources: self.sources, ..PieceCounts::default() };
        for piece in self.iter().filter(|piece| piece.count >= min_count) {
            kept.push(piece);
        }
        kept
    }

    /// No counts yet, with room for some.
    fn with_room(pieces: usize, bytes: usize) -> Result<PieceCounts> {
        Ok(PieceCounts {
            bytes: room(bytes)?,
            ends: room(pieces)?,
            counts: room(pieces)?,
            firsts: room(pieces)?,
            total: 0,
            sources: 0,
        })
    }

    /// The memory that so many pieces take.
    fn memory(pieces: u64, bytes: u64) -> u64 {
        bytes + pieces * (size_of::<usize>() + size_of::<u64>() + size_of::<Position>()) as u64
    }

    /// Adds a piece after all others. The total of too many stays too high.
    fn push(&mut self, piece: Piece<'_>) {
        self.bytes.extend_from_slice(piece.bytes);
        self.ends.push(self.bytes.len());
        self.counts.push(piece.count);
        self.firsts.push(piece.first);
        self.total = self.total.saturating_add(piece.count);
    }

    /// The number of distinct pieces.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no piece at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of pieces of the corpus: the sum of all counts.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The number of sources that were counted, those without a piece too: the sources' numbers are below it.
    pub fn sources(&self) -> u64 {
        self.sources
    }

    /// The bytes of the corpus.
    pub fn corpus_bytes(&self) -> u128 {
        self.iter().map(|piece| piece.bytes.len() as u128 * u128::from(piece.count)).sum()
    }

    /// The bytes of all distinct pieces together.
    pub fn distinct_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The piece at `index` in first-seen order.
    pub fn get(&self, index: usize) -> Option<Piece<'_>> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(Piece { bytes: &self.bytes[start..end], count: self.counts[index], first: self.firsts[index] })
    }

    /// The indices of all pieces in so many ranges, at least one, of about the same number of bytes.
    pub(crate) fn ranges(&self, count: usize) -> Vec<Range<usize>> {
        let count = count.max(1);
        let at = |part| {
            self.ends.partition_point(|&end| (end as u128) * (count as u128) <= self.bytes.len() as u128 * part as u128)
        };
        (0..count).map(|part| at(part)..at(part + 1)).collect()
    }

    /// All pieces in first-seen order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Piece<'_>> {
        (0..self.len()).map(|index| self.get(index).expect("an index below the length"))
    }
}

/// The sum of two counts; `Error::Corpus` from 2^63 on.
fn add(a: u64, b: u64) -> Result<u64> {
    add_or(a, b, || "the counts".into())
}

/// The same for two counts of a piece, which the error names.
fn add_of(piece: &[u8], a: u64, b: u64) -> Result<u64> {
    add_or(a, b, || {
        let name: String = String::from_utf8_lossy(piece).chars().take(40).collect();
        format!("the counts of the piece {name:?}")
    })
}

fn add_or(a: u64, b: u64, what: impl FnOnce() -> String) -> Result<u64> {
    let sum = a.checked_add(b).filter(|&sum| sum < 1 << 63);
    sum.ok_or_else(|| Error::Corpus(format!("{} add up past 2^63: divide all counts by the same number", what())))
}

/// An empty vector with room, on large pages; `Error::Memory` if there is none.
fn room<T>(items: usize) -> Result<Vec<T>> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(items).map_err(no_memory)?;
    on_large_pages(vector.spare_capacity_mut());
    Ok(vector)
}

fn no_memory_for_a_piece(_: std::collections::TryReserveError) -> Error {
    Error::Memory(
        "a piece needs more memory than there is: split the corpus by a pattern that makes shorter pieces, or into shorter documents"
            .into(),
    )
}

fn no_memory(_: std::collections::TryReserveError) -> Error {
    Error::Memory(
        "the distinct pieces of the corpus need more memory than there is: set a ceiling with max_memory, past which they \
         go to disk, or count a part of the corpus"
            .into(),
    )
}
