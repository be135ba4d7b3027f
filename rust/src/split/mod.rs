//! Splitting text into pieces, the units that no merge crosses.

use std::ops::ControlFlow;

use crate::error::Result;

/// Splits text by one pattern. Immutable; shared between threads.
pub struct Splitter {}

/// Buffers that a thread keeps between calls.
#[derive(Default)]
pub struct Scratch {}

/// Which engine runs a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// No pattern: the whole text is one piece.
    Whole,
    /// The compiled table: linear time, exact.
    Compiled,
    /// fancy-regex, under its backtracking limit.
    Backtracking,
}

impl Splitter {
    /// Compiles `pattern`; `None` makes each text one piece.
    pub fn new(_pattern: Option<&str>) -> Result<Splitter> {
        Ok(Splitter {})
    }

    /// Which engine runs the pattern.
    pub fn engine(&self) -> Engine {
        Engine::Whole
    }

    /// Calls `each(base, ends)` with batches of piece ends relative to `base`, in order: the first piece of a batch starts at
    /// `base`, each next one where the last ended. Stops early when `each` breaks.
    pub fn split<B>(
        &self,
        _text: &str,
        _scratch: &mut Scratch,
        mut _each: impl FnMut(usize, &[u32]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        Ok(ControlFlow::Continue(()))
    }

    /// As `split`, for bytes: maximal valid UTF-8 stretches are split as text, each maximal invalid stretch is one piece.
    pub fn split_bytes<B>(
        &self,
        _bytes: &[u8],
        _scratch: &mut Scratch,
        mut _each: impl FnMut(usize, &[u32]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        Ok(ControlFlow::Continue(()))
    }

    /// The last position in `lo..=hi` where a piece ends whatever the text before and after: where threads may cut.
    pub fn cut(&self, _bytes: &[u8], _lo: usize, _hi: usize) -> Option<usize> {
        None
    }
}
