"""Figures, not tests: run with `make bench`."""
