"""Data sets: what they declare (base), how batches are drawn, and one file for each."""
