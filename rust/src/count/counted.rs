//! The result of counting: counts in memory, or on disk if they passed a ceiling. Both give the same account of the corpus.
//!
//! Counts in memory may be shared; the last to hold them frees the memory.

use std::sync::Arc;

use super::PieceCounts;
use super::spill::{Spilled, Tally, Top};
use crate::error::Result;
use crate::progress::{Progress, Pulse};

/// The counted pieces of a corpus, without those that were too rare.
pub struct Counted {
    kept: Kept,
    tally: Tally,
    dropped: Tally,
}

enum Kept {
    InMemory(Arc<PieceCounts>),
    OnDisk(Spilled),
}

impl Counted {
    /// Counts already in memory, without the pieces that were seen fewer than `min_count` times.
    pub fn in_memory(counts: Arc<PieceCounts>, min_count: u64) -> Counted {
        let (mut tally, mut dropped) = (Tally::default(), Tally::default());
        for piece in counts.iter() {
            if piece.count < min_count { &mut dropped } else { &mut tally }.count(piece);
        }
        let kept = if dropped.distinct == 0 { counts } else { Arc::new(counts.at_least(min_count)) };
        Counted { kept: Kept::InMemory(kept), tally, dropped }
    }

    pub(super) fn on_disk(spilled: Spilled) -> Counted {
        Counted { tally: spilled.kept, dropped: spilled.dropped, kept: Kept::OnDisk(spilled) }
    }

    /// The totals of the pieces.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The totals of the pieces that were left out.
    pub fn dropped(&self) -> Tally {
        self.dropped
    }

    /// The number of sources that were counted.
    pub fn sources(&self) -> u64 {
        match &self.kept {
            Kept::InMemory(counts) => counts.sources(),
            Kept::OnDisk(spilled) => spilled.sources,
        }
    }

    /// Whether the counts are on disk.
    pub fn has_spilled(&self) -> bool {
        matches!(self.kept, Kept::OnDisk(_))
    }

    /// The five most frequent pieces, up to 4,096 bytes of each; the earlier comes first where counts are equal.
    pub fn most_frequent(&self) -> Vec<(Vec<u8>, u64)> {
        match &self.kept {
            Kept::InMemory(counts) => Top::of(counts.iter()),
            Kept::OnDisk(spilled) => spilled.most_frequent.clone(),
        }
    }

    /// Loads the counts into memory, where they stay. `Error::Corpus` if they do not fit under the ceiling.
    pub fn counts<'a>(&mut self, progress: &'a mut Progress<'a>) -> Result<Arc<PieceCounts>> {
        let counts = match &mut self.kept {
            Kept::InMemory(counts) => return Ok(Arc::clone(counts)),
            Kept::OnDisk(spilled) => Arc::new(spilled.counts(&mut Pulse::new(progress, 0))?),
        };
        self.kept = Kept::InMemory(Arc::clone(&counts));
        Ok(counts)
    }

    /// Calls `each` with the bytes of `PieceCounts::to_bytes`, a megabyte at a time; counts on disk stay there.
    pub fn each_chunk<'a>(
        &mut self,
        progress: &'a mut Progress<'a>,
        each: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let pulse = &mut Pulse::new(progress, 0);
        match &mut self.kept {
            Kept::InMemory(counts) => counts.each_chunk(pulse, each),
            Kept::OnDisk(spilled) => spilled.each_chunk(pulse, each),
        }
    }
}
