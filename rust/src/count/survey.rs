//! The totals of piece counts in a file, which is read once from end to end and never held.

use std::io::Read;

use super::add;
use super::bytes::each_group;
use super::spill::{Tally, Top};
use crate::error::Result;
use crate::progress::{Progress, Pulse};

/// The totals of piece counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The number of sources that were counted.
    pub sources: u64,
    /// The totals of the pieces.
    pub tally: Tally,
    /// The most frequent pieces, up to 4,096 bytes of each; the earlier comes first where counts are equal.
    pub most_frequent: Vec<(Vec<u8>, u64)>,
}

impl Survey {
    /// Reads through what `PieceCounts::to_bytes` wrote, a megabyte at a time; `progress` is told how many bytes were read.
    ///
    /// `Error::Format` for bytes that are cut short or go on after the end, `Error::Corpus` for counts that add up past 2^63. It does not
    /// check that no piece occurs twice.
    pub fn read<'a>(bytes: impl Read, progress: &'a mut Progress<'a>) -> Result<Survey> {
        let (mut tally, mut top, mut all) = (Tally::default(), Top::default(), 0);
        let (sources, _) = each_group(bytes, 0, &mut Pulse::new(progress, 0), |pieces, _| {
            for piece in pieces {
                all = add(all, piece.count)?;
                tally.count(piece);
                top.offer(piece);
            }
            Ok(())
        })?;
        Ok(Survey { sources, tally, most_frequent: top.into_items() })
    }
}
