"""Subgroup AUC."""
