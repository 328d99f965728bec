"""A run that is started elsewhere, or finds links and places that cannot be written: it works or says what to do."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from killing import chain
from tiny_study import look, planned, run, snakemake, workspace

from fairshrink.store import artifacts
from fairshrink.store.layout import ARTIFACT_GLOBS

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder in which nothing has run. Tests leave it as they found it."""
    return workspace(tmp_path_factory.mktemp("places") / "clone", chain())


def said(done: subprocess.CompletedProcess[str]) -> str:
    text = done.stdout + done.stderr
    assert "Traceback" not in text, text
    return text


@pytest.mark.parametrize("options", [(), ("-d", ".")], ids=["from elsewhere", "for another folder"])
def test_started_elsewhere_it_says_where_to_start(clone, tmp_path, options):
    snakefile = os.path.relpath(clone / "Snakefile", tmp_path)
    done = run(
        tmp_path, sys.executable, "-m", "snakemake", "--cores", "1", "-n", "-s", snakefile, *options, check=False
    )
    assert done.returncode != 0
    (line,) = [each for each in said(done).splitlines() if "works in its own folder" in each]
    assert f"`snakemake -d {clone} …`" in line


def test_started_elsewhere_for_its_own_folder_it_works(clone, tmp_path):
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "1",
        "-n",
        "-s",
        str(clone / "Snakefile"),
        "-d",
        str(clone),
    ]
    text = said(run(tmp_path, *command, PYTHONPATH=str(clone)))
    assert all(f"{stage} bert" in text for stage in ("download", "finetune", "compress", "evaluate"))
    assert list(tmp_path.iterdir()) == []


def test_results_and_data_may_be_links_to_another_disk(clone, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(clone, folder, symlinks=True)
    for name in ("results", "data"):
        (folder / name).rename(tmp_path / f"far-{name}")
        (folder / name).symlink_to(tmp_path / f"far-{name}")
    text = said(snakemake(folder))
    made = [each for pattern in ARTIFACT_GLOBS for each in folder.glob(pattern) if artifacts.exists(each)]
    assert len(made) == 7
    assert "data, results: a symbolic link, which DVC does not follow: 7 artifacts are kept and used" in text
    assert planned(folder) == {}


@contextmanager
def read_only(place: Path):
    """A folder that even root may not write into."""
    for options in (["--bind", str(place), str(place)], ["-o", "remount,ro,bind", str(place)]):
        if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
            subprocess.run(["umount", "-l", str(place)], capture_output=True)
            pytest.skip("mounting needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_results_that_cannot_be_written_are_named_before_any_job(clone, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(clone, folder, symlinks=True)
    with read_only(folder / "results"):
        done = look(folder, check=False)
    assert done.returncode != 0
    (line,) = [each for each in said(done).splitlines() if "a run writes there, and may not" in each]
    assert f"{folder}/results" in line and "git clone" in line and f"{folder}/data" not in line
    assert planned(folder)


def test_a_clone_that_cannot_be_written_is_named(clone, tmp_path):
    folder = tmp_path / "clone"
    shutil.copytree(clone, folder, symlinks=True)
    with read_only(folder):
        done = look(folder, check=False)
        told = run(folder, sys.executable, "-m", "fairshrink", "plan", check=False)
    assert done.returncode != 0
    assert [each for each in said(done).splitlines() if str(folder) in each]
    assert told.returncode in (0, 1)
    said(told)
