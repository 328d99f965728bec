"""Iterative magnitude pruning with rewinding."""
