"""Bias and task metrics: one module each, found by its name."""
