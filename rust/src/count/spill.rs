//! Counting past the memory ceiling: sorted runs on disk, merged twice.
//!
//! A full table is written to disk as a run, ordered by piece. In the end the runs are merged, which adds up the counts of each piece; the
//! sums are written as runs ordered by first-seen place, and merging those gives what counting without a ceiling gives. Each step holds a
//! part of the ceiling's size in memory, and never all distinct pieces.

use std::path::PathBuf;

use super::bytes::Encoder;
use super::runs::{Runs, merge, reduce};
use super::{Piece, PieceCounts, Position, add, no_memory_for_a_piece};
use crate::error::{Error, Result};
use crate::key::{Key, SHORT};
use crate::progress::Pulse;

/// How many of the most frequent pieces are kept, and how many bytes of each.
const MOST_FREQUENT: usize = 5;
const SHOWN: usize = 4096;

/// How much memory counting may take for what it has counted, and where the rest goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// Bytes for the tables of all threads together.
    pub bytes: usize,
    /// The directory for the temporary files.
    pub directory: PathBuf,
}

/// Counts on disk, in first-seen order.
pub struct Spilled {
    runs: Vec<Runs>,
    ceiling: Ceiling,
    pub(super) sources: u64,
    pub(super) kept: Tally,
    pub(super) dropped: Tally,
    /// The most frequent first, up to 4,096 bytes of each.
    pub(super) most_frequent: Vec<(Vec<u8>, u64)>,
}

/// Totals of some pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The sum of their counts.
    pub pieces: u64,
    /// How many distinct pieces there are.
    pub distinct: u64,
    /// The bytes of the distinct pieces, each once.
    pub distinct_bytes: u64,
    /// The bytes of the text they make up.
    pub bytes: u128,
}

impl Tally {
    pub(super) fn count(&mut self, piece: Piece<'_>) {
        self.pieces += piece.count;
        self.distinct += 1;
        self.distinct_bytes += piece.bytes.len() as u64;
        self.bytes += piece.bytes.len() as u128 * u128::from(piece.count);
    }
}

impl Spilled {
    /// Adds up the runs that the tables wrote, without using them up, and leaves out pieces with a count below `min_count`.
    pub(super) fn gather(
        by_piece: &mut Vec<Runs>,
        ceiling: Ceiling,
        sources: u64,
        min_count: u64,
        pulse: &mut Pulse<'_>,
    ) -> Result<Spilled> {
        let quarter = ceiling.bytes / 4;
        reduce(by_piece, PieceKey::of, quarter, pulse)?;
        let mut sorter = Sorter::new(&ceiling);
        let (mut kept, mut dropped) = (Tally::default(), Tally::default());
        let mut all = 0;
        let mut top = Top::default();
        merge(by_piece, PieceKey::of, quarter, pulse, |piece| {
            all = add(all, piece.count)?;
            if piece.count < min_count {
                dropped.count(piece);
                return Ok(());
            }
            kept.count(piece);
            top.offer(piece);
            sorter.push(piece)
        })?;
        let mut runs = vec![sorter.finish()?];
        reduce(&mut runs, |piece| Ok(piece.first), quarter, pulse)?;
        Ok(Spilled { runs, ceiling, sources, kept, dropped, most_frequent: top.into_items() })
    }

    /// The counts in memory; `Error::Corpus` if they do not fit under the ceiling beside the read buffers.
    pub(super) fn counts(&mut self, pulse: &mut Pulse<'_>) -> Result<PieceCounts> {
        let Tally { distinct, distinct_bytes, .. } = self.kept;
        let needed = PieceCounts::memory(distinct, distinct_bytes);
        let quarter = self.ceiling.bytes / 4;
        let left = (self.ceiling.bytes - quarter) as u64;
        if needed > left {
            return Err(Error::Corpus(format!(
                "the corpus has {distinct} distinct pieces, which take {} MB without any table, and the memory ceiling leaves \
                 {} MB for them: raise it to {} MB, leave out rare pieces with min_count, or write the counts to a file \
                 (minbpe count), for which they are not held",
                needed.div_ceil(1_000_000),
                left / 1_000_000,
                (2 * needed).div_ceil(1_000_000)
            )));
        }
        let mut counts = PieceCounts::with_room(distinct as usize, distinct_bytes as usize)?;
        counts.sources = self.sources;
        merge(
            &mut self.runs,
            |piece| Ok(piece.first),
            quarter,
            pulse,
            |piece| {
                counts.push(piece);
                Ok(())
            },
        )?;
        Ok(counts)
    }

