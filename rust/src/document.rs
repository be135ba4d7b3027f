//! One input of a corpus, and its bytes. A file is mapped, and counting releases its pages behind it, so a corpus may be larger than memory
//! and leaves none of it occupied.

#![expect(unsafe_code, reason = "files are mapped into memory")]

use std::fs::File;
use std::io::Read;
use std::ops::{Deref, Range};
use std::path::Path;

use memmap2::Mmap;
#[cfg(unix)]
use memmap2::UncheckedAdvice;

use crate::error::{Error, Result};

/// How many bytes Linux may map around a page that is read, if they are in memory: 64 KB, or in newer versions the whole block that
/// holds the page, which is larger in a file that was just written.
#[cfg(unix)]
const AROUND: usize = 1 << 21;

/// One source of a corpus. No piece crosses from one to the next.
#[derive(Debug, Clone, Copy)]
pub enum Document<'a> {
    /// Text or any other bytes.
    Bytes(&'a [u8]),
    /// A file, its bytes as they are.
    File(&'a Path),
}

/// A document's bytes, ready to be read.
pub(crate) enum Contents<'a> {
    Borrowed(&'a [u8]),
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl<'a> Document<'a> {
    /// Opens the document. A file of fewer than `mapped` bytes is read, and so is what cannot be mapped: a pipe, a file that claims to be
    /// empty.
    pub(crate) fn open(self, mapped: u64) -> Result<Contents<'a>> {
        let path = match self {
            Document::Bytes(bytes) => return Ok(Contents::Borrowed(bytes)),
            Document::File(path) => path,
        };
        let failed = |error: std::io::Error| Error::of_file(path, &error);
        let mut file = File::open(path).map_err(failed)?;
        if file.metadata().is_ok_and(|data| data.len() >= mapped.max(1)) {
            // SAFETY: the map is only read, as bytes, and nothing is assumed of them that could cease to hold. If another process changes
            // the file meanwhile, the result differs; if one truncates it, this process ends, as with any mapped file.
            if let Ok(map) = unsafe { Mmap::map(&file) } {
                return Ok(Contents::Mapped(map));
            }
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Ok(Contents::Read(bytes))
    }
}

impl Contents<'_> {
    /// Releases the memory of bytes that are not needed for now, and of what the system has mapped around them. They can still be read.
    pub(crate) fn let_go(&self, bytes: Range<usize>) {
        #[cfg(unix)]
        if let Contents::Mapped(map) = self {
            let start = bytes.start.saturating_sub(AROUND);
            let length = map.len().min(bytes.end + AROUND) - start;
            // SAFETY: the map is shared with the file and never written, so a later read of these pages gets them from the file again. It
            // does not matter if the system ignores the advice.
            let _ = unsafe { map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, length) };
        }
    }
}

impl Deref for Contents<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Contents::Borrowed(bytes) => bytes,
            Contents::Mapped(map) => map,
            Contents::Read(bytes) => bytes,
        }
    }
}
