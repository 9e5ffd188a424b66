"""The baselines: one self-contained file a method."""
