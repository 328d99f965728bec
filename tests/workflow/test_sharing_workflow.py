"""One clone runs a study and shares it over SSH; another one rebuilds everything without computing it."""

import copy
import shutil
import sys
from pathlib import Path

import clones
import pytest
import servers
from tiny_study import git, planned, run, snakemake, study, workspace, write_study

from fairshrink.store import artifacts

pytestmark = pytest.mark.workflow


def small_study() -> dict:
    content = study()
    content["models"] = {"bert": content["models"]["bert"] | {"tasks": ["sentiment"]}}
    content["tasks"] = {"sentiment": content["tasks"]["sentiment"] | {"splits": [0]}}
    content["downloads"] = {name: content["downloads"][name] for name in ("bert", "reviews")}
    content["compressions"] = [{"method": "random", "sparsity": 0.5}]
    content["controls"] = []
    content["metrics"] = [{"metric": "task_score"}]
    return content


def complete_artifacts(folder: Path, pattern: str) -> list[str]:
    """Names of the complete artifacts that match a pattern."""
    return sorted(each.name for each in folder.glob(pattern) if artifacts.exists(each))


def stages_run(folder: Path) -> set[str]:
    """Stages of which jobs have run here: each leaves a log."""
    return {each.parent.name for each in folder.glob("logs/*/*.log")}


def test_second_clone_restores_and_computes_only_what_is_new(tmp_path):
    with servers.ssh(tmp_path / "remote") as remote:
        ours = workspace(tmp_path / "ours", small_study())
        git(tmp_path, "clone", "-q", "--bare", "ours", "origin.git")
        git(ours, "remote", "add", "origin", str(tmp_path / "origin.git"))
        clones.configure(ours, remote)
        snakemake(ours)
        output = run(ours, sys.executable, "-m", "fairshrink", "share").stdout
        git(ours, "add", "data", "results")
        git(ours, "commit", "-q", "-m", "results")
        git(ours, "push", "-q", "origin", "main")
        patterns = ("data/*", "results/*/*", "results/scores/*/*")
        made = {pattern: complete_artifacts(ours, pattern) for pattern in patterns}
        assert [len(made[pattern]) for pattern in made] == [2, 3, 2]
        assert "7 of 7 recorded artifacts are there" in output

        git(tmp_path, "clone", "-q", "origin.git", "theirs")
        theirs = tmp_path / "theirs"
        shutil.copy(ours / ".dvc/config.local", theirs / ".dvc/config.local")
        assert set(planned(theirs)) == {"restore"}
        snakemake(theirs)
        assert stages_run(theirs) == {"restore"}
        table = "results/tables/results.parquet"
        assert (theirs / table).read_bytes() == (ours / table).read_bytes()
        assert planned(theirs) == {}

        changed = copy.deepcopy(small_study())
        changed["statistics"]["level"] = 0.9
        write_study(theirs, changed)
        assert planned(theirs) == {"restore": 1, "aggregate": 1}
        snakemake(theirs)
        assert stages_run(theirs) == {"restore", "aggregate"}
        assert complete_artifacts(theirs, "results/scores/*/*") == made["results/scores/*/*"]
        for place in ("data/*", "results/baselines/*", "results/compressed/*"):
            assert complete_artifacts(theirs, place) == []
        assert stages_run(ours) == {"download", "finetune", "compress", "evaluate", "aggregate"}
        fetched = set(clones.cached(theirs))
        for place in ("data", "results/baselines", "results/compressed"):
            for path in (ours / place).glob("*/"):
                lists = {name for name in clones.objects(path) if name.endswith(".dir")}
                large = {name for name, size in clones.objects(path).items() if size > 1000}
                assert large
                assert not fetched & (lists | large), path
