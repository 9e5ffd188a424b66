"""Figures: each kind of figure in a file of its own, reduced to data and drawn from it."""
