"""Every figure of a study, from the table of cells and the checks on metrics."""
from __future__ import annotations
