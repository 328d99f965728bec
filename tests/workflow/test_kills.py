"""A run that is killed again and again, then finished, has lost nothing and left nothing (`benchmarks/kills.py`)."""

import shutil

import killing
import pytest

pytestmark = pytest.mark.workflow
SERIES = (
    "recorded data/", "saved step 2", "filled results/compressed/", "named results/scores/", "caching",
    "showing figures",
)  # fmt: skip


def test_kills_at_the_boundaries_of_stages_cost_only_what_was_under_way(tmp_path):
    start = killing.prepared(tmp_path / "start")
    folder, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    for each in (folder, undisturbed):
        shutil.copytree(start, each, symlinks=True)
    killing.finish(undisturbed)
    for moment in SERIES:
        ended = killing.run(folder, moment)
        assert ended.status == -9, f"{moment}: {ended.text}"
    assert killing.leftovers(folder)
    killing.finish(folder)
    assert killing.faults(folder, undisturbed) == []
