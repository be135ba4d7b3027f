//! Splits in sequence: each runs inside the pieces of the one before, like a `Sequence` in a tokenizer.json.
//!
//! To a later split a piece is a text of its own, so `$` and look-ahead see where it ends. Where the first split has a cut, its two sides
//! are split independently, and later splits stay inside the pieces of one side: so the cuts of the first split are cuts of the sequence.
//!
//! So is a cut of a later split that follows a character which no match of the splits before it holds. Such a character ends whatever was
//! being matched, so these match what comes after it as at the start of a text, and what comes before it as at the end of one. They
//! end a piece at the place, and then the later splits see two texts there anyway; or a gap goes on past it, and is cut there.

use super::table::Between;
use super::{Each, Scratch, Split};
use crate::error::Result;

/// Buffers for what happens inside the pieces of the first split.
#[derive(Default)]
pub(super) struct Inner {
    scratch: Scratch,
    /// The ends of the pieces so far, and those that the next split makes of them.
    ends: [Vec<u32>; 2],
}

/// The last position in `lo..=hi` where a piece ends whatever text comes before and after.
pub(super) fn cut(splits: &[Split], bytes: &[u8], lo: usize, hi: usize) -> Option<usize> {
    (lo..=hi.min(bytes.len())).rev().find(|&at| {
        for split in splits {
            match split {
                Split::Compiled(table) => match table.between(bytes, at) {
                    Between::Cut => return true,
                    Between::Gap => {}
                    Between::Unknown => return false,
                },
                Split::Backtracking(..) => return false,
            }
        }
        false
    })
}

/// Sends the pieces that `rest` makes of those of `first`; each batch of the first split becomes one batch of the sequence.
pub(super) fn split(
    first: &Split,
    rest: &[Split],
    text: &str,
    base: usize,
    scratch: &mut Scratch,
    each: &mut Each<'_>,
) -> Result<()> {
    let mut inner = scratch.inner.take().unwrap_or_default();
    let Inner { scratch: within, ends: [pieces, finer] } = &mut *inner;
    let flow = first.text(text, base, scratch, &mut |start, ends| {
        pieces.clear();
        pieces.extend_from_slice(ends);
        for split in rest {
            refine(split, &text[start - base..], pieces, within, finer)?;
            std::mem::swap(pieces, finer);
        }
        each(start, pieces)
    });
    scratch.inner = Some(inner);
    flow
}

/// Puts into `finer` the ends of the pieces that `split` makes of each of `pieces`, which begin at the start of `text`.
fn refine(split: &Split, text: &str, pieces: &[u32], scratch: &mut Scratch, finer: &mut Vec<u32>) -> Result<()> {
    finer.clear();
    let mut start = 0;
    for &end in pieces {
        let piece = &text[start..end as usize];
        split.text(piece, start, scratch, &mut |base, ends| {
            finer.extend(ends.iter().map(|end| base as u32 + end));
            Ok(())
        })?;
        start = end as usize;
    }
    Ok(())
}
