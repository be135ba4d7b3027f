//! Patterns that the compiled engine refuses, run by fancy-regex: exact, slower, and under a limit on backtracking.
//!
//! This is tiktoken's engine, so the tests also compare the compiled engine with it. It is the last version that does not rewrite patterns:
//! 0.19, which tiktoken 0.14 has, matches a single letter with `a+b?a+`.

use fancy_regex::Regex;

use super::{Each, too_long};
use crate::error::{Error, Result};

/// A batch is handed over once it covers this many bytes: at most this much, or one piece, is read ahead of a caller that stops early.
const BATCH_BYTES: usize = 1 << 15;

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
    pub(super) fn split(&self, text: &str, base: usize, ends: &mut Vec<u32>, each: &mut Each<'_>) -> Result<()> {
        let mut batch = Batch::new(ends, base, each);
        for found in self.regex.find_iter(text) {
            let at = batch.last;
            let found = match found {
                Ok(found) => found,
                Err(reason) => {
                    return self.fail(&format!(
                        "gave up on the text after byte {at} ({reason}): \
                         break up the long run there, or write the pattern without look-around that reaches far"
                    ));
                }
            };
            if found.start() < found.end() {
                // A \K inside a look-behind may reach back into the last match. A match that ends there too would be found again for ever.
                if base + found.end() <= at {
                    return self.fail(&format!(
                        "matches again before byte {at} of the text, where its last match ended, and so would never end: \
                         write it without \\K inside a look-behind"
                    ));
                }
                batch.push((base + found.start()).max(at))?;
                batch.push(base + found.end())?;
            }
        }
        batch.push(base + text.len())?;
        batch.flush()
    }

    fn fail(&self, what: &str) -> Result<()> {
        Err(Error::Pattern(format!("the split pattern {} {what}", excerpt(self.regex.as_str()))))
    }
}

/// The pattern as an error shows it: its first 200 characters.
fn excerpt(pattern: &str) -> String {
    match pattern.char_indices().nth(200) {
        Some((at, _)) => format!("\"{}...\"", &pattern[..at]),
        None => format!("\"{pattern}\""),
    }
}

/// Collects ends one by one and hands them over in batches; `flush` hands over the rest.
struct Batch<'a, 'e> {
    ends: &'a mut Vec<u32>,
    base: usize,
    /// Where the last piece ended.
    last: usize,
    each: &'a mut Each<'e>,
}

impl<'a, 'e> Batch<'a, 'e> {
    /// Pieces from `base` on. `ends` is the buffer to use.
    fn new(ends: &'a mut Vec<u32>, base: usize, each: &'a mut Each<'e>) -> Self {
        ends.clear();
        Batch { ends, base, last: base, each }
    }

    /// Adds the next piece, from where the last one ended to `end`, unless it is empty.
    fn push(&mut self, end: usize) -> Result<()> {
        if end == self.last {
            return Ok(());
        }
        if end - self.base > BATCH_BYTES {
            self.flush()?;
        }
        let Ok(from_base) = u32::try_from(end - self.base) else { return Err(too_long(end - self.base)) };
        self.ends.push(from_base);
        self.last = end;
        Ok(())
    }

    /// Hands over what is collected.
    fn flush(&mut self) -> Result<()> {
        if !self.ends.is_empty() {
            (self.each)(self.base, self.ends)?;
            self.ends.clear();
            self.base = self.last;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_piece_of_4_gib_is_too_long_and_never_a_text() {
        let mut ends = Vec::new();
        let mut delivered = Vec::new();
        let mut each = |base: usize, ends: &[u32]| {
            delivered.push((base, ends.to_vec()));
            Ok(())
        };
        let mut batch = Batch::new(&mut ends, 1 << 40, &mut each);
        let most = u32::MAX as usize;
        assert!(batch.push((1 << 40) + most).is_ok());
        assert!(batch.push((1 << 40) + 2 * most).is_ok());
        assert!(matches!(batch.push((1 << 40) + 3 * most + 1), Err(Error::Corpus(_))));
        assert_eq!(delivered, [(1 << 40, vec![u32::MAX]), ((1 << 40) + most, vec![u32::MAX])]);
    }
}
