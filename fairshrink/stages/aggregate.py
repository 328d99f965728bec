"""Stage 5: the final tables and figures, from per-item scores and ledgers alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fairshrink import artefacts
from fairshrink.analysis.aggregate import aggregate
from fairshrink.log import log


def run(jobs: list[dict[str, Any]], device: str = "cpu") -> None:
    """Write the tables and figures of one study under their plain names, and the record of what they show."""
    (job,) = jobs
    spec = job["spec"]
    for stale in Path(job["path"]).parent.glob(f"*/{artefacts.MARKER}"):
        shutil.rmtree(stale.parent)
    aggregate(spec, log)
    artefacts.make(job, lambda _: {"final": {each: artefacts.file_digest(Path(each)) for each in spec["files"]}})
