//! Piece ends on their way to the caller, some tens of KB of text at a time.
//!
//! Ends are 32 bits wide, relative to the start of their batch: a text may have any length, but a single piece may not pass 4 GiB.

use std::ops::ControlFlow;

use super::{Each, Flow};
use crate::error::Error;

/// A batch is handed over once it covers this many bytes: at most this much, or one piece, is read ahead of a caller that stops early.
const BATCH_BYTES: usize = 1 << 15;

/// Collects ends one by one and hands them over in batches; `flush` hands over the rest.
pub(super) struct Batch<'a, 'e> {
    ends: &'a mut Vec<u32>,
    base: usize,
    last: usize,
    each: &'a mut Each<'e>,
}

impl<'a, 'e> Batch<'a, 'e> {
    /// Pieces from `base` on. `ends` is the buffer to use.
    pub(super) fn new(ends: &'a mut Vec<u32>, base: usize, each: &'a mut Each<'e>) -> Self {
        ends.clear();
        Batch { ends, base, last: base, each }
    }

    /// Where the last piece ended.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    /// Adds the next piece, from where the last one ended to `end`, unless it is empty.
    pub(super) fn push(&mut self, end: usize) -> Flow {
        if end == self.last {
            return ControlFlow::Continue(());
        }
        if end - self.base > BATCH_BYTES {
            self.flush()?;
        }
        let Ok(from_base) = u32::try_from(end - self.base) else { return too_long(end - self.base) };
        self.ends.push(from_base);
        self.last = end;
        ControlFlow::Continue(())
    }

    /// Hands over what is collected.
    pub(super) fn flush(&mut self) -> Flow {
        if !self.ends.is_empty() {
            (self.each)(self.base, self.ends)?;
            self.ends.clear();
            self.base = self.last;
        }
        ControlFlow::Continue(())
    }
}

/// The error for a piece that no 32-bit offset can hold.
pub(super) fn too_long<T>(bytes: usize) -> Flow<T> {
    ControlFlow::Break(Err(Error::Corpus(format!(
        "one piece of {bytes} bytes, and a piece may not pass 4 GiB: \
         split the text into documents, or use a pattern that cuts it"
    ))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_piece_of_4_gib_is_too_long_and_never_a_text() {
        let mut ends = Vec::new();
        let mut delivered = Vec::new();
        let mut each = |base: usize, ends: &[u32]| {
            delivered.push((base, ends.to_vec()));
            ControlFlow::Continue(())
        };
        let mut batch = Batch::new(&mut ends, 1 << 40, &mut each);
        let most = u32::MAX as usize;
        assert!(batch.push((1 << 40) + most).is_continue());
        assert!(batch.push((1 << 40) + 2 * most).is_continue());
        assert!(matches!(batch.push((1 << 40) + 3 * most + 1), ControlFlow::Break(Err(Error::Corpus(_)))));
        assert_eq!(delivered, [(1 << 40, vec![u32::MAX]), ((1 << 40) + most, vec![u32::MAX])]);
    }
}
