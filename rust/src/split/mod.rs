//! Splitting text into pieces, the units that no merge crosses.
//!
//! ```text
//! pattern --parse--> NFA over classes --symbols, automaton--> DFA over symbols --machine--> streaming machine --table, trie--> table
//! text --walk--> pieces
//! ```
//!
//! Compiling takes 1 to 5 ms, so no table is generated ahead of time or cached. A pattern is compiled exactly or refused; refused patterns
//! run on fancy-regex (`fallback`). No text is lost: what lies between two matches is a piece too, so the pieces of a text always
//! concatenate to it.

mod automaton;
mod fallback;
mod machine;
mod parse;
mod patterns;
mod sequence;
mod symbols;
mod table;
mod trie;
mod walk;

pub use patterns::{Named, PATTERNS, SEQUENCES};

use crate::error::{Error, Result};
use fallback::Backtracker;
use table::Table;
use walk::Splitting;

pub(crate) use walk::{SPARE as ROOM, WINDOW as WITHIN};

/// Splits text by one pattern, or by several in sequence. Immutable; shared between threads.
pub struct Splitter {
    /// Each split but the first runs inside the pieces of the one before. Without any, the whole text is one piece.
    splits: Vec<Split>,
    patterns: Vec<String>,
}

/// The engine for one pattern.
enum Split {
    Compiled(Table),
    /// Carries the compiled engine's reason for refusing the pattern.
    Backtracking(Backtracker, &'static str),
}

/// Receives batches of piece ends, as described at `Splitter::split`. Ends are 32 bits wide, relative to the start of their batch: a text may
/// have any length, but a single piece may not pass 4 GiB.
type Each<'a> = dyn FnMut(usize, &[u32]) -> Result<()> + 'a;

/// Buffers that a thread keeps between calls.
#[derive(Default)]
pub struct Scratch {
    /// Piece ends collected one by one.
    ends: Vec<u32>,
    /// The compiled engine's output slots; some 200 KB at most.
    slots: Vec<u32>,
    /// Text that the compiled engine copies; 33 KB at most.
    copied: Vec<u8>,
    /// The same buffers for splits that run inside pieces; made on first use.
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
    /// Compiles a pattern, or several, each of which splits the pieces of the one before: the `Sequence` of `Split` in a tokenizer.json.
    /// Without any, each text is one piece. A pattern that does not compile is `Error::Pattern`.
    pub fn new(patterns: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Splitter> {
        let patterns: Vec<String> = patterns.into_iter().map(|pattern| pattern.as_ref().into()).collect();
        Ok(Splitter { splits: patterns.iter().map(|pattern| Split::new(pattern)).collect::<Result<_>>()?, patterns })
    }

    /// The patterns.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Which engine runs the pattern; for a sequence, the slowest one.
    pub fn engine(&self) -> Engine {
        match self.refusal() {
            _ if self.splits.is_empty() => Engine::Whole,
            None => Engine::Compiled,
            Some(_) => Engine::Backtracking,
        }
    }

    /// Why the compiled engine refused the pattern, or the first one it refused in a sequence: "it looks behind".
    pub fn refusal(&self) -> Option<&'static str> {
        self.splits.iter().find_map(|split| match split {
            Split::Compiled(_) => None,
            Split::Backtracking(_, reason) => Some(*reason),
        })
    }

    /// Calls `each(base, ends)` with batches of piece ends relative to `base`, in order: the first piece of a batch starts at `base`, each
    /// later one where the previous one ended. A batch may have no ends: then it comes from within a long piece. An error of `each` ends
    /// it, and is returned; one that wants no more pieces returns some error.
    ///
    /// `Error::Pattern` if the backtracking engine ran into its limit, `Error::Corpus` if a piece passes 4 GiB.
    pub fn split(
        &self,
        text: &str,
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &[u32]) -> Result<()>,
    ) -> Result<()> {
        self.text(text, 0, scratch, &mut each)
    }

    /// Like `split`, for bytes: maximal valid UTF-8 stretches are split as text, and each maximal invalid stretch is one piece.
    pub fn split_bytes(
        &self,
        bytes: &[u8],
        scratch: &mut Scratch,
        mut each: impl FnMut(usize, &[u32]) -> Result<()>,
    ) -> Result<()> {
        let each: &mut Each<'_> = &mut each;
        if self.splits.is_empty() {
            return whole(0, bytes.len(), each);
        }
        let (mut at, mut end) = (0, 0);
        while end < bytes.len() {
            match invalid(&bytes[end..]) {
                0 => {
                    whole(at, end - at, each)?;
                    at = end + self.text_of(&bytes[end..], end, scratch, each)?;
                    end = at;
                }
                length => end += length,
            }
        }
        whole(at, end - at, each)
    }

