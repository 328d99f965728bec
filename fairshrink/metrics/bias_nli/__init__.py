"""Bias-NLI."""
