//! Encoding many texts, or long ones, on several threads.
//!
//! Work is cut before it begins, so the result does not depend on how many threads do it: long texts where the splitter proves that a piece
//! ends, which needs no look at what comes before, and short ones together.

use std::ops::Range;

use crate::document::{Contents, Document};
use crate::encode::{Output, Rows, room_for};
use crate::error::Result;
use crate::lines::on_large_pages;
use crate::pipeline::Event;
use crate::progress::{Progress, Pulse};
use crate::special::Matcher;
use crate::threads::in_parts;
use crate::vocab::Vocabulary;

/// About so many bytes are encoded by a thread at a time: some milliseconds.
const PART: usize = 1 << 20;

/// Fewer ids than these are put together by one thread: starting another takes as long.
const ALONE: u64 = 1 << 18;

/// How many files are opened at a time: fewer than a process may have open, and far fewer than it may map.
const FILES: usize = 256;
/// A file of fewer bytes is read: that is faster than mapping it.
const MAPPED: u64 = 1 << 16;

/// What is to be encoded.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// Text.
    Text(&'a str),
    /// Any bytes, as [`Vocabulary::encode_bytes`] takes them.
    Bytes(&'a [u8]),
}

impl<'a> Row<'a> {
    fn bytes(self) -> &'a [u8] {
        match self {
            Row::Text(text) => text.as_bytes(),
            Row::Bytes(bytes) => bytes,
        }
    }

    fn len(self) -> usize {
        self.bytes().len()
    }

    fn part(self, range: Range<usize>) -> Row<'a> {
        match self {
            Row::Text(text) => Row::Text(&text[range]),
            Row::Bytes(bytes) => Row::Bytes(&bytes[range]),
        }
    }
}

/// Ids that each row has around it, if any: before its own, and after them.
pub type Around = [Option<u32>; 2];

/// Told which bytes of which row are done.
type Behind<'a> = dyn Fn(usize, Range<usize>) + Sync + 'a;

/// A row or a part of one.
struct Part<'a> {
    row: Row<'a>,
    /// The number of the row, and where in it the part begins.
    place: (usize, usize),
    /// Whether special tokens are still to be looked for in it.
    unsearched: bool,
    /// What follows it: a special token, the end of the row, or nothing, where it was cut.
    then: Option<Event>,
}

impl Part<'_> {
    /// Tells of its bytes.
    fn tell(&self, behind: Option<&Behind<'_>>) {
        let (number, start) = self.place;
        if let Some(behind) = behind {
            behind(number, start..start + self.row.len());
        }
    }
}

