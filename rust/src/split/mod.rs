//! Splitting text into pieces, the units that no merge crosses.
//!
//! ```text
//! pattern --parse--> NFA over classes --symbols, automaton--> DFA over symbols --machine--> streaming machine --table, trie--> table
//! text --walk--> pieces
//! ```
//!
//! Compiling takes 1 to 5 ms, so nothing is generated or cached. A pattern is compiled exactly or refused; refused ones run on fancy-regex
//! (`fallback`). Nothing is lost: what lies between two matches is a piece too, so the pieces of a text always concatenate to it.

use std::ops::ControlFlow;

mod automaton;
mod batch;
mod fallback;
mod machine;
mod parse;
mod patterns;
mod sequence;
mod symbols;
mod table;
mod trie;
mod walk;

pub use patterns::{NamedPattern, NamedSequence, PATTERNS, SEQUENCES};

use crate::error::Result;
use batch::Batch;
use fallback::Backtracker;
use table::Table;
use walk::Splitting;

/// Splits text by one pattern, or by several in sequence. Immutable; shared between threads.
pub struct Splitter {
    /// Each but the first runs inside the pieces of the one before. Without any the whole text is one piece.
    splits: Vec<Split>,
}

/// What runs one pattern.
enum Split {
    Compiled(Table),
    /// With the reason why the compiled engine refused the pattern.
    Backtracking(Backtracker, &'static str),
}

/// Whether splitting goes on, with what was asked for: it breaks with an error, or with none where the caller wants no more.
pub type Flow<T = ()> = ControlFlow<Result<()>, T>;

/// Takes batches of piece ends, as `Splitter::split` says.
pub(crate) type Each<'a> = dyn FnMut(usize, &[u32]) -> Flow + 'a;

/// Buffers that a thread keeps between calls.
#[derive(Default)]
pub struct Scratch {
    /// Ends that are collected one by one.
    ends: Vec<u32>,
    /// What the compiled engine writes to; some 200 KB at most.
    slots: Vec<u32>,
    /// What it copies; 33 KB at most.
    copied: Vec<u8>,
    /// The same for splits inside pieces, once there were any.
    inner: Option<Box<sequence::Inner>>,
}

/// Which engine runs a pattern, the fastest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
        Splitter::sequence(pattern.as_slice())
    }

    /// Compiles several patterns, each to split the pieces of the one before: the `Sequence` of `Split` in a tokenizer.json.
    /// None makes each text one piece.
    pub fn sequence(patterns: &[impl AsRef<str>]) -> Result<Splitter> {
        Ok(Splitter { splits: patterns.iter().map(|pattern| Split::new(pattern.as_ref())).collect::<Result<_>>()? })
    }

    /// Which engine runs the pattern; of a sequence, the slowest.
    pub fn engine(&self) -> Engine {
        match self.refusal() {
            _ if self.splits.is_empty() => Engine::Whole,
            None => Engine::Compiled,
            Some(_) => Engine::Backtracking,
        }
    }

    /// Why the compiled engine refused the pattern, or the first that it refused of a sequence: "it looks behind".
    pub fn refusal(&self) -> Option<&'static str> {
        self.splits.iter().find_map(|split| match split {
            Split::Compiled(_) => None,
            Split::Backtracking(_, reason) => Some(*reason),
        })
    }

    /// Calls `each(base, ends)` with batches of piece ends relative to `base`, in order: the first piece of a batch starts at
    /// `base`, each next one where the last ended. Stops early when `each` breaks, with its error if it has one.
    ///
    /// `Error::Pattern` if the backtracking engine ran into its limit, `Error::Corpus` if a piece passes 4 GiB.
    pub fn split(&self, text: &str, scratch: &mut Scratch, mut each: impl FnMut(usize, &[u32]) -> Flow) -> Result<()> {
        ended(self.text(text, 0, scratch, &mut each))
    }

    /// As `split`, for bytes: maximal valid UTF-8 stretches are split as text, each maximal invalid stretch is one piece.
    pub fn split_bytes(
        &self,
        bytes: &[u8],
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &[u32]) -> Flow,
    ) -> Result<()> {
        ended(self.bytes(bytes, scratch, &mut each))
    }

    /// The last position in `lo..=hi` where a piece ends whatever the text before and after: where threads may cut, for the two
    /// sides split alone have the pieces of the whole. `None` if there is none, as always with the backtracking engine.
    pub fn cut(&self, bytes: &[u8], lo: usize, hi: usize) -> Option<usize> {
        match self.splits.first() {
            Some(Split::Compiled(table)) => table.cut(bytes, lo, hi),
            _ => None,
        }
    }

    /// How many of `bytes`, which more of a text follows unless they are its `last`, are pieces whatever that is: all of them, or those
    /// before the last `cut`.
    pub fn settled(&self, bytes: &[u8], last: bool) -> usize {
        if last { bytes.len() } else { self.cut(bytes, 1, bytes.len().saturating_sub(1)).unwrap_or(0) }
    }

    /// As `split`, of a text that begins at `base`.
    pub(crate) fn text(&self, text: &str, base: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Flow {
        match &self.splits[..] {
            [] => whole(base, text.len(), scratch, each),
            [only] => only.text(text, base, scratch, each),
            [first, rest @ ..] => sequence::split(first, rest, text, base, scratch, each),
        }
    }

    /// As `split_bytes`.
    pub(crate) fn bytes(&self, bytes: &[u8], scratch: &mut Scratch, each: &mut Each<'_>) -> Flow {
        if self.splits.is_empty() {
            return whole(0, bytes.len(), scratch, each);
        }
        let (mut at, mut end) = (0, 0);
        while end < bytes.len() {
            match invalid(&bytes[end..]) {
                0 => {
                    whole(at, end - at, scratch, each)?;
                    at = end + self.text_of(&bytes[end..], end, scratch, each)?;
                    end = at;
                }
                length => end += length,
            }
        }
        whole(at, end - at, scratch, each)
    }

    /// Splits the text that `bytes` begin with, up to what is not UTF-8, and returns where it ends.
    fn text_of(&self, bytes: &[u8], base: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Flow<usize> {
        if let [Split::Compiled(table)] = &self.splits[..] {
            return Splitting::new(table, bytes, 0, base, scratch, each).run();
        }
        let text = std::str::from_utf8(bytes)
            .or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]))
            .unwrap_or_default();
        self.text(text, base, scratch, each)?;
        ControlFlow::Continue(text.len())
    }
}

