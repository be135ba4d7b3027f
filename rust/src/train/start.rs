//! What training starts from: the bytes in some order, or the tokens of a vocabulary.
//!
//! Inside training a token is its *number*. The tokens at the start are numbered in the order of their ids, and each new token gets the
//! next number and the next id, so comparing numbers compares ids.

use super::Pair;
use super::spelling::Spelling;
use crate::count::PieceCounts;
use crate::error::{Error, Result};
use crate::progress::{Progress, Pulse, unwatched};
use crate::vocab::Vocabulary;

/// The tokens before the first merge.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    /// The byte that each id below 256 stands for.
    Bytes(&'a [u8; 256]),
    /// The tokens of a vocabulary. Pieces are encoded with it first, which leaves what its own training would have left. If it has several
    /// stages, pieces are those of the last stage's pattern.
    Vocabulary(&'a Vocabulary),
    /// The tokens of a vocabulary that gets a further stage. Pieces are those of the new stage's pattern, and the vocabulary encodes each
    /// as a text of its own.
    Stage(&'a Vocabulary),
}

/// The tokens at the start, by number.
pub(super) struct Alphabet<'a> {
    ids: Vec<u32>,
    /// The length of each token in bytes, by number.
    pub(super) lengths: Vec<u32>,
    /// The number of each byte.
    pub(super) bytes: [u32; 256],
    encoder: Option<Encoder<'a>>,
    next_id: u64,
}

struct Encoder<'a> {
    vocabulary: &'a Vocabulary,
    /// Whether each piece is encoded as a text, which the vocabulary splits.
    splits: bool,
    /// The numbers of tokens, by index.
    numbers: Vec<u32>,
}

impl Encoder<'_> {
    /// Writes the ids of a piece to `out`.
    fn encode(&self, piece: &[u8], out: &mut Vec<u32>) -> Result<()> {
        out.clear();
        if self.splits {
            self.vocabulary.encode_bytes(piece, out, &mut unwatched)
        } else {
            self.vocabulary.encode_widest_piece(piece, out)
        }
    }

    /// Whether two pairs can spell the same bytes, which takes more than one stage.
    fn has_stages(&self) -> bool {
        self.splits || self.vocabulary.last_stage().is_some()
    }
}

/// How many tokens the corpus has before the first merge.
///
/// `Error::Pattern` if the pattern of an earlier stage gives up on a piece, `Error::Interrupted` if `progress` breaks, and the errors of
/// `train` for a start that makes no sense.
pub fn tokens_at_start<'a>(counts: &PieceCounts, start: Start<'_>, progress: &'a mut Progress<'a>) -> Result<u128> {
    let Some(encoder) = Alphabet::new(start)?.encoder else { return Ok(counts.corpus_bytes()) };
    let (mut ids, mut pulse) = (Vec::new(), Pulse::new(progress, 0));
    counts.iter().try_fold(0, |sum, piece| {
        pulse.step(piece.bytes.len())?;
        encoder.encode(piece.bytes, &mut ids)?;
        Ok(sum + ids.len() as u128 * u128::from(piece.count))
    })
}

impl<'a> Alphabet<'a> {
    /// `Error::Vocabulary` for a byte order that names a byte twice, and for a vocabulary that cannot be extended.
    pub(super) fn new(start: Start<'a>) -> Result<Alphabet<'a>> {
        match start {
            Start::Bytes(byte_order) => Ok(Alphabet {
                ids: (0..256).collect(),
                lengths: vec![1; 256],
                bytes: byte_ids(byte_order)?,
                encoder: None,
                next_id: 256,
            }),
            Start::Vocabulary(vocabulary) => Alphabet::of(vocabulary, false),
            Start::Stage(vocabulary) => Alphabet::of(vocabulary, true),
        }
    }

    fn of(vocabulary: &'a Vocabulary, splits: bool) -> Result<Alphabet<'a>> {
        let tokens = vocabulary.tokens();
        let mut encoder = Encoder { vocabulary, splits, numbers: vec![0; tokens.count()] };
        if tokens.by_rank() || !(tokens.whole_pieces || encoder.has_stages()) {
            return Err(Error::Vocabulary(
                "only a vocabulary in which merging the bytes of each token gives that token can be extended, and this one \
                 has a token that merges do not reach: a merge that is learnt could make it a second time"
                    .into(),
            ));
        }
        let mut indices: Vec<u32> = (0..tokens.count() as u32).collect();
        indices.sort_unstable_by_key(|&index| tokens.ids()[index as usize]);
        for (&index, number) in indices.iter().zip(0..) {
            encoder.numbers[index as usize] = number;
        }
        Ok(Alphabet {
            ids: indices.iter().map(|&index| tokens.ids()[index as usize]).collect(),
            lengths: indices.iter().map(|&index| tokens.bytes(index).len() as u32).collect(),
            bytes: std::array::from_fn(|byte| encoder.numbers[byte]),
            encoder: Some(encoder),
            next_id: vocabulary.n_vocab(),
        })
    }

    /// Writes the token numbers of a piece to `out`. Returns false, and writes nothing, if its tokens are its bytes.
    pub(super) fn encode(&self, piece: &[u8], out: &mut Vec<u32>) -> Result<bool> {
        let Some(encoder) = &self.encoder else { return Ok(false) };
        encoder.encode(piece, out)?;
        for id in out {
            // The ids that a vocabulary encodes with all have an index.
            let index = encoder.vocabulary.tokens().index_of_id(*id).unwrap_or_default();
            *id = encoder.numbers[index as usize];
        }
        Ok(true)
    }

    /// The bytes of the tokens, if two pairs can spell the same bytes.
    pub(super) fn spelling(&self) -> Option<Spelling> {
        let Encoder { vocabulary, .. } = self.encoder.as_ref().filter(|encoder| encoder.has_stages())?;
        let indices = self.ids.iter().filter_map(|&id| vocabulary.tokens().index_of_id(id));
        Some(Spelling::new(indices.map(|index| vocabulary.tokens().bytes(index))))
    }

    /// How many merges made the tokens at the start.
    pub(super) fn merges(&self) -> usize {
        self.ids.len() - 256
    }

    /// `Error::Vocabulary` if `merges` need more ids than there are.
    pub(super) fn check_room(&self, merges: usize) -> Result<()> {
        /// Numbers with the highest bits set mark cells that hold no token.
        const MOST: usize = (1 << 31) - 512;
        if merges.saturating_add(self.ids.len()) > MOST || self.next_id + merges as u64 > 1 << 32 {
            return Err(Error::Vocabulary(format!(
                "{merges} merges: there can be {MOST} tokens at most, with ids below 2^32, and the next id is {}",
                self.next_id
            )));
        }
        Ok(())
    }

    /// The ids of two tokens. `check_room` has made sure that they exist.
    pub(super) fn ids(&self, (left, right): Pair) -> Pair {
        let id = |number: u32| match self.ids.get(number as usize) {
            Some(&id) => id,
            None => self.next_id as u32 + (number - self.ids.len() as u32),
        };
        (id(left), id(right))
    }
}

/// The id of each byte.
fn byte_ids(byte_order: &[u8; 256]) -> Result<[u32; 256]> {
    let mut ids = [u32::MAX; 256];
    for (id, &byte) in (0..).zip(byte_order) {
        if ids[usize::from(byte)] != u32::MAX {
            return Err(Error::Vocabulary(format!(
                "the byte order names byte {byte} twice: it must hold each byte once"
            )));
        }
        ids[usize::from(byte)] = id;
    }
    Ok(ids)
}
