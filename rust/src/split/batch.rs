//! Piece ends on their way to the caller, some tens of KB of text at a time.
//!
//! Ends are 32 bits wide, relative to the start of their batch: a text may be of any length, only a single piece may not pass 4 GiB.

use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// A batch is handed over once it covers this many bytes: at most this much, or one piece, is read ahead of a caller that stops early.
const BATCH_BYTES: usize = 1 << 15;

/// Why splitting ended before the text did.
pub(super) enum Stop<B> {
    /// The caller broke off.
    Broken(B),
    /// The text cannot be split.
    Failed(Error),
}

impl<B> From<Error> for Stop<B> {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

/// What the public functions return, from what the engines do.
pub(super) fn outcome<B>(ended: std::result::Result<(), Stop<B>>) -> Result<ControlFlow<B>> {
    match ended {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(Stop::Broken(value)) => Ok(ControlFlow::Break(value)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Hands one batch over.
pub(super) fn deliver<B>(
    each: &mut impl FnMut(usize, &[u32]) -> ControlFlow<B>,
    base: usize,
    ends: &[u32],
) -> std::result::Result<(), Stop<B>> {
    match each(base, ends) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(value) => Err(Stop::Broken(value)),
    }
}

/// Collects ends one by one and hands them over; `flush` the rest.
pub(super) struct Batch<'a, F> {
    ends: &'a mut Vec<u32>,
    base: usize,
    last: usize,
    each: &'a mut F,
}

impl<'a, F> Batch<'a, F> {
    /// Pieces from `base` on. `ends` is the buffer to use.
    pub(super) fn new(ends: &'a mut Vec<u32>, base: usize, each: &'a mut F) -> Self {
        ends.clear();
        Batch { ends, base, last: base, each }
    }

    /// Where the last piece ended.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    /// The next piece: from where the last one ended to `end`. None if that is nothing.
    pub(super) fn push<B>(&mut self, end: usize) -> std::result::Result<(), Stop<B>>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        if end == self.last {
            return Ok(());
        }
        if end - self.base > BATCH_BYTES {
            self.flush()?;
        }
        self.ends.push(u32::try_from(end - self.base).map_err(|_| too_long(end - self.base))?);
        self.last = end;
        Ok(())
    }

    /// Hands over what is collected.
    pub(super) fn flush<B>(&mut self) -> std::result::Result<(), Stop<B>>
    where
        F: FnMut(usize, &[u32]) -> ControlFlow<B>,
    {
        if !self.ends.is_empty() {
            deliver(self.each, self.base, self.ends)?;
            self.ends.clear();
            self.base = self.last;
        }
        Ok(())
    }
}

/// One piece that no 32-bit offset can hold.
pub(super) fn too_long(bytes: usize) -> Error {
    Error::Corpus(format!(
        "one piece of {bytes} bytes, and a piece may not pass 4 GiB: \
         split the text into documents, or use a pattern that cuts it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_piece_of_4_gib_is_too_long_and_never_a_text() {
        let mut ends = Vec::new();
        let mut delivered = Vec::new();
        let mut each = |base: usize, ends: &[u32]| -> ControlFlow<()> {
            delivered.push((base, ends.to_vec()));
            ControlFlow::Continue(())
        };
        let mut batch = Batch::new(&mut ends, 1 << 40, &mut each);
        let most = u32::MAX as usize;
        assert!(batch.push((1 << 40) + most).is_ok());
        assert!(batch.push((1 << 40) + 2 * most).is_ok());
        assert!(matches!(batch.push((1 << 40) + 3 * most + 1), Err(Stop::Failed(Error::Corpus(_)))));
        assert_eq!(delivered, [(1 << 40, vec![u32::MAX]), ((1 << 40) + most, vec![u32::MAX])]);
    }
}
