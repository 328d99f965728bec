"""Explanations: what a run would restore and compute, why, and how long it takes; where a number comes from."""
