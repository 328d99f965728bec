"""The folders of artifacts, by stage, and the names of their files, defined once."""

from __future__ import annotations

from collections.abc import Mapping

from fairshrink.contracts import Stage

MARKER = "provenance.json"
"""The provenance record of an artifact: a folder with it and with every file that it names is valid."""
FOLDERS: Mapping[Stage, str] = {
    "download": "data",
    "finetune": "results/baselines",
    "compress": "results/compressed",
    "evaluate": "results/scores",
    "aggregate": "results/published",
}
ARTIFACT_GLOBS = tuple(f"{folder}/*/*" if stage == "evaluate" else f"{folder}/*" for stage, folder in FOLDERS.items())
"""Globs of artifacts below the root; scores are below the name of their checkpoint."""
ITEMS = "items.parquet"
"""The per-item scores in an artifact of the stage evaluate."""
