//! Files whose read errors name them.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A file that is read from some place on. Its read errors carry an `Error` that names the file.
#[derive(Debug)]
pub struct NamedFile {
    file: File,
    path: PathBuf,
}

impl NamedFile {
    /// Opens a file, to be read from its byte `start` on; `Error::File` if that fails.
    pub fn open(path: &Path, start: u64) -> Result<NamedFile> {
        let opened = File::open(path).and_then(|mut file| file.seek(SeekFrom::Start(start)).map(|_| file));
        let file = opened.map_err(|error| Error::of_file(path, &error))?;
        Ok(NamedFile { file, path: path.into() })
    }
}

impl Read for NamedFile {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer).map_err(|error| match error.kind() {
            // The reader tries again.
            ErrorKind::Interrupted => error,
            _ => std::io::Error::other(Error::of_file(&self.path, &error)),
        })
    }
}
