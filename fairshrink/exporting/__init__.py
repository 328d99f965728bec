"""Checkpoints for people who do not have fairshrink: folders in formats of other libraries, with a model card."""