impl Vocabulary {
    /// The ids of all rows one after the other, and where those of each row begin: one more number than there are rows, the first 0.
    /// What `special` finds in text becomes that special token, and the ids `around` each row are among its own.
    ///
    /// `Error::Interrupted` where `progress` breaks.
    ///
    /// ```
    /// use minbpe_core::{parallel::Row, progress::unwatched, vocab::Vocabulary};
    ///
    /// let bytes = std::array::from_fn(|byte| byte as u32);
    /// let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[256], vec![], None)?;
    /// let rows = [Row::Text("ab"), Row::Text(""), Row::Text("abc")];
    /// let encode = |around| vocabulary.encode_rows(&rows, around, None, 2, &mut unwatched);
    /// assert_eq!(encode([None, None])?, (vec![256, 256, 99], vec![0, 1, 1, 3]));
    /// assert_eq!(encode([None, Some(300)])?, (vec![256, 300, 300, 256, 99, 300], vec![0, 2, 3, 6]));
    /// # Ok::<(), minbpe_core::error::Error>(())
    /// ```
    pub fn encode_rows(
        &self,
        rows: &[Row<'_>],
        around: Around,
        special: Option<&Matcher>,
        threads: usize,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<u32>, Vec<u64>)> {
        self.encode_all(rows, around, special, threads, None, &mut Pulse::new(progress, 0))
    }

    /// As `encode_rows`. `behind` is told of what is done, not only once all is.
    fn encode_all(
        &self,
        rows: &[Row<'_>],
        around: Around,
        special: Option<&Matcher>,
        threads: usize,
        behind: Option<&Behind<'_>>,
        pulse: &mut Pulse<'_>,
    ) -> Result<(Vec<u32>, Vec<u64>)> {
        let parts = self.parts(rows, special, threads, behind, pulse)?;
        let work: Vec<&[Part<'_>]> = if threads == 1 { vec![&parts] } else { together(&parts) };
        let each = rows.iter().map(|row| row.len()).sum::<usize>() / threads.max(1);
        let encode = |parts, pulse: &mut Pulse<'_>| self.encode_parts(parts, around, special, each, behind, pulse);
        let mut done = in_parts(work, threads, pulse, encode)?;
        let mut offsets = Vec::with_capacity(rows.len() + 1);
        offsets.push(0);
        let mut before = 0;
        for Rows { ids, ends } in &done {
            offsets.extend(ends.iter().map(|&end| before + end as u64));
            before += ids.len() as u64;
        }
        if done.len() == 1 {
            return Ok((done.swap_remove(0).ids, offsets));
        }
        // By all threads: the pages of zeroed memory are made when they are first written, and that takes longer than copying.
        let mut ids = vec![0; before as usize];
        on_large_pages(&mut ids);
        let mut rest = &mut ids[..];
        let copies =
            done.into_iter().map(|Rows { ids, .. }| (rest.split_off_mut(..ids.len()).unwrap_or_default(), ids));
        let threads = if before < ALONE { 1 } else { threads };
        in_parts(copies, threads, pulse, |(to, from), pulse| {
            to.copy_from_slice(&from);
            pulse.step(from.len())
        })?;
        Ok((ids, offsets))
    }

    /// As `encode_rows`, for the contents of documents, whether or not they are UTF-8. What cannot be mapped, such as a pipe, is read to its
    /// end.
    ///
    /// `Error::File` for the first file that cannot be read, `Error::Interrupted` where `progress` breaks.
    pub fn encode_files(
        &self,
        files: &[Document<'_>],
        threads: usize,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<u32>, Vec<u64>)> {
        let pulse = &mut Pulse::new(progress, 0);
        let (mut ids, mut offsets) = (Vec::new(), vec![0]);
        let (mut held, mut bytes): (Vec<Contents<'_>>, usize) = (Vec::new(), 0);
        let mut rounds = files.chunks(FILES).peekable();
        while let Some(round) = rounds.next() {
            let opened = in_parts(round, threads, pulse, |file, pulse| {
                pulse.step(MAPPED as usize)?;
                Ok(file.open(MAPPED))
            });
            for opened in opened? {
                held.push(opened?);
                bytes += held.last().map_or(0, |contents| contents.len());
            }
            // Small files go together until there is work for all threads.
            if bytes < threads * PART && rounds.peek().is_some() {
                continue;
            }
            let rows: Vec<_> = held.iter().map(|contents| Row::Bytes(contents)).collect();
            let behind = |row: usize, bytes| held[row].let_go(bytes);
            let (more, ends) = self.encode_all(&rows, [None; 2], None, threads, Some(&behind), pulse)?;
            offsets.extend(ends[1..].iter().map(|end| ids.len() as u64 + end));
            if ids.is_empty() {
                ids = more
            } else {
                ids.extend(more)
            }
            held.clear();
            bytes = 0;
        }
        Ok((ids, offsets))
    }

    /// The ids of the first bytes of a document, up to the last place of `bytes` where a piece must end whatever follows, and how many bytes
    /// these are: 0 if there is no such place. Of all bytes if they are the document's `last`.
    ///
    /// ```
    /// use minbpe_core::{progress::unwatched, vocab::Vocabulary};
    ///
    /// let bytes = std::array::from_fn(|byte| byte as u32);
    /// let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[256], vec![], Some(r"[ab]+| +".into()))?;
    /// assert_eq!(vocabulary.encode_stretch(b"ab a", false, 1, &mut unwatched)?, (vec![256, 32], 3));
    /// assert_eq!(vocabulary.encode_stretch(b"ab", false, 1, &mut unwatched)?, (vec![], 0));
    /// assert_eq!(vocabulary.encode_stretch(b"ab", true, 1, &mut unwatched)?, (vec![256], 2));
    /// # Ok::<(), minbpe_core::error::Error>(())
    /// ```
    pub fn encode_stretch(
        &self,
        bytes: &[u8],
        last: bool,
        threads: usize,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<u32>, usize)> {
        let end = self.splitter().settled(bytes, last);
        let (ids, _) = self.encode_rows(&[Row::Bytes(&bytes[..end])], [None; 2], None, threads, progress)?;
        Ok((ids, end))
    }

    /// The rows as parts: the long ones cut, for threads to share them, or for what is done to be told of.
    fn parts<'a>(
        &self,
        rows: &[Row<'a>],
        special: Option<&Matcher>,
        threads: usize,
        behind: Option<&Behind<'_>>,
        pulse: &mut Pulse<'_>,
    ) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::with_capacity(rows.len());
        for (number, &row) in rows.iter().enumerate() {
            if (threads > 1 || behind.is_some()) && row.len() > 2 * PART {
                self.cut((number, row), special, behind, &mut parts, pulse)?;
            } else {
                parts.push(Part { row, place: (number, 0), unsearched: true, then: Some(Event::End) });
            }
        }
        Ok(parts)
    }

    /// Cuts a long row: at special tokens, then wherever a piece must end.
    fn cut<'a>(
        &self,
        (number, row): (usize, Row<'a>),
        special: Option<&Matcher>,
        behind: Option<&Behind<'_>>,
        parts: &mut Vec<Part<'a>>,
        pulse: &mut Pulse<'_>,
    ) -> Result<()> {
        let part = |range: Range<usize>, then| {
            let part = Part { place: (number, range.start), row: row.part(range), unsearched: false, then };
            // Looking for its end has read some of it.
            part.tell(behind);
            part
        };
        let mut start = 0;
        loop {
            let found = match row {
                Row::Text(text) => special.and_then(|special| special.find(text, start)),
                Row::Bytes(_) => None,
            };
            let end = found.as_ref().map_or(row.len(), |found| found.start);
            while end - start > 2 * PART
                && let Some(cut) = self.next_cut(&row.bytes()[start..end], pulse)?
            {
                parts.push(part(start..start + cut, None));
                start += cut;
            }
            let then = found.map_or(Event::End, |found| Event::Special(found.id, found.end - found.start));
            parts.push(part(start..end, Some(then)));
            match found {
                Some(found) => start = found.end,
                None => return Ok(()),
            }
        }
    }

    /// A place where a piece must end, at about `PART`, or further on where a piece is too long. There are at least `2 * PART` bytes.
    fn next_cut(&self, bytes: &[u8], pulse: &mut Pulse<'_>) -> Result<Option<usize>> {
        let (mut from, mut to) = (PART / 2, PART);
        loop {
            pulse.step(to - from)?;
            let cut = self.splitter().cut(bytes, from, to);
            if cut.is_some() || to == bytes.len() - 1 {
                return Ok(cut);
            }
            (from, to) = (to, (to + PART).min(bytes.len() - 1));
        }
    }

    /// The ids of some parts, and how many there are at the end of each row that ends among them. A thread is expected to encode `expected`
    /// bytes in all.
    fn encode_parts(
        &self,
        parts: &[Part<'_>],
        [before, after]: Around,
        special: Option<&Matcher>,
        expected: usize,
        behind: Option<&Behind<'_>>,
        pulse: &mut Pulse<'_>,
    ) -> Result<Rows> {
        let bytes: usize = parts.iter().map(|part| part.row.len()).sum();
        let mut done = Rows { ids: room_for(bytes), ends: Vec::with_capacity(parts.len()) };
        let output = &mut Output { sink: &mut done, look: &mut |bytes| pulse.step(bytes) };
        self.with_encoder(bytes.max(expected), output, |encoder, output| {
            for part in parts {
                let &Part { row, place: (_, start), unsearched, then } = part;
                if let Some(id) = before.filter(|_| start == 0) {
                    encoder.mark(Event::Special(id, 0), output)?;
                }
                match row {
                    Row::Text(text) => encoder.text(text, special.filter(|_| unsearched), output)?,
                    Row::Bytes(bytes) => encoder.bytes(bytes, output)?,
                }
                if let (Some(id), Some(Event::End)) = (after, then) {
                    encoder.mark(Event::Special(id, 0), output)?;
                }
                if let Some(event) = then {
                    encoder.mark(event, output)?;
                }
                part.tell(behind);
            }
            Ok(())
        })?;
        Ok(done)
    }
}

/// Parts that follow each other, enough for a thread.
fn together<'p, 'a>(parts: &'p [Part<'a>]) -> Vec<&'p [Part<'a>]> {
    let mut bytes = 0;
    let groups = parts.chunk_by(|part, _| {
        bytes += part.row.len();
        let more = bytes < PART / 4;
        if !more {
            bytes = 0;
        }
        more
    });
    groups.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::unwatched;

    #[test]
    fn a_long_row_is_cut_after_a_long_piece_too_and_if_it_is_not_utf_8() {
        let bytes = std::array::from_fn(|byte| byte as u32);
        let pattern = Some(r"[a-z]+| +".into());
        let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[256], vec![], pattern).unwrap();
        let words = "ab abc ".repeat(PART / 2);
        let text = [words.as_str(), &"a".repeat(3 * PART), &words].concat();
        let invalid = [&[0xff], text.as_bytes(), &[0xff]].concat();
        for row in [Row::Text(&text), Row::Bytes(&invalid)] {
            let parts = vocabulary.parts(&[row], None, 2, None, &mut Pulse::new(&mut unwatched, 0)).unwrap();
            let longest = parts.iter().map(|part| part.row.len()).max();
            assert!(parts.len() >= 7 && longest < Some(6 * PART), "{} parts, of up to {longest:?} bytes", parts.len());
            let encode =
                |around, threads| vocabulary.encode_rows(&[row], around, None, threads, &mut unwatched).unwrap();
            let (alone, _) = encode([None; 2], 1);
            assert_eq!(encode([None; 2], 2).0, alone);
            assert_eq!(encode([Some(7), Some(8)], 2).0, [&[7], &alone[..], &[8]].concat());
        }
    }
}
