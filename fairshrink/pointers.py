"""DVC pointers: one small file beside each artefact, committed to git, that says which bytes it stands for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fairshrink.artefacts import MARKER
from fairshrink.log import log

PLACES = ("data/*", "results/baselines/*", "results/compressed/*", "results/scores/*/*")


def pointer(path: Path) -> Path:
    """The pointer file of an artefact."""
    return path.with_name(path.name + ".dvc")


def unrecorded(root: Path = Path()) -> list[Path]:
    """Artefacts that stand here without a pointer, sorted."""
    found = [marker.parent for place in PLACES for marker in root.glob(f"{place}/{MARKER}")]
    return sorted(path for path in found if not pointer(path).exists())


def record() -> list[Path]:
    """Give each artefact that has none its pointer, all in one DVC call; returns those recorded.

    Outside of a DVC repository nothing is recorded, and the log says so. A failure of DVC is reported but does not
    undo the run: the artefacts stand, and the next run records them.
    """
    new = unrecorded()
    if not new:
        return []
    if not Path(".dvc").is_dir():
        log(f"no .dvc folder here: {len(new)} artefacts were not recorded (`dvc init` makes one)")
        return []
    command = [sys.executable, "-m", "dvc", "add", *map(str, new)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()[-2000:]
        log(f"DVC could not record {len(new)} artefacts; the next run tries again. It said: {said}")
        return []
    log(f"recorded {len(new)} new artefacts; commit their pointers: git add data results")
    return new
