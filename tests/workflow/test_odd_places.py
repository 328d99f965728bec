"""Where people work: paths with any character, worktrees, shallow clones, no git, a HOME that cannot be written."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from tiny_study import git, planned, run, snakemake, study, workspace

pytestmark = pytest.mark.workflow
ODD = 'a "place" of user\'s {x} $HOME (100%)'


def smallest() -> dict:
    """One model as it is, by one metric without data."""
    made = study()
    made["downloads"] = {"bert": made["downloads"]["bert"]}
    made["models"] = {"bert": {"download": "bert", "family": "encoder", "tasks": ["similarity"]}}
    made["tasks"] = {"similarity": {"kind": "similarity"}}
    made["metrics"] = [{"metric": "bias_sts", "sample": 12}]
    return made | {"compressions": [], "controls": []}


def values(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "results/tables/results.parquet")[["metric", "statistic", "value"]]


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = workspace(tmp_path_factory.mktemp("places") / ODD, smallest())
    snakemake(folder)
    return folder


def test_a_path_with_spaces_quotes_braces_and_an_apostrophe(odd, tmp_path):
    found = values(odd)
    assert set(found["metric"]) == {"bias_sts"} and found["value"].notna().any()
    assert "Nothing to be done" in snakemake(odd, "-n").stdout
    again = snakemake(odd)
    assert "cannot be below a folder with braces" in again.stderr and "Traceback" not in again.stderr
    run(odd, "dvc", "cache", "dir", "--local", str(tmp_path / "cache"))
    assert "recorded 4 new artifacts" in snakemake(odd).stderr


def test_no_git_repository_and_no_home_that_can_be_written(odd, tmp_path):
    folder = tmp_path / "unpacked"
    shutil.copytree(odd, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", "results", ".snakemake"))
    done = snakemake(folder, HOME="/proc/nowhere", XDG_CACHE_HOME="", XDG_CONFIG_HOME="")
    pd.testing.assert_frame_equal(values(folder), values(odd))
    assert "Traceback" not in done.stdout + done.stderr


def test_a_worktree_and_a_shallow_clone(odd, tmp_path):
    git(odd, "worktree", "add", "-q", "--detach", str(tmp_path / "worktree"))
    git(tmp_path, "clone", "-q", "--depth", "1", "--no-local", str(odd), "shallow")
    for name in ("worktree", "shallow"):
        folder = tmp_path / name
        said = snakemake(folder)
        pd.testing.assert_frame_equal(values(folder), values(odd))
        assert "recorded 4 new artifacts" in said.stdout + said.stderr
        assert len(list(folder.glob("results/*/*.dvc"))) == 2  # of the baseline and of the tables
        assert planned(folder) == {}
