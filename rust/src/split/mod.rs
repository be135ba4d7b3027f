//! Splitting text into pieces, the units that no merge crosses.
//!
//! Nothing is lost: what lies between two matches of a pattern is a piece too, so the pieces of a text always concatenate to it.

use std::ops::ControlFlow;

mod batch;
mod fallback;
mod patterns;

pub use patterns::{NamedPattern, PATTERNS};

use crate::error::Result;
use batch::Batch;
use fallback::Backtracker;

/// Splits text by one pattern. Immutable; shared between threads.
pub struct Splitter {
    machine: Machine,
}

enum Machine {
    Whole,
    Backtracking(Backtracker),
}

/// Buffers that a thread keeps between calls.
#[derive(Default)]
pub struct Scratch {
    ends: Vec<u32>,
}

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
    /// Compiles `pattern`; `None` makes each text one piece. A pattern that does not compile is `Error::Pattern`.
    pub fn new(pattern: Option<&str>) -> Result<Splitter> {
        let machine = match pattern {
            None => Machine::Whole,
            Some(pattern) => Machine::Backtracking(Backtracker::new(pattern)?),
        };
        Ok(Splitter { machine })
    }

    /// Which engine runs the pattern.
    pub fn engine(&self) -> Engine {
        match self.machine {
            Machine::Whole => Engine::Whole,
            Machine::Backtracking(_) => Engine::Backtracking,
        }
    }

    /// Calls `each(base, ends)` with batches of piece ends relative to `base`, in order: the first piece of a batch starts at
    /// `base`, each next one where the last ended. Stops early when `each` breaks.
    ///
    /// `Error::Pattern` if the backtracking engine ran into its limit, `Error::Corpus` if a piece passes 4 GiB.
    pub fn split<B>(
        &self,
        text: &str,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &[u32]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        self.split_at(text, 0, scratch, &mut each)
    }

    /// As `split`, for bytes: maximal valid UTF-8 stretches are split as text, each maximal invalid stretch is one piece.
    pub fn split_bytes<B>(
        &self,
        bytes: &[u8],
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &[u32]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        if let Machine::Whole = self.machine {
            return whole(0, bytes.len(), scratch, &mut each);
        }
        let (mut at, mut invalid) = (0, 0);
        for chunk in bytes.utf8_chunks() {
            if !chunk.valid().is_empty() {
                if let ControlFlow::Break(value) = whole(at, invalid, scratch, &mut each)? {
                    return Ok(ControlFlow::Break(value));
                }
                at += invalid;
                invalid = 0;
                if let ControlFlow::Break(value) = self.split_at(chunk.valid(), at, scratch, &mut each)? {
                    return Ok(ControlFlow::Break(value));
                }
                at += chunk.valid().len();
            }
            invalid += chunk.invalid().len();
        }
        whole(at, invalid, scratch, &mut each)
    }

    /// The last position in `lo..=hi` where a piece ends whatever the text before and after: where threads may cut.
    /// `None` if there is none, as always with the backtracking engine.
    pub fn cut(&self, _bytes: &[u8], _lo: usize, _hi: usize) -> Option<usize> {
        None
    }

    fn split_at<B>(
        &self,
        text: &str,
        base: usize,
        scratch: &mut Scratch,
        each: &mut impl FnMut(usize, &[u32]) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>> {
        match &self.machine {
            Machine::Whole => whole(base, text.len(), scratch, each),
            Machine::Backtracking(engine) => engine.split(text, base, &mut scratch.ends, each),
        }
    }
}

/// `length` bytes from `base` as one piece; nothing is no piece.
fn whole<B>(
    base: usize,
    length: usize,
    scratch: &mut Scratch,
    each: &mut impl FnMut(usize, &[u32]) -> ControlFlow<B>,
) -> Result<ControlFlow<B>> {
    let mut batch = Batch::new(&mut scratch.ends, base, each);
    Ok(match batch.push(base + length)? {
        ControlFlow::Continue(()) => batch.flush(),
        stopped => stopped,
    })
}
