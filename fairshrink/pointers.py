"""DVC pointers: one small file beside each artefact, committed to git, that says which bytes it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fairshrink.artefacts import exists
from fairshrink.log import log


def pointer(path: Path) -> Path:
    """The pointer file of an artefact."""
    return path.with_name(path.name + ".dvc")


def add(paths: list[Path]) -> list[Path]:
    """Record the artefacts that have no pointer yet, in one DVC call; returns those recorded.

    Outside of a DVC repository nothing is recorded, and the log says so. A failure of DVC is reported but does not
    undo the run: the artefacts stand, and the next run records them.
    """
    new = [path for path in paths if exists(path) and not pointer(path).exists()]
    if not new:
        return []
    if not Path(".dvc").is_dir():
        log(f"no .dvc folder here: {len(new)} artefacts were not recorded (`dvc init` makes one)")
        return []
    command = [sys.executable, "-m", "dvc", "add", "--quiet", *map(str, new)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    if done.returncode != 0:
        log(f"DVC could not record {len(new)} artefacts; the next run tries again. It said: {done.stderr.strip()}")
        return []
    log(f"recorded {len(new)} new artefacts; commit their pointers: git add data results")
    return new
