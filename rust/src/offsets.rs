//! Where tokens lie in their text, and where a text may be cut after so many tokens.

use std::ops::ControlFlow;

use crate::encode::{BYTES_A_TOKEN, Sink};
use crate::error::Result;
use crate::vocab::Vocabulary;

impl Vocabulary {
    /// For each id the half-open range of `text` that it stands for; `ids` decode to `text`. In characters, a token that holds only
    /// some bytes of a character covers it whole, so neighbours may overlap in one.
    pub fn offsets(&self, ids: &[u32], text: &[u8], characters: bool) -> Result<Vec<(usize, usize)>> {
        let mut offsets = Vec::with_capacity(ids.len());
        let mut place = 0;
        let mut character = 0; // how many characters begin before `place`
        for &id in ids {
            let end = place + self.bytes_of_id(id)?.len();
            if characters {
                let begun = character + text[place..end].iter().filter(|&&byte| begins_character(byte)).count();
                let starts_inside = !text.get(place).is_none_or(|&byte| begins_character(byte));
                offsets.push((character - usize::from(starts_inside), begun));
                character = begun;
            } else {
                offsets.push((place, end));
            }
            place = end;
        }
        Ok(offsets)
    }

    /// The length in bytes of the longest prefix of `text` that is made of whole tokens among its first `limit`, ends on a character,
    /// and has at most `limit` tokens when it is encoded itself. Nothing is read past token `limit`, but for the end of its piece.
    pub fn truncated(&self, text: &str, limit: usize) -> Result<usize> {
        let mut text = text;
        // A prefix can have more tokens than the text had there, where the pattern splits it differently at its end: once more, then.
        loop {
            let mut prefix = Prefix { text, left: limit, place: 0, end: 0 };
            if limit > 0 {
                self.encode_ordinary(text, &mut prefix)?;
            }
            if prefix.end == text.len() {
                return Ok(prefix.end);
            }
            text = &text[..prefix.end];
        }
    }
}

/// The end of the last token that ends on a character, among so many.
struct Prefix<'a> {
    text: &'a str,
    left: usize,
    place: usize,
    end: usize,
}

impl Sink for Prefix<'_> {
    fn piece(&mut self, vocabulary: &Vocabulary, ids: &[u32]) -> ControlFlow<()> {
        for &id in ids.iter().take(self.left) {
            self.place += vocabulary.bytes_of_id(id).map_or(0, <[u8]>::len);
            if self.text.is_char_boundary(self.place) {
                self.end = self.place;
            }
        }
        self.left = self.left.saturating_sub(ids.len());
        if self.left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn special(&mut self, _: &Vocabulary, _: u32) -> ControlFlow<()> {
        ControlFlow::Break(())
    }

    fn appetite(&self, bytes: usize) -> usize {
        bytes.min(self.left.saturating_mul(BYTES_A_TOKEN))
    }
}

fn begins_character(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}