/// The error with which a flow broke, if it did.
pub(crate) fn ended(flow: Flow) -> Result<()> {
    flow.break_value().unwrap_or(Ok(()))
}

/// How many bytes `bytes` begin with that are no part of a character.
fn invalid(bytes: &[u8]) -> usize {
    let first = &bytes[..bytes.len().min(4)];
    match std::str::from_utf8(first) {
        Err(error) if error.valid_up_to() == 0 => error.error_len().unwrap_or(first.len()),
        _ => 0,
    }
}

impl Split {
    fn new(pattern: &str) -> Result<Split> {
        Ok(match Table::compile(pattern) {
            Ok(table) => Split::Compiled(table),
            Err(refused) => Split::Backtracking(Backtracker::new(pattern)?, refused.0),
        })
    }

    /// Sends the pieces of `text`, which starts at `base`.
    fn text(&self, text: &str, base: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Flow {
        match self {
            Split::Compiled(table) => {
                Splitting::new(table, text.as_bytes(), text.len(), base, scratch, each).run().map_continue(drop)
            }
            Split::Backtracking(engine, _) => engine.split(text, base, &mut scratch.ends, each),
        }
    }
}

/// `length` bytes from `base` as one piece; nothing is no piece.
fn whole(base: usize, length: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Flow {
    let mut batch = Batch::new(&mut scratch.ends, base, each);
    batch.push(base + length)?;
    batch.flush()
}