    /// The pieces of bytes, as `split_bytes` finds them.
    pub fn pieces<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>> {
        let (mut pieces, mut start) = (Vec::new(), 0);
        self.split_bytes(bytes, &mut Scratch::default(), |base, ends| {
            for &end in ends {
                pieces.push(&bytes[start..base + end as usize]);
                start = base + end as usize;
            }
            Ok(())
        })?;
        Ok(pieces)
    }

    /// The last position in `lo..=hi` where a piece ends whatever text comes before and after. Threads may cut there: the two sides, split
    /// separately, give the pieces of the whole. `None` if there is no such position, as always with the backtracking engine.
    pub fn cut(&self, bytes: &[u8], lo: usize, hi: usize) -> Option<usize> {
        match &self.splits[..] {
            [Split::Compiled(only)] => only.cut(bytes, lo, hi),
            splits => sequence::cut(splits, bytes, lo, hi),
        }
    }

    /// How many of `bytes` are in pieces that no later text can change: all of them if they are the text's `last`, otherwise those before
    /// the last `cut`.
    pub fn settled(&self, bytes: &[u8], last: bool) -> usize {
        if last { bytes.len() } else { self.cut(bytes, 1, bytes.len().saturating_sub(1)).unwrap_or(0) }
    }

    /// For tests, which try all symbols: by each compiled pattern, which symbol a character is, and of how many.
    #[doc(hidden)]
    pub fn symbols(&self, character: char) -> Vec<(usize, usize)> {
        let symbol = |split: &Split| match split {
            Split::Compiled(table) => Some(table.symbol(character)),
            Split::Backtracking(..) => None,
        };
        self.splits.iter().filter_map(symbol).collect()
    }

    /// The ends of the pieces of a text, at most as many bytes as there are slots, less `ROOM`. None where the compiled engine does not split
    /// alone.
    pub(crate) fn short<'s>(&self, text: &str, slots: &'s mut [u32]) -> Option<&'s [u32]> {
        match &self.splits[..] {
            [Split::Compiled(table)] => Some(walk::short(table, text.as_bytes(), slots)),
            _ => None,
        }
    }

    /// Like `split`, for a text that begins at `base`.
    fn text(&self, text: &str, base: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Result<()> {
        match &self.splits[..] {
            [] => whole(base, text.len(), each),
            [only] => only.text(text, base, scratch, each),
            [first, rest @ ..] => sequence::split(first, rest, text, base, scratch, each),
        }
    }

    /// Splits the valid UTF-8 that `bytes` begin with, and returns its length.
    fn text_of(&self, bytes: &[u8], base: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Result<usize> {
        if let [Split::Compiled(table)] = &self.splits[..] {
            return Splitting::new(table, bytes, 0, base, scratch, each).run();
        }
        let text = std::str::from_utf8(bytes)
            .or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]))
            .unwrap_or_default();
        self.text(text, base, scratch, each)?;
        Ok(text.len())
    }
}

/// The length of the invalid sequence that `bytes` begin with; 0 if they begin with a character.
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
            Err(reason) => Split::Backtracking(Backtracker::new(pattern)?, reason),
        })
    }

    /// Sends the pieces of `text`, which starts at `base`, to `each`.
    fn text(&self, text: &str, base: usize, scratch: &mut Scratch, each: &mut Each<'_>) -> Result<()> {
        match self {
            Split::Compiled(table) => {
                Splitting::new(table, text.as_bytes(), text.len(), base, scratch, each).run().map(drop)
            }
            Split::Backtracking(engine, _) => engine.split(text, base, &mut scratch.ends, each),
        }
    }
}

/// Sends `length` bytes from `base` as one piece; zero bytes make no piece.
fn whole(base: usize, length: usize, each: &mut Each<'_>) -> Result<()> {
    match u32::try_from(length) {
        Ok(0) => Ok(()),
        Ok(end) => each(base, &[end]),
        Err(_) => Err(too_long(length)),
    }
}

/// The error for a piece that no 32-bit offset can hold.
fn too_long(bytes: usize) -> Error {
    Error::Corpus(format!(
        "one piece of {bytes} bytes, and a piece may not pass 4 GiB: \
         split the text into documents, or use a pattern that cuts it"
    ))
}
