"""Measurements against other tokenizers: equality of ids first, time after that."""
