"""Compression methods: one module or folder each, in the folder of its family, found by its name."""
