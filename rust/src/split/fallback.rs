//! Patterns that the compiled engine refuses, run by fancy-regex: exact, slower, and under a limit on backtracking.
//!
//! This is tiktoken's engine, so the tests also compare the compiled engine with it. It is the last version that does not rewrite patterns:
//! 0.19, which tiktoken 0.14 has, matches a single letter with `a+b?a+`.

use std::ops::ControlFlow;

use fancy_regex::Regex;

use super::batch::Batch;
use super::{Each, Flow};
use crate::error::{Error, Result};

/// A pattern compiled by fancy-regex.
pub(super) struct Backtracker {
    regex: Regex,
}

impl Backtracker {
    /// Compiles `pattern`.
    pub(super) fn new(pattern: &str) -> Result<Backtracker> {
        let regex = Regex::new(pattern).map_err(|error| {
            Error::Pattern(format!("the split pattern {} does not compile: {error}", excerpt(pattern)))
        })?;
        Ok(Backtracker { regex })
    }

    /// Sends the pieces of `text`, which starts at `base`: each match that is not empty, and each stretch between two of them.
    pub(super) fn split(&self, text: &str, base: usize, ends: &mut Vec<u32>, each: &mut Each<'_>) -> Flow {
        let mut batch = Batch::new(ends, base, each);
        for found in self.regex.find_iter(text) {
            let found = match found {
                Ok(found) => found,
                Err(error) => return ControlFlow::Break(Err(self.gave_up(batch.last(), &error))),
            };
            if found.start() < found.end() {
                // A \K inside a look-behind may reach back into the last match. A match that ends there too would be found again for ever.
                if base + found.end() <= batch.last() {
                    return ControlFlow::Break(Err(self.goes_back(batch.last())));
                }
                batch.push((base + found.start()).max(batch.last()))?;
                batch.push(base + found.end())?;
            }
        }
        batch.push(base + text.len())?;
        batch.flush()
    }

    fn goes_back(&self, at: usize) -> Error {
        Error::Pattern(format!(
            "the split pattern {} matches again before byte {at} of the text, where its last match ended, and so would never end: \
             write it without \\K inside a look-behind",
            excerpt(self.regex.as_str()),
        ))
    }

    fn gave_up(&self, at: usize, reason: &fancy_regex::Error) -> Error {
        Error::Pattern(format!(
            "the split pattern {} gave up on the text after byte {at} ({reason}): \
             break up the long run there, or write the pattern without look-around that reaches far",
            excerpt(self.regex.as_str()),
        ))
    }
}

/// The pattern as an error shows it: its first 200 characters.
fn excerpt(pattern: &str) -> String {
    match pattern.char_indices().nth(200) {
        Some((at, _)) => format!("\"{}...\"", &pattern[..at]),
        None => format!("\"{pattern}\""),
    }
}
