"""Matched guise."""
