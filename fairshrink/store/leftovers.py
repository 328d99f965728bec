"""What a run that was killed has left beside finished artifacts: the next run removes it before it starts.

Only while the run's lock is held, so that nothing is taken from a run that is active. What jobs of a killed run are
still building is locked by them and stays.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from fairshrink.store import artifacts
from fairshrink.store.layout import FOLDERS

OWN = Path(".snakemake/fairshrink")
INCOMPLETE = Path(".snakemake/incomplete")
"""Snakemake's notes of jobs that run: it would make their artifacts again, although these are whole or not there."""
HALF = ".*.????????.part"
OF_DVC = ".dvc/cache/files/md5/??/*.tmp"
"""What DVC had not finished: `.TOKEN.tmp` or `NAME.TOKEN.tmp`. Others than a run write there too: it has to be old."""
WRITING_S = 3600.0


def sweep(paths: Iterable[str], shown: Iterable[Path]) -> None:
    """Remove leftovers beside some artifacts, where results are ``shown``, and in the records of runs."""
    for folder in sorted({Path(path).parent for path in paths}):
        artifacts.sweep(folder)
    for stage in ("finetune", "compress"):
        for state in Path(FOLDERS[stage]).glob(".*.training"):
            if artifacts.exists(state.with_name(state.name.removeprefix(".").removesuffix(".training"))):
                shutil.rmtree(state, ignore_errors=True)
    for folder in shown:
        _remove(folder, HALF, f"tables/{HALF}", f"figures/{HALF}")
    _remove(OWN, HALF, f"*/{HALF}", "warm-*.socket", "warm-*.log")
    _remove(INCOMPLETE, "*")
    for each in Path().glob(OF_DVC):
        with suppress(OSError):
            if time.time() - each.stat().st_ctime > WRITING_S:
                each.unlink()


def _remove(folder: Path, *patterns: str) -> None:
    for each in [found for pattern in patterns for found in folder.glob(pattern)]:
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        else:
            with suppress(OSError):
                each.unlink()
