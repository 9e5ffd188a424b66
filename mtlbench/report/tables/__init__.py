"""The tables, their numbers' formats and their words."""
