//! Stages: merges that cross the pieces of earlier stages, such as superwords, which hold spaces (SuperBPE, Liu et al. 2025).
//!
//! A text is split by the pattern of the last stage, and each piece is encoded by the earlier stages as a text of its own.
//! Their tokens are joined by the merges of the last stage alone: two tokens that an earlier stage would have joined, had
//! its pattern not split them, stay apart.

use crate::encode::{Output, Rows, Sink};
use crate::error::{Error, Result};
use crate::merge::Chain;
use crate::pipeline::Event;
use crate::progress::{Look, unwatched};
use crate::table::PairTable;
use crate::vocab::Vocabulary;

/// A stage: the patterns that split text, and the first merge that they apply to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// How many merges come before those of this stage.
    pub first_rank: usize,
    /// If empty, a text is one piece; if several, each splits the pieces of the one before.
    pub patterns: Vec<String>,
}

/// The last stage of a vocabulary that has several.
pub(crate) struct LastStage {
    /// The vocabulary of the earlier stages, without special tokens.
    pub(crate) narrower: Vocabulary,
    /// The merges of this stage alone.
    pairs: PairTable,
}

impl LastStage {
    /// The stage whose merges are those of `parents`, as pairs of indices, that come after the merges of `narrower`.
    pub(crate) fn new(narrower: Vocabulary, parents: &[(u32, u32)]) -> LastStage {
        let first = narrower.tokens().count();
        let own = &parents[first - 256..];
        let mut pairs = PairTable::with_capacity(own.len());
        for (&(left, right), merged) in own.iter().zip(first as u32..) {
            pairs.insert(left, right, merged);
        }
        LastStage { narrower, pairs }
    }

    /// Applies the merges of this stage to `ids`, which the earlier stages made. O(n log n). Nothing fails but `look`.
    pub(crate) fn merge(
        &self,
        vocabulary: &Vocabulary,
        ids: &mut Vec<u32>,
        chain: &mut Chain,
        look: &mut Look<'_>,
    ) -> Result<()> {
        let tokens = vocabulary.tokens();
        // Every id of the earlier stages is an id of this vocabulary.
        ids.iter_mut().for_each(|id| *id = tokens.index_of_id(*id).unwrap_or_default());
        chain.merge(self.pairs.view(), ids, look)?;
        ids.iter_mut().for_each(|id| *id = tokens.ids()[*id as usize]);
        Ok(())
    }

    /// Sends the ids of the pieces that `text` begins with, which end at `ends`. `ids` is a buffer.
    pub(crate) fn pieces(
        &self,
        vocabulary: &Vocabulary,
        text: &[u8],
        ends: &[u32],
        ids: &mut Vec<u32>,
        work: &mut Work,
        output: &mut Output<'_, impl Sink>,
    ) -> Result<()> {
        // The earlier stages encode all pieces together, so that their merges run side by side.
        let Work { narrow, chain } = work;
        narrow.ids.clear();
        narrow.ends.clear();
        let length = ends.last().map_or(0, |&end| end as usize);
        let rows = &mut Output { sink: &mut *narrow, look: output.look };
        self.narrower.with_encoder(length, rows, |encoder, rows| {
            let mut start = 0;
            ends.iter().try_for_each(|&end| {
                let piece = &text[start..end as usize];
                start = end as usize;
                encoder.bytes(piece, rows)?;
                encoder.mark(Event::End, rows)
            })
        })?;
        let mut start = 0;
        for &end in &narrow.ends {
            ids.clear();
            ids.extend_from_slice(&narrow.ids[start..end]);
            self.merge(vocabulary, ids, chain, output.look)?;
            output.sink.ids(ids)?;
            start = end;
        }
        Ok(())
    }
}

/// What a thread keeps between calls.
#[derive(Default)]
pub(crate) struct Work {
    /// The ids that the earlier stages make of some pieces.
    narrow: Rows,
    pub(crate) chain: Chain,
}

impl Vocabulary {
    /// Appends the ids of a piece that the pattern of the last stage made; the earlier stages split it further.
    pub(crate) fn encode_widest_piece(&self, piece: &[u8], out: &mut Vec<u32>) -> Result<()> {
        if self.last_stage().is_some() {
            let output = &mut Output { sink: out, look: &mut |_| Ok(()) };
            return self.with_encoder(piece.len(), output, |encoder, output| encoder.piece(piece, output));
        }
        self.encode_piece(piece, out, &mut unwatched)
    }

    /// `Error::Vocabulary` if there are several stages, where `what` has no meaning.
    pub(crate) fn refuse_stages(&self, what: &str) -> Result<()> {
        match self.last_stage() {
            None => Ok(()),
            Some(_) => Err(Error::Vocabulary(format!(
                "{what} follows tiktoken, which knows no stages, and this vocabulary has {}: use encode or encode_bytes",
                self.stages().len()
            ))),
        }
    }
}
