"""Weights that share values, or parameters."""
