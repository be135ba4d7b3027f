//! Byte pair encoding, from text to ids and back, and from text to a vocabulary.
//!
//! ```text
//! text --split--> pieces --count--> PieceCounts --train--> merges --vocab--> Vocabulary --encode--> ids --decode--> bytes
//! ```
//!
//! Each arrow is a module. None of them knows Python; `python` alone names pyo3 and is compiled with the feature of that name.

#![deny(unsafe_code)] // but in the files that say why

#[cfg(not(target_pointer_width = "64"))]
compile_error!("minbpe needs a 64-bit processor: texts, files and counts may be larger than 4 GiB");

mod blocks;
mod cache;
pub mod count;
mod document;
pub mod encode;
pub mod error;
pub mod file;
mod hash;
mod id_index;
mod key;
mod lanes;
mod lines;
mod lookup;
mod meetings;
mod merge;
mod misses;
pub mod offsets;
pub mod parallel;
mod pipeline;
mod pool;
pub mod processor;
pub mod progress;
mod seams;
mod short;
pub mod special;
pub mod split;
pub mod staged;
mod table;
pub mod threads;
pub mod tokens;
pub mod train;
mod unstable;
pub mod vocab;

#[cfg(feature = "python")]
mod python;
