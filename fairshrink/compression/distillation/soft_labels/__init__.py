"""Distillation by soft labels."""