    /// As `PieceCounts::each_chunk`.
    pub(super) fn each_chunk(
        &mut self,
        pulse: &mut Pulse<'_>,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut encoder = Encoder::new(self.sources, self.kept.distinct, each);
        merge(&mut self.runs, |piece| Ok(piece.first), self.ceiling.bytes / 4, pulse, |piece| encoder.push(piece))?;
        encoder.finish()
    }
}

/// The order in which tables are written: short pieces by their keys, then long ones by their bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum PieceKey {
    Short(Key),
    Long(Vec<u8>),
}

impl PieceKey {
    fn of(Piece { bytes, .. }: Piece<'_>) -> Result<PieceKey> {
        if bytes.len() <= SHORT {
            return Ok(PieceKey::Short(Key::new(bytes, 0, bytes.len())));
        }
        let mut long = Vec::new();
        long.try_reserve_exact(bytes.len()).map_err(no_memory_for_a_piece)?;
        long.extend_from_slice(bytes);
        Ok(PieceKey::Long(long))
    }
}

/// Sorts pieces, which come in any order, into runs ordered by first-seen place.
struct Sorter {
    places: Vec<(Position, u64, usize, usize)>,
    bytes: Vec<u8>,
    runs: Runs,
    most: usize,
    most_bytes: usize,
}

impl Sorter {
    /// A sorter for half of the ceiling: an eighth of entries and an eighth of bytes, in vectors that may grow to twice that.
    fn new(ceiling: &Ceiling) -> Sorter {
        let eighth = ceiling.bytes / 8;
        Sorter {
            places: Vec::new(),
            bytes: Vec::new(),
            runs: Runs::new(&ceiling.directory),
            most: (eighth / size_of::<(Position, u64, usize, usize)>()).max(1),
            most_bytes: eighth,
        }
    }

    /// Takes a piece; one that is too long for the ceiling is a run of its own.
    fn push(&mut self, piece: Piece<'_>) -> Result<()> {
        if self.places.len() >= self.most || self.bytes.len() + piece.bytes.len() > self.most_bytes {
            self.flush()?;
        }
        if piece.bytes.len() > self.most_bytes {
            self.runs.push(piece)?;
            return self.runs.end_run();
        }
        self.places.push((piece.first, piece.count, self.bytes.len(), piece.bytes.len()));
        self.bytes.extend_from_slice(piece.bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        self.places.sort_unstable();
        for &(first, count, start, length) in &self.places {
            self.runs.push(Piece { first, bytes: &self.bytes[start..start + length], count })?;
        }
        self.places.clear();
        self.bytes.clear();
        self.runs.end_run()
    }

    fn finish(mut self) -> Result<Runs> {
        self.flush()?;
        Ok(self.runs)
    }
}

/// The first 4,096 bytes of the most frequent pieces so far; the earlier comes first where counts are equal.
#[derive(Default)]
pub(super) struct Top {
    best: Vec<(std::cmp::Reverse<u64>, Position, Vec<u8>)>,
}

impl Top {
    pub(super) fn of<'a>(pieces: impl Iterator<Item = Piece<'a>>) -> Vec<(Vec<u8>, u64)> {
        let mut top = Top::default();
        pieces.for_each(|piece| top.offer(piece));
        top.into_items()
    }

    pub(super) fn offer(&mut self, piece: Piece<'_>) {
        let key = (std::cmp::Reverse(piece.count), piece.first);
        let place = self.best.partition_point(|(count, first, _)| (*count, *first) < key);
        if place < MOST_FREQUENT {
            self.best.truncate(MOST_FREQUENT - 1);
            self.best.insert(place, (key.0, key.1, piece.bytes[..piece.bytes.len().min(SHOWN)].to_vec()));
        }
    }

    pub(super) fn into_items(self) -> Vec<(Vec<u8>, u64)> {
        self.best.into_iter().map(|(count, _, bytes)| (bytes, count.0)).collect()
    }
}
