"""The task score."""
