//! Splits one after the other: each runs inside the pieces of the one before, as a `Sequence` in a tokenizer.json says.
//!
//! To a later split a piece is a text of its own, so `$` and look-ahead see where it ends. Where the first split has a cut, both sides
//! of it are split apart, and so is all that later splits do inside: its cuts are those of the sequence.

use std::convert::Infallible;
use std::ops::ControlFlow;

use super::batch::{Stop, deliver, outcome};
use super::{Machine, Scratch};
use crate::error::Result;

/// Buffers for what happens inside the pieces of the first split.
#[derive(Default)]
pub(super) struct Inner {
    scratch: Scratch,
    /// The ends of the pieces so far, and those that the next split makes of them.
    ends: [Vec<u32>; 2],
}

/// Sends the pieces that `rest` makes of those of `first`; a batch of the first is a batch of them all.
pub(super) fn split<B>(
    first: &Machine,
    rest: &[Machine],
    text: &str,
    base: usize,
    scratch: &mut Scratch,
    each: &mut impl FnMut(usize, &[u32]) -> ControlFlow<B>,
) -> std::result::Result<(), Stop<B>> {
    let mut inner = scratch.inner.take().unwrap_or_default();
    let Inner { scratch: within, ends: [pieces, finer] } = &mut *inner;
    let split = first.text(text, base, scratch, &mut |start, ends| {
        pieces.clear();
        pieces.extend_from_slice(ends);
        for machine in rest {
            if let Err(error) = refine(machine, &text[start - base..], pieces, within, finer) {
                return ControlFlow::Break(Stop::Failed(error));
            }
            std::mem::swap(pieces, finer);
        }
        deliver(each, start, pieces).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    });
    scratch.inner = Some(inner);
    split.map_err(|stop| match stop {
        Stop::Broken(stop) => stop,
        Stop::Failed(error) => Stop::Failed(error),
    })
}

/// Leaves in `finer` the ends of the pieces that `machine` makes of each of `pieces`, which are those of the start of `text`.
fn refine(machine: &Machine, text: &str, pieces: &[u32], scratch: &mut Scratch, finer: &mut Vec<u32>) -> Result<()> {
    finer.clear();
    let mut start = 0;
    for &end in pieces {
        let piece = &text[start..end as usize];
        outcome::<Infallible>(machine.text(piece, start, scratch, &mut |base, ends| {
            finer.extend(ends.iter().map(|end| base as u32 + end));
            ControlFlow::Continue(())
        }))?;
        start = end as usize;
    }
    Ok(())
}
