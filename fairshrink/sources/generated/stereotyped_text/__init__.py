"""Sentences that say what a stereotype says."""
