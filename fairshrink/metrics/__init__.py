"""Bias and task metrics: one module or folder each, found by its name."""
