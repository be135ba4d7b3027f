//! Finding special tokens in text: the leftmost, and of those that start there the longest.

use aho_corasick::{AhoCorasick, MatchKind};

use crate::error::{Error, Result};

/// Finds any of a set of texts. Its cost per byte does not depend on how many there are.
#[derive(Debug)]
pub struct Matcher {
    automaton: AhoCorasick,
    ids: Vec<u32>,
}

/// A special token in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Byte offset of its start.
    pub start: usize,
    /// Byte offset of its end.
    pub end: usize,
    /// Its id.
    pub id: u32,
}

impl Matcher {
    /// A matcher for these texts and their ids.
    pub fn new(tokens: &[(String, u32)]) -> Result<Matcher> {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(tokens.iter().map(|(text, _)| text))
            .map_err(|error| Error::SpecialToken(format!("these special tokens are too many or too long: {error}")))?;
        Ok(Matcher { automaton, ids: tokens.iter().map(|&(_, id)| id).collect() })
    }

    /// The first special token at or after byte `from`.
    pub fn find(&self, text: &str, from: usize) -> Option<Found> {
        let found = self.automaton.find(aho_corasick::Input::new(text).range(from..))?;
        Some(Found { start: found.start(), end: found.end(), id: self.ids[found.pattern().as_usize()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_and_then_the_longest_is_found() {
        let tokens = ["<a>", "<a><b>", "b>"].map(|text| (text.to_string(), text.len() as u32));
        let matcher = Matcher::new(&tokens).unwrap();
        assert_eq!(matcher.find("x<a><b>", 0), Some(Found { start: 1, end: 7, id: 6 }));
        assert_eq!(matcher.find("x<a><b>", 2), Some(Found { start: 5, end: 7, id: 2 }));
        assert_eq!(matcher.find("<a", 0), None);
        assert_eq!(Matcher::new(&[]).unwrap().find("anything", 0), None);
    }
}
