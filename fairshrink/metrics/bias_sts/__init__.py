"""Bias-STS."""
