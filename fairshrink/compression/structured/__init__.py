"""Whole parts of a model are removed, so that it is smaller and faster."""
