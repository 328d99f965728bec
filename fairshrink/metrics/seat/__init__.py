"""SEAT."""
