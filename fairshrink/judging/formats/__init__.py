"""Formats of per-item logs: one file each, which reads it strictly and writes what it reads."""
