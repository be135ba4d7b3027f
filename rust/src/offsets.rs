//! Where tokens lie in their text, and where to cut a text to a number of tokens.

use crate::encode::Sink;
use crate::error::Result;
use crate::progress::Progress;
use crate::special::Matcher;
use crate::vocab::Vocabulary;

/// Half-open ranges, one for each id.
pub type Offsets = Vec<(usize, usize)>;

impl Vocabulary {
    /// The ids of `text`, and for each the half-open range of bytes, or of characters, that it stands for. In characters, a token that
    /// holds only some bytes of one covers it whole, so neighbours may overlap in one.
    pub fn encode_with_offsets(
        &self,
        text: &str,
        special: Option<&Matcher>,
        characters: bool,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<u32>, Offsets)> {
        let mut encoded = WithEnds { vocabulary: self, ids: Vec::new(), ends: Vec::new() };
        self.encode(text, special, &mut encoded, progress)?;
        let WithEnds { ids, ends, .. } = encoded;
        let mut offsets = Vec::with_capacity(ids.len());
        let mut start = 0;
        let mut begun = 0; // how many characters begin before `start`
        for end in ends {
            if characters {
                let inside = !text.is_char_boundary(start);
                let first = begun - usize::from(inside);
                begun += text.as_bytes()[start..end].iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
                offsets.push((first, begun));
            } else {
                offsets.push((start, end));
            }
            start = end;
        }
        Ok((ids, offsets))
    }

    /// The length in bytes of the longest prefix of `text` that is made of whole tokens among its first `limit`, ends on a character, and
    /// has at most `limit` tokens when it is encoded itself. Nothing is read past token `limit`, except the rest of its piece.
    pub fn truncated(&self, text: &str, limit: usize, progress: &mut Progress<'_>) -> Result<usize> {
        let mut text = text;
        // A prefix can have more tokens than the text had there, where the pattern splits its end differently: then it is cut once more.
        loop {
            let (mut place, mut end) = (0, 0);
            let each = |ids: &[u32]| {
                for &id in ids {
                    place += self.length_of_id(id);
                    if text.is_char_boundary(place) {
                        end = place;
                    }
                }
            };
            self.encode_up_to(text, limit, each, progress)?;
            if end == text.len() {
                return Ok(end);
            }
            text = &text[..end];
        }
    }
}

/// Ids, and where the text of each ends.
struct WithEnds<'a> {
    vocabulary: &'a Vocabulary,
    ids: Vec<u32>,
    ends: Vec<usize>,
}

impl WithEnds<'_> {
    fn push(&mut self, id: u32, length: usize) {
        self.ids.push(id);
        self.ends.push(self.ends.last().unwrap_or(&0) + length);
    }
}

impl Sink for WithEnds<'_> {
    fn ids(&mut self, ids: &[u32]) -> Result<()> {
        ids.iter().for_each(|&id| self.push(id, self.vocabulary.length_of_id(id)));
        Ok(())
    }

    fn special(&mut self, id: u32, length: usize) -> Result<()> {
        self.push(id, length);
        Ok(())
    }
}
