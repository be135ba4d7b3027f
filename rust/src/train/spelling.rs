//! The bytes of tokens, for vocabularies in which two pairs can spell the same bytes.
//!
//! Within one stage no two merges make the same bytes, because the tokens inside a stretch of text depend on nothing outside it. A later
//! stage finds the same bytes in several forms, because the pieces of the stages before it ended in different places ("'s" is one token
//! here, and "'" and "s" are two elsewhere). A vocabulary has each token once, so a pair that spells an existing token is never merged.

use std::collections::HashSet;
use std::rc::Rc;

use super::Pair;

/// The bytes of each token, by number.
pub(super) struct Spelling {
    tokens: Vec<Rc<[u8]>>,
    seen: HashSet<Rc<[u8]>>,
}

impl Spelling {
    /// The tokens at the start, by number.
    pub(super) fn new<'a>(tokens: impl Iterator<Item = &'a [u8]>) -> Spelling {
        let tokens: Vec<Rc<[u8]>> = tokens.map(Rc::from).collect();
        let seen = tokens.iter().cloned().collect();
        Spelling { tokens, seen }
    }

    /// Adds the bytes that a pair spells as the next token; false if there is such a token already.
    pub(super) fn add(&mut self, (left, right): Pair) -> bool {
        let token: Rc<[u8]> = [&*self.tokens[left as usize], &*self.tokens[right as usize]].concat().into();
        let is_new = self.seen.insert(token.clone());
        if is_new {
            self.tokens.push(token);
        }
        is_new
    }
}
