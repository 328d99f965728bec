"""Attention head pruning."""
