"""Data sets made by rules: each module has ``generate(size, seed) -> DataFrame``, the same wherever it runs."""
