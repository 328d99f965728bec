"""Matrices as products of narrower ones."""
