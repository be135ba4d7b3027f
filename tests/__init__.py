"""The tests of minbpe."""
