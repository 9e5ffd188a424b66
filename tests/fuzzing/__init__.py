"""What `tests/fuzz.py` mutates, and how."""
