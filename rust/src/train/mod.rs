//! Training: from piece counts to merges, exactly as the naive algorithm.
