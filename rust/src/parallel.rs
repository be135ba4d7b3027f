//! Encoding many texts, or long ones, on several threads.
//!
//! Work is cut before it begins, so the result does not depend on how many threads do it: long texts where the splitter proves that a piece
//! ends, which needs no look at what comes before, and short ones together.

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use crate::document::{Contents, Document};
use crate::encode::{Rows, room_for};
use crate::error::Result;
use crate::lines::on_large_pages;
use crate::pipeline::Event;
use crate::progress::{Pulse, unwatched};
use crate::special::Matcher;
use crate::threads::{in_parallel, in_parts};
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
    /// Bytes that are not UTF-8, as [`Vocabulary::encode_bytes`] takes them.
    Bytes(&'a [u8]),
}

impl<'a> Row<'a> {
    /// Text, if these bytes are.
    pub fn new(bytes: &'a [u8]) -> Row<'a> {
        std::str::from_utf8(bytes).map_or(Row::Bytes(bytes), Row::Text)
    }

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

/// A row or a part of one.
struct Part<'a> {
    row: Row<'a>,
    /// Whether special tokens are still to be looked for in it.
    unsearched: bool,
    /// What follows it: a special token, the end of the row, or nothing, where it was cut.
    then: Option<Event>,
}

impl Vocabulary {
    /// The ids of all rows one after the other, and where those of each row begin: one more number than there are rows, the first 0.
    /// What `special` finds in text becomes that special token.
    ///
    /// ```
    /// use minbpe_core::{parallel::Row, vocab::Vocabulary};
    ///
    /// let bytes = std::array::from_fn(|byte| byte as u32);
    /// let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[256], vec![], None)?;
    /// let rows = [Row::Text("ab"), Row::Text(""), Row::Text("abc")];
    /// assert_eq!(vocabulary.encode_rows(&rows, None, 2)?, (vec![256, 256, 99], vec![0, 1, 1, 3]));
    /// # Ok::<(), minbpe_core::error::Error>(())
    /// ```
    pub fn encode_rows(
        &self,
        rows: &[Row<'_>],
        special: Option<&Matcher>,
        threads: usize,
    ) -> Result<(Vec<u32>, Vec<u64>)> {
        let parts = self.parts(rows, special, threads);
        let work: Vec<&[Part<'_>]> = if threads == 1 { vec![&parts] } else { together(&parts) };
        let each = rows.iter().map(|row| row.len()).sum::<usize>() / threads.max(1);
        let done = in_parallel(work.len(), threads, |i| self.encode_parts(work[i], special, each));
        let mut done = done.into_iter().collect::<Result<Vec<_>>>()?;
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
        in_parts(copies, threads, &mut Pulse::new(&mut unwatched, 0), |(to, from), _| {
            to.copy_from_slice(&from);
            Ok(())
        })?;
        Ok((ids, offsets))
    }

    /// As `encode_rows`, for the contents of files, whether or not they are UTF-8. What cannot be mapped, such as a pipe, is read to its end.
    ///
    /// `Error::File` for the first file that cannot be read.
    pub fn encode_files(&self, files: &[PathBuf], threads: usize) -> Result<(Vec<u32>, Vec<u64>)> {
        let (mut ids, mut offsets) = (Vec::new(), vec![0]);
        let (mut held, mut bytes): (Vec<Contents<'_>>, usize) = (Vec::new(), 0);
        let mut rounds = files.chunks(FILES).peekable();
        while let Some(round) = rounds.next() {
            for opened in in_parallel(round.len(), threads, |i| Document::File(&round[i]).open(MAPPED)) {
                held.push(opened?);
                bytes += held.last().map_or(0, |contents| contents.len());
            }
            // Small files go together until there is work for all threads.
            if bytes < threads * PART && rounds.peek().is_some() {
                continue;
            }
            let rows: Vec<_> = held.iter().map(|contents| Row::Bytes(contents)).collect();
            let (more, ends) = self.encode_rows(&rows, None, threads)?;
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
    /// use minbpe_core::vocab::Vocabulary;
    ///
    /// let bytes = std::array::from_fn(|byte| byte as u32);
    /// let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[256], vec![], Some(r"[ab]+| +".into()))?;
    /// assert_eq!(vocabulary.encode_stretch(b"ab a", false, 1)?, (vec![256, 32], 3));
    /// assert_eq!(vocabulary.encode_stretch(b"ab", false, 1)?, (vec![], 0));
    /// assert_eq!(vocabulary.encode_stretch(b"ab", true, 1)?, (vec![256], 2));
    /// # Ok::<(), minbpe_core::error::Error>(())
    /// ```
    pub fn encode_stretch(&self, bytes: &[u8], last: bool, threads: usize) -> Result<(Vec<u32>, usize)> {
        let end = self.splitter().settled(bytes, last);
        let (ids, _) = self.encode_rows(&[Row::new(&bytes[..end])], None, threads)?;
        Ok((ids, end))
    }

    fn parts<'a>(&self, rows: &[Row<'a>], special: Option<&Matcher>, threads: usize) -> Vec<Part<'a>> {
        let mut parts = Vec::with_capacity(rows.len());
        for &row in rows {
            if threads > 1 && row.len() > 2 * PART {
                self.cut(row, special, &mut parts);
            } else {
                parts.push(Part { row, unsearched: true, then: Some(Event::End) });
            }
        }
        parts
    }

    /// Cuts a long row: at special tokens, then wherever a piece must end.
    fn cut<'a>(&self, row: Row<'a>, special: Option<&Matcher>, parts: &mut Vec<Part<'a>>) {
        let mut start = 0;
        loop {
            let found = match row {
                Row::Text(text) => special.and_then(|special| special.find(text, start)),
                Row::Bytes(_) => None,
            };
            let end = found.as_ref().map_or(row.len(), |found| found.start);
            while end - start > 2 * PART
                && let Some(cut) = self.next_cut(&row.bytes()[start..end])
            {
                parts.push(Part { row: row.part(start..start + cut), unsearched: false, then: None });
                start += cut;
            }
            let then = found.map_or(Event::End, |found| Event::Special(found.id, found.end - found.start));
            parts.push(Part { row: row.part(start..end), unsearched: false, then: Some(then) });
            match found {
                Some(found) => start = found.end,
                None => return,
            }
        }
    }

    /// A place where a piece must end, at about `PART`, or further on where a piece is too long. There are at least `2 * PART` bytes.
    fn next_cut(&self, bytes: &[u8]) -> Option<usize> {
        let (mut from, mut to) = (PART / 2, PART);
        loop {
            let cut = self.splitter().cut(bytes, from, to);
            if cut.is_some() || to == bytes.len() - 1 {
                return cut;
            }
            (from, to) = (to, (2 * to).min(bytes.len() - 1));
        }
    }

    /// The ids of some parts, and how many there are at the end of each row that ends among them. A thread is expected to encode `expected`
    /// bytes in all.
    fn encode_parts(&self, parts: &[Part<'_>], special: Option<&Matcher>, expected: usize) -> Result<Rows> {
        let bytes: usize = parts.iter().map(|part| part.row.len()).sum();
        let mut sink = Rows { ids: room_for(bytes), ends: Vec::with_capacity(parts.len()) };
        self.with_encoder(bytes.max(expected), &mut sink, |encoder, sink| {
            for &Part { row, unsearched, then } in parts {
                match row {
                    Row::Text(text) => encoder.text(text, special.filter(|_| unsearched), sink)?,
                    Row::Bytes(bytes) => encoder.bytes(bytes, sink)?,
                }
                if let Some(event) = then {
                    encoder.mark(event, sink)?;
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(sink)
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

    #[test]
    fn a_long_row_is_cut_after_a_long_piece_too_and_if_it_is_not_utf_8() {
        let bytes = std::array::from_fn(|byte| byte as u32);
        let pattern = Some(r"[a-z]+| +".into());
        let vocabulary = Vocabulary::from_merges(&bytes, &[(97, 98)], &[256], vec![], pattern).unwrap();
        let words = "ab abc ".repeat(PART / 2);
        let text = [words.as_str(), &"a".repeat(3 * PART), &words].concat();
        let invalid = [&[0xff], text.as_bytes(), &[0xff]].concat();
        for row in [Row::Text(&text), Row::Bytes(&invalid)] {
            let parts = vocabulary.parts(&[row], None, 2);
            let longest = parts.iter().map(|part| part.row.len()).max();
            assert!(parts.len() >= 7 && longest < Some(6 * PART), "{} parts, of up to {longest:?} bytes", parts.len());
            assert_eq!(vocabulary.encode_rows(&[row], None, 2), vocabulary.encode_rows(&[row], None, 1));
        }
    }
}
