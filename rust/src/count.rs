//! Counting: a corpus as its distinct pieces, each with its count and where it was first seen.
