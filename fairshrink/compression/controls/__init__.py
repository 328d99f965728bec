"""Damage that compresses nothing: references for what a compression does."""
