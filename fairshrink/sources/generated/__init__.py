"""Data sets made by rules of this project's own."""
