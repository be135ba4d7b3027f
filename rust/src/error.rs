//! What can go wrong, in the words a user reads: what was asked, what is there, and the way out.

use std::fmt;

/// An error of this library, by the class that Python raises for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A split pattern that does not compile, or that ran into its backtracking limit.
    Pattern(String),
    /// A vocabulary that breaks an invariant.
    Vocabulary(String),
    /// A special token that may not be one.
    SpecialToken(String),
    /// An id that no token has.
    UnknownToken(String),
    /// A corpus that cannot be counted or trained on: a count past 2^63, a piece past 4 GiB.
    Corpus(String),
    /// Bytes that are not what they should be: cut short, or changed.
    Format(String),
    /// Memory that the system does not give.
    Memory(String),
    /// The caller asked to stop (Ctrl-C).
    Interrupted,
    /// The operating system refused.
    Io(String),
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
            Error::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}
