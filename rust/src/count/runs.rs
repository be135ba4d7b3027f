//! Runs of pieces on disk: each run is sorted, and any number of them are read as one in the same order.
//!
//! Their file loses its name as soon as it is made, so nothing is left of it however this process ends. A piece is stored as its length,
//! its count and its place, as numbers that `bytes` writes, and then its bytes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::bytes::{put, take};
use super::{Piece, Position, add_of, no_memory_for_a_piece};
use crate::error::{Error, Result};
use crate::progress::Pulse;

/// The most runs that are read side by side. More are merged in several passes, so that each has a buffer worth a read.
pub(super) const FAN_IN: usize = 64;
/// How many bytes are written at once.
const WRITE: usize = 1 << 18;
/// The most bytes that the four numbers before a piece can take.
const HEAD: usize = 40;

/// A file of runs, one after the other.
pub(super) struct Runs {
    directory: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    written: u64,
    /// Where each run ends.
    ends: Vec<u64>,
}

impl Runs {
    /// No runs yet; their file will be made in `directory`.
    pub(super) fn new(directory: &Path) -> Runs {
        Runs { directory: directory.into(), file: None, buffer: Vec::new(), written: 0, ends: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Writes the next piece of a run; a long one is not copied.
    pub(super) fn push(&mut self, piece: Piece<'_>) -> Result<()> {
        for number in [piece.bytes.len() as u64, piece.count, piece.first.source, piece.first.offset] {
            put(&mut self.buffer, number);
        }
        if piece.bytes.len() >= WRITE {
            self.flush()?;
            return self.write(piece.bytes);
        }
        self.buffer.extend_from_slice(piece.bytes);
        if self.buffer.len() >= WRITE { self.flush() } else { Ok(()) }
    }

    /// Ends a run; pieces pushed from now on belong to the next.
    pub(super) fn end_run(&mut self) -> Result<()> {
        self.flush()?;
        self.buffer = Vec::new();
        self.ends.push(self.written);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::Io(format!(
                "cannot write pieces past the memory ceiling to a temporary file in {}: {error}; name another directory for \
                 it, or raise the ceiling",
                self.directory.display()
            ))
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(nameless(&self.directory).map_err(failed)?),
        };
        file.write_all(bytes).map_err(failed)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// A reader for each run.
    fn readers(&self, buffer: usize) -> impl Iterator<Item = Reader<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let file = self.file.iter().cycle();
        file.zip(starts.zip(&self.ends)).map(move |(file, (at, &end))| Reader {
            file,
            at,
            end,
            buffer: Vec::new(),
            room: buffer,
            used: 0,
            piece: HeadOfPiece::default(),
        })
    }
}

/// A file that exists only as long as it is open. Linux can make one that never has a name; on other systems, and where the file system
/// cannot, it has a name for a moment.
fn nameless(directory: &Path) -> std::io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::OpenOptionsExt;
        if let Ok(file) = OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).open(directory) {
            return Ok(file);
        }
    }
    let path = directory.join(format!("minbpe-{:016x}", RandomState::new().hash_one(std::process::id())));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// Reads a run, a buffer at a time.
struct Reader<'a> {
    file: &'a File,
    /// The bytes of the file still to be read, from here to `end`.
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    room: usize,
    /// Where in the buffer the bytes of the piece begin.
    used: usize,
    piece: HeadOfPiece,
}

/// A piece without its bytes.
#[derive(Clone, Copy, Default)]
struct HeadOfPiece {
    length: usize,
    count: u64,
    first: Position,
}

