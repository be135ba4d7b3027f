//! Training: from piece counts to merges, exactly those that the naive algorithm makes.
//!
//! The naive algorithm counts all pairs of neighbours, merges the best, and starts again. Here each of its steps is an update:
//!
//! * `cells`: the distinct pieces side by side in one array, in which a token keeps the cells of its bytes, so that a merge
//!   shifts nothing and finds its neighbours in one step;
//! * `index`: each pair's count and where it stands;
//! * `queue`: the best pair next, by count and tie rule;
//! * `merge`: one merge, and what it changes of the other pairs' counts.
//!
//! A merge costs what it touches: the work of a whole run is linear in the bytes of the distinct pieces, times the logarithm for
//! the queue, however long a piece is.

mod cells;
mod index;
mod merge;
mod queue;

use crate::count::PieceCounts;
use crate::error::{Error, Result};
use crate::progress::{Progress, Pulse};
use cells::Cells;
use index::Index;
use merge::Merger;
use queue::Queue;

/// Two neighbouring tokens, by their ids.
pub type Pair = (u32, u32);

/// Which of several pairs with the same count is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieBreak {
    /// The pair that occurs first in the text as merged so far, as upstream minbpe has it.
    First,
    /// The pair of lowest ids.
    Lowest,
}

/// How to train.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many merges to make, at most.
    pub merges: usize,
    /// Which of several pairs with the same count is merged.
    pub tie_break: TieBreak,
    /// The byte that each id below 256 stands for. `TieBreak::Lowest` compares ids, so the merges depend on it.
    pub byte_order: [u8; 256],
}

/// One merge. Its token's id is 256 and the number of merges before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// What is merged.
    pub pair: Pair,
    /// How often the pair stood in the corpus; overlaps count, so "aaa" holds (a, a) twice.
    pub count: u64,
}

/// Ids with the highest bits set mark cells that hold no token.
const MOST_MERGES: usize = (1 << 31) - 512;

/// Trains on `counts`. Gives fewer merges than asked for once every piece is a single token.
///
/// `progress` is told the merges made and wanted. `Error::Corpus` for a corpus of which a pair occurs 2^63 times or whose distinct
/// pieces pass 4 GiB, `Error::Vocabulary` for options that make no sense, `Error::Interrupted` if `progress` breaks.
///
/// ```
/// use minbpe_core::{count::PieceCounts, progress::unwatched, train::{Options, TieBreak, train}};
///
/// let counts = PieceCounts::from_items([("aaabdaaabac".as_bytes(), 1)])?;
/// let options = Options { merges: 3, tie_break: TieBreak::First, byte_order: std::array::from_fn(|id| id as u8) };
/// let merges: Vec<_> = train(&counts, &options, &mut unwatched)?.iter().map(|merge| merge.pair).collect();
/// assert_eq!(merges, [(97, 97), (256, 97), (257, 98)]);
/// # Ok::<(), minbpe_core::error::Error>(())
/// ```
pub fn train<'a>(counts: &PieceCounts, options: &Options, progress: &'a mut Progress<'a>) -> Result<Vec<Merge>> {
    if options.merges > MOST_MERGES {
        return Err(Error::Vocabulary(format!("{} merges: there can be {MOST_MERGES} at most", options.merges)));
    }
    let mut pulse = Pulse::new(progress, options.merges as u64);
    let mut cells = Cells::new(counts, &byte_ids(&options.byte_order)?)?;
    let mut merges = Vec::new();
    let mut floor = first_floor(counts, options.merges);
    let mut merger = Merger::default();
    while merges.len() < options.merges {
        let mut index = Index::new(&cells, floor, &mut pulse)?;
        let mut queue = Queue::new(options.tie_break, &mut index, &cells);
        while merges.len() < options.merges
            && let Some(best) = queue.pop(&mut index, &cells)
        {
            let pair = index.take(best);
            merges.push(Merge { pair: pair.tokens, count: pair.count });
            let token = cells.add_token(pair.tokens);
            for &new in merger.merge(&pair, token, &mut cells, &mut index, &mut pulse)? {
                queue.push(new, &mut index, &cells);
            }
            pulse.done += 1;
        }
        if floor == 1 {
            break;
        }
        floor = (floor / 8).max(1);
    }
    Ok(merges)
}

/// The count below which pairs are not indexed at first. Counts never rise, so as long as the best pair has at least this count,
/// the pairs left out do not matter; once it has not, the index is made anew with a lower floor.
///
/// The last of n merges has some 1/40 to 1/55 of the n-th part of all pairs, on English as on mixed text, at 50,000 and at
/// 100,000 merges; 1/128 leaves room, and spares indexing 85 % of the pairs.
fn first_floor(counts: &PieceCounts, merges: usize) -> u64 {
    let pairs: u128 = counts.iter().map(|piece| (piece.bytes.len() as u128 - 1) * u128::from(piece.count)).sum();
    u64::try_from(pairs / (128 * merges.max(1) as u128)).unwrap_or(u64::MAX).max(1)
}

/// The id of each byte.
fn byte_ids(byte_order: &[u8; 256]) -> Result<[u32; 256]> {
    let mut ids = [u32::MAX; 256];
    for (id, &byte) in (0..).zip(byte_order) {
        if ids[usize::from(byte)] != u32::MAX {
            return Err(Error::Vocabulary(format!(
                "the byte order names byte {byte} twice: it must hold each byte once"
            )));
        }
        ids[usize::from(byte)] = id;
    }
    Ok(ids)
}
