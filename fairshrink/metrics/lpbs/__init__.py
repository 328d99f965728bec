"""LPBS."""
