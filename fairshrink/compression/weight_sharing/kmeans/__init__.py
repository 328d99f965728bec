"""Codebooks of weights found by k-means."""
