"""HONEST."""
