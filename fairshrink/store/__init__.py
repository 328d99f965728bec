"""Artifacts on disk, their records, published results, the run lock."""
