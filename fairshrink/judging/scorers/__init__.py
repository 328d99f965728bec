"""Scorers of tables that belong to no metric: any paired score, and a damage that is stated as a number."""
