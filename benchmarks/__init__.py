"""Measurements against other tokenizers: equality of ids first, then time."""
