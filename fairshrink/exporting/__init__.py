"""Checkpoints for people who do not have fairshrink: plain transformers folders with a model card."""
