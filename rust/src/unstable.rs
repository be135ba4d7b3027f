//! Encoding a text that may go on: the tokens that stay whatever follows, and the ways its end may turn out.
//!
//! Follows tiktoken's `encode_with_unstable` step by step, its approximations included, so that the results are the same.

use std::collections::BTreeSet;

use crate::encode::Sink;
use crate::error::Result;
use crate::progress::Progress;
use crate::special::Matcher;
use crate::vocab::Vocabulary;

/// Ids, and how many of them the last piece made: 0 after a special token.
#[derive(Default)]
struct WithLastPiece {
    ids: Vec<u32>,
    last_piece: usize,
}

impl Sink for WithLastPiece {
    const PIECE_BY_PIECE: bool = true;

    fn ids(&mut self, ids: &[u32]) -> Result<()> {
        self.last_piece = ids.len();
        self.ids.ids(ids)
    }

    fn special(&mut self, id: u32, _: usize) -> Result<()> {
        self.last_piece = 0;
        self.ids.push(id);
        Ok(())
    }
}

impl WithLastPiece {
    /// The ids that stay, and the bytes of those that may change: the last piece's, and if that is white space the white space before it
    /// too, since a split between two runs of white space can vanish when text follows ("\n" and " " become "\n \n").
    fn stable_and_end(self, vocabulary: &Vocabulary) -> Result<(Vec<u32>, Vec<u8>)> {
        let WithLastPiece { mut ids, last_piece } = self;
        let tokens = vocabulary.tokens();
        let is_space = |id: u32| {
            let index = tokens.index_of_id(id);
            index.is_some_and(|index| tokens.bytes(index).iter().all(|byte| matches!(byte, b' ' | b'\n' | b'\t')))
        };
        let mut stable = ids.len() - last_piece;
        if last_piece > 0 && is_space(ids[stable]) {
            while stable > 0 && is_space(ids[stable - 1]) {
                stable -= 1;
            }
        }
        let mut end = Vec::new();
        vocabulary.decode(&ids[stable..], &mut end)?;
        ids.truncate(stable);
        Ok((ids, end))
    }
}

impl Vocabulary {
    /// The stable ids of `text`, and each sequence of ids that the rest of it could become once more text follows. `sorted` is
    /// `tokens_by_bytes`. The number of completions is that of the tokens which begin with some suffix of the unstable end.
    pub fn encode_with_unstable(
        &self,
        text: &str,
        special: Option<&Matcher>,
        sorted: &[u32],
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<u32>, BTreeSet<Vec<u32>>)> {
        self.refuse_stages("encode_with_unstable")?;
        let mut encoded = WithLastPiece::default();
        self.encode(text, special, &mut encoded, progress)?;
        let (ids, end) = encoded.stable_and_end(self)?;
        let mut completions = BTreeSet::new();
        if end.is_empty() {
            return Ok((ids, completions));
        }

        let starting_with_end = |place: usize| {
            let prefix = &end[place..];
            let first = sorted.partition_point(|&token| self.tokens().bytes(token) < prefix);
            sorted[first..].iter().copied().take_while(move |&token| self.tokens().bytes(token).starts_with(prefix))
        };
        completions.extend(starting_with_end(0).map(|token| vec![self.tokens().ids()[token as usize]]));

        // A token that goes on past the end may begin at any place inside it.
        for place in 1..end.len() {
            for token in starting_with_end(place) {
                let possibility = [&end[..place], self.tokens().bytes(token)].concat();
                let mut encoded = Vec::new();
                match std::str::from_utf8(&possibility) {
                    Ok(text) => self.encode_ordinary(text, &mut encoded)?,
                    Err(_) => self.merge_piece(&possibility, &mut encoded),
                }
                let mut covered = 0;
                let needed = encoded.iter().take_while(|&&id| {
                    let more = covered < end.len();
                    covered += self.length_of_id(id);
                    more
                });
                completions.insert(needed.copied().collect());
            }
        }

        // Text that follows can also make a split appear before a last white-space character: `\s+(?!\S)` leaves it to the next piece.
        if let Some(space) = last_char(&end).filter(|last| last.is_whitespace() && last.len_utf8() < end.len()) {
            let (before, last) = end.split_at(end.len() - space.len_utf8());
            let mut split = Vec::new();
            self.merge_piece(before, &mut split);
            self.merge_piece(last, &mut split);
            completions.insert(split);
        }
        Ok((ids, completions))
    }

    /// tiktoken's `_encode_bytes`: valid UTF-8 as text; otherwise the last piece before the first invalid byte is merged together with
    /// all that follows, as one piece.
    pub fn encode_bytes_as_tiktoken(&self, bytes: &[u8], progress: &mut Progress<'_>) -> Result<Vec<u32>> {
        self.refuse_stages("_encode_bytes")?;
        let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        let mut encoded = WithLastPiece::default();
        self.encode(text, None, &mut encoded, progress)?;
        if text.len() == bytes.len() {
            return Ok(encoded.ids);
        }
        let (mut ids, mut end) = encoded.stable_and_end(self)?;
        end.extend_from_slice(&bytes[text.len()..]);
        self.encode_piece(&end, &mut ids, progress)?;
        Ok(ids)
    }

    /// The indices of all ordinary tokens, sorted by their bytes.
    pub fn tokens_by_bytes(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.tokens().count() as u32).collect();
        sorted.sort_unstable_by_key(|&token| self.tokens().bytes(token));
        sorted
    }

    /// Appends the ids that merging makes of `piece`, even where it is a token of its own.
    fn merge_piece(&self, piece: &[u8], out: &mut Vec<u32>) {
        let mut tokens = Vec::new();
        self.tokens().merge(piece, &mut tokens);
        out.extend(tokens.iter().map(|&token| self.tokens().ids()[token as usize]));
    }
}

/// The last character, if the bytes end in a valid one.
fn last_char(bytes: &[u8]) -> Option<char> {
    (1..=bytes.len().min(4)).find_map(|n| std::str::from_utf8(&bytes[bytes.len() - n..]).ok()?.chars().next())
}