impl Reader<'_> {
    fn piece(&self) -> Piece<'_> {
        let HeadOfPiece { length, count, first } = self.piece;
        Piece { bytes: &self.buffer[self.used..self.used + length], count, first }
    }

    /// Moves to the next piece, or at first to the first one. Returns how many bytes of the run it takes, 0 at the end of the run.
    fn advance(&mut self) -> Result<usize> {
        self.used += self.piece.length;
        self.hold(HEAD)?;
        let mut rest = &self.buffer[self.used..];
        if rest.is_empty() {
            return Ok(0);
        }
        let before = rest.len();
        let mut number = || take(&mut rest).ok_or_else(|| Error::Io("a temporary file of pieces has changed".into()));
        let (length, count) = (number()? as usize, number()?);
        self.piece = HeadOfPiece { length, count, first: Position { source: number()?, offset: number()? } };
        let head = before - rest.len();
        self.used += head;
        self.hold(length)?;
        Ok(head + length)
    }

    /// Makes sure that the buffer holds the next `bytes` of the run, or as many as are left.
    fn hold(&mut self, bytes: usize) -> Result<()> {
        if self.buffer.len() - self.used >= bytes || self.at == self.end {
            return Ok(());
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let rest = self.buffer.len();
        let more = (self.room.max(bytes) - rest).min(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
        self.buffer.try_reserve_exact(more).map_err(no_memory_for_a_piece)?;
        self.buffer.resize(rest + more, 0);
        let mut file = self.file;
        file.seek(SeekFrom::Start(self.at))
            .and_then(|_| file.read_exact(&mut self.buffer[rest..]))
            .map_err(|error| Error::Io(format!("cannot read a temporary file of pieces: {error}")))?;
        self.at += more as u64;
        Ok(())
    }
}

/// Calls `each` with the pieces of all runs in the order of `key`, by which each run is sorted. If a piece is in several runs under the
/// same key, its counts add up and its lowest place is kept. `pulse` tells how many bytes of the runs were read.
///
/// Takes about `memory` bytes, or what the longest piece of each run needs. The `&mut` ensures that nobody else reads the files meanwhile.
pub(super) fn merge<K: Ord>(
    files: &mut [Runs],
    key: fn(Piece<'_>) -> Result<K>,
    memory: usize,
    pulse: &mut Pulse<'_>,
    mut each: impl FnMut(Piece<'_>) -> Result<()>,
) -> Result<()> {
    expect(files, pulse);
    let buffer = buffer(memory, count(files));
    let readers = files.iter().flat_map(|file| file.readers(buffer)).collect();
    merge_readers(readers, key, pulse, &mut each)
}

/// Merges runs, several into one, until at most `FAN_IN` are left. If it is stopped, the runs are as the last complete pass left them.
pub(super) fn reduce<K: Ord>(
    files: &mut Vec<Runs>,
    key: fn(Piece<'_>) -> Result<K>,
    memory: usize,
    pulse: &mut Pulse<'_>,
) -> Result<()> {
    while count(files) > FAN_IN {
        expect(files, pulse);
        let directory = files[0].directory.clone();
        let mut merged = Runs::new(&directory);
        let mut readers = files.iter().flat_map(|file| file.readers(buffer(memory, FAN_IN)));
        loop {
            let some: Vec<_> = readers.by_ref().take(FAN_IN).collect();
            if some.is_empty() {
                break;
            }
            merge_readers(some, key, pulse, &mut |piece| merged.push(piece))?;
            merged.end_run()?;
        }
        drop(readers);
        *files = vec![merged];
    }
    Ok(())
}

fn count(files: &[Runs]) -> usize {
    files.iter().map(Runs::len).sum()
}

/// Sets the total of `pulse` to the bytes to be read until the runs are one. Each pass is taken to read as much as the first, although
/// counts of the same piece are added up on the way.
fn expect(files: &[Runs], pulse: &mut Pulse<'_>) {
    let passes =
        std::iter::successors(Some(count(files)), |runs| Some(runs.div_ceil(FAN_IN)).filter(|_| *runs > FAN_IN))
            .count();
    pulse.total = pulse.done + passes as u64 * files.iter().map(|file| file.written).sum::<u64>();
}

fn buffer(memory: usize, runs: usize) -> usize {
    (memory / runs.max(1)).clamp(1 << 12, 1 << 20)
}

fn merge_readers<K: Ord>(
    mut readers: Vec<Reader<'_>>,
    key: fn(Piece<'_>) -> Result<K>,
    pulse: &mut Pulse<'_>,
    each: &mut impl FnMut(Piece<'_>) -> Result<()>,
) -> Result<()> {
    let mut heads = BinaryHeap::with_capacity(readers.len());
    for (which, reader) in readers.iter_mut().enumerate() {
        let read = reader.advance()?;
        pulse.done += read as u64;
        if read > 0 {
            heads.push(Reverse((key(reader.piece())?, which)));
        }
    }
    let mut bytes = Vec::new();
    let mut sum: Option<(u64, Position)> = None;
    while let Some(mut top) = heads.peek_mut() {
        let reader = &mut readers[top.0.1];
        let piece = reader.piece();
        match &mut sum {
            Some((count, first)) if bytes == piece.bytes => {
                *count = add_of(&bytes, *count, piece.count)?;
                *first = piece.first.min(*first);
            }
            _ => {
                if let Some((count, first)) = sum {
                    each(Piece { first, bytes: &bytes, count })?;
                }
                bytes.clear();
                bytes.try_reserve(piece.bytes.len()).map_err(no_memory_for_a_piece)?;
                bytes.extend_from_slice(piece.bytes);
                sum = Some((piece.count, piece.first));
            }
        }
        let read = reader.advance()?;
        pulse.done += read as u64;
        if read > 0 {
            top.0.0 = key(reader.piece())?;
        } else {
            PeekMut::pop(top);
        }
        pulse.step(16)?;
    }
    sum.map_or(Ok(()), |(count, first)| each(Piece { first, bytes: &bytes, count }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::progress::unwatched;

    fn runs(counts: &[u64]) -> Runs {
        let mut runs = Runs::new(&std::env::temp_dir());
        for (&count, offset) in counts.iter().zip((0..9).rev()) {
            runs.push(Piece { first: Position { source: 7, offset }, bytes: b"piece", count }).unwrap();
            runs.end_run().unwrap();
        }
        runs
    }

    fn merged(counts: &[u64]) -> Result<Vec<(u64, u64)>> {
        let mut all = Vec::new();
        let key = |piece: Piece<'_>| Ok(piece.bytes.to_vec());
        merge(&mut [runs(counts)], key, 0, &mut Pulse::new(&mut unwatched, 0), |piece| {
            all.push((piece.count, piece.first.offset));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn counts_of_several_runs_add_up_and_the_lowest_place_stays() {
        assert_eq!(merged(&[1, 2, 3]), Ok(vec![(6, 6)]));
        assert_eq!(merged(&[(1 << 63) - 2, 1]), Ok(vec![((1 << 63) - 1, 7)]));
        assert_eq!(merged(&[]), Ok(vec![]));
    }

    #[test]
    fn counts_of_several_runs_past_2_63_are_an_error() {
        assert!(matches!(merged(&[1 << 62, 1 << 62]), Err(Error::Corpus(message)) if message.contains("2^63")));
        assert!(matches!(merged(&[(1 << 63) - 1, 1]), Err(Error::Corpus(_))));
    }
}
