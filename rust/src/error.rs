//! What can go wrong, in the words a user reads: what was asked, what is there, and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// An error of this library, by the class that Python raises for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A split pattern that does not compile, or that ran into its backtracking limit.
    Pattern(String),
    /// A vocabulary that breaks an invariant.
    Vocabulary(String),
    /// A special token that is not allowed.
    SpecialToken(String),
    /// An id that no token has.
    UnknownToken(String),
    /// A corpus that cannot be counted or trained on: a count past 2^63, a piece past 4 GiB.
    Corpus(String),
    /// Bytes that are not what they should be: cut short, or changed.
    Format(String),
    /// Memory that the system does not give.
    Memory(String),
    /// The caller asked to stop (Ctrl-C), or what takes the results wants no more.
    Interrupted,
    /// The operating system refused.
    Io(String),
    /// The operating system refused a file, with this error number and message.
    File(PathBuf, i32, String),
}

/// The result of whatever can go wrong in this library.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Pattern(message)
            | Error::Vocabulary(message)
            | Error::SpecialToken(message)
            | Error::UnknownToken(message)
            | Error::Corpus(message)
            | Error::Format(message)
            | Error::Memory(message)
            | Error::Io(message) => f.write_str(message),
            Error::File(path, _, message) => write!(f, "{}: {message}", path.display()),
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The error that the system reports for a file.
    pub fn of_file(path: &Path, error: &io::Error) -> Error {
        let said = error.to_string();
        match error.raw_os_error() {
            Some(code) => Error::File(path.into(), code, said.trim_end_matches(&format!(" (os error {code})")).into()),
            None => Error::Io(format!("{}: {said}", path.display())),
        }
    }
}
