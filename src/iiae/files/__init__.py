"""Reads and writes: knows no model and no data set."""
