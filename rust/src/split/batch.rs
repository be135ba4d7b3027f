//! Piece ends on their way to the caller, some tens of KB of text at a time.
//!
//! Ends are 32 bits wide, relative to the start of their batch: a text may be of any length, only a single piece may not pass 4 GiB.

use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// A batch is handed over once it covers this many bytes: at most this much, or one piece, is read ahead of a caller that stops early.
const BATCH_BYTES: usize = 1 << 15;

/// Collects ends and calls `each(base, ends)`; `flush` hands over the rest.
pub(super) struct Batch<'a, F> {
    ends: &'a mut Vec<u32>,
    base: usize,
    last: usize,
    each: F,
}

impl<'a, F> Batch<'a, F> {
    /// Pieces from `base` on. `ends` is the buffer to use.
    pub(super) fn new(ends: &'a mut Vec<u32>, base: usize, each: F) -> Self {
        ends.clear();
        Batch { ends, base, last: base, each }
    }

    /// Where the last piece ended.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    /// The next piece: from where the last one ended to `end`. None if that is nothing.
    pub(super) fn push<B>(&mut self, end: usize) -> Result<ControlFlow<B>>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        if end == self.last {
            return Ok(ControlFlow::Continue(()));
        }
        if end - self.base > BATCH_BYTES
            && let ControlFlow::Break(value) = self.flush()
        {
            return Ok(ControlFlow::Break(value));
        }
        let offset = u32::try_from(end - self.base).map_err(|_| too_long(end - self.base))?;
        self.ends.push(offset);
        self.last = end;
        Ok(ControlFlow::Continue(()))
    }

    /// Hands over what is collected.
    pub(super) fn flush<B>(&mut self) -> ControlFlow<B>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        if !self.ends.is_empty() {
            (self.each)(self.base, self.ends)?;
            self.ends.clear();
            self.base = self.last;
        }
        ControlFlow::Continue(())
    }
}

/// One piece that no 32-bit offset can hold.
pub(super) fn too_long(bytes: usize) -> Error {
    Error::Corpus(format!(
        "one piece of {bytes} bytes, and a piece may not pass 4 GiB: split the text into documents, or use a pattern that cuts it"
    ))
}
