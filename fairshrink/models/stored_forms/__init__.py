"""Kinds of difference between a compressed model and its config: one module each, found by its name."""
