"""An environment that is not what the lock file names is said by a run and updated by make, whatever files' times."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tiny_study import ROOT, look, study, workspace

from fairshrink.planning import environment

LOCK = """# written by a program
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:cc
ruamel-yaml==0.19.1 \\
    --hash=sha256:dd
    # via dvc
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""
NUMPY = "2.4.6" if sys.version_info < (3, 12) else "2.5.5"


@pytest.fixture
def clone(tmp_path):
    """A clone's lock files, and a folder of packages that Python imports first."""
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/requirements.lock").write_text(LOCK)
    (tmp_path / "envs/requirements-torch.txt").write_text("torch==2.13.0\n")
    for name in (f"numpy-{NUMPY}", "ruamel.yaml-0.19.1", "torch-2.13.0+cu130"):
        (tmp_path / "packages" / f"{name}.dist-info").mkdir(parents=True)
    return tmp_path


def said(clone: Path, monkeypatch) -> str | None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "path", [str(clone / "packages"), "", str(clone / "nowhere")])
        return environment.outdated(clone)


def test_nothing_is_said_where_all_is_as_named(clone, monkeypatch):
    assert said(clone, monkeypatch) is None  # another build of torch, a dot in a name, another machine's packages


def test_no_lock_file_is_nothing_to_compare_with(tmp_path, monkeypatch):
    assert said(tmp_path, monkeypatch) is None


def test_what_differs_is_named_with_what_to_do(clone, monkeypatch):
    (clone / "packages/ruamel.yaml-0.19.1.dist-info").rename(clone / "packages/ruamel_yaml-0.18.0.dist-info")
    (clone / "packages/torch-2.13.0+cu130.dist-info").rmdir()
    line = said(clone, monkeypatch)
    assert "names: ruamel-yaml 0.18.0 instead of 0.19.1, torch is missing; " in line
    assert f"{sys.executable} -m pip install -r envs/requirements.lock -r envs/requirements-torch.txt" in line
    monkeypatch.setattr(sys, "prefix", str(clone / ".venv"))
    assert said(clone, monkeypatch).endswith("; `make env` updates it")


def test_of_many_differences_three_are_spelled_out(clone, monkeypatch):
    (clone / "envs/requirements.lock").write_text("".join(f"package-{n}==1\n" for n in range(5)))
    assert "package-0 is missing, package-1 is missing, package-2 is missing and 2 more; " in said(clone, monkeypatch)


def test_the_package_that_is_imported_counts(clone, monkeypatch):
    (clone / "later/torch-1.0.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(clone / "packages"), str(clone / "later")])
    assert environment.outdated(clone) is None
    monkeypatch.setattr(sys, "path", [str(clone / "later"), str(clone / "packages")])
    assert "torch 1.0 instead of 2.13.0" in environment.outdated(clone)


def test_versions_are_those_that_packages_state_themselves():
    from importlib.metadata import version

    names = ("torch", "transformers", "numpy", "pandas", "pyarrow", "snakemake", "dvc", "ruamel.yaml")
    wanted = [Requirement(f"{name}=={version(name)}") for name in names]
    assert environment.differences(wanted, environment._installed(sys.path)) == []
    with_others = [Requirement(f"{name}==0.0.1") for name in names]
    assert len(environment.differences(with_others, environment._installed(sys.path))) == len(names)


def test_every_line_of_the_lock_file_is_read():
    lines = [each for each in (ROOT / environment.LOCKED[0]).read_text().splitlines() if "==" in each.split(" ")[0]]
    assert len(environment._wanted(ROOT)) == len(lines) + 1 > 100


# What make does: Python and uv are recorded instead of run, so that nothing is downloaded.

PYTHON = """#!/bin/sh
echo "python $*" >> "$CALLS"
if [ "$2" = venv ]; then mkdir -p .venv/bin; cp "$PYTHON" .venv/bin/python; cp "$STUBS/uv" .venv/bin/uv; fi
"""
UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
case "$*" in *requirements.lock*) [ ! -e fails ] || { echo "no such version" >&2; exit 1; } ;; esac
"""
UPDATED = ["-m venv", "uv==", "requirements.lock", "requirements-torch.txt", "transformers", "editable"]


@pytest.fixture
def made(clone):
    """A clone whose environment make has created."""
    shutil.copy(ROOT / "Makefile", clone)
    (clone / "pyproject.toml").touch()
    (clone / "stubs").mkdir()
    for name, text in (("python", PYTHON), ("uv", UV)):
        (clone / "stubs" / name).write_text(text)
        (clone / "stubs" / name).chmod(0o755)
    assert [each for each in calls(clone, "env") if "version_info" not in each] == UPDATED
    return clone


def calls(clone: Path, target: str, ok: bool = True) -> list[str]:
    """What `make target` has run, in order: a word of each call."""
    log, python = clone / "calls", clone / "stubs/python"
    log.write_text("")
    variables = {"CALLS": str(log), "STUBS": str(python.parent), "PYTHON": str(python)}
    done = subprocess.run(
        ["make", target], cwd=clone, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is ok, done.stderr
    words = [*UPDATED, "version_info", "fairshrink plan", "pytest"]
    lines = [each for each in log.read_text().splitlines() if "ruff" not in each and "planning." not in each]
    return [next(word for word in words if word in line) for line in lines]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
class TestMake:
    def test_a_second_time_nothing_is_installed(self, made):
        assert calls(made, "env") == []
        assert calls(made, "plan") == ["fairshrink plan"]

    @pytest.mark.parametrize("age", [-1e9, 0, 1e9], ids=["older", "as it is", "newer"])
    def test_another_lock_file_updates_the_environment_first_whatever_its_time(self, made, age):
        lock = made / "envs/requirements.lock"
        lock.write_text(LOCK.replace("0.19.1", "0.20.0"))
        moment = lock.stat().st_mtime + age
        os.utime(lock, (moment, moment))
        assert calls(made, "plan") == ["version_info", *UPDATED, "fairshrink plan"]
        assert calls(made, "plan") == ["fairshrink plan"]

    def test_so_does_another_torch(self, made):
        (made / "envs/requirements-torch.txt").write_text("torch==2.14.0\n")
        assert calls(made, "unit") == ["version_info", *UPDATED, "pytest"]

    def test_a_time_alone_changes_nothing(self, made):
        os.utime(made / "envs/requirements.lock", (4e9, 4e9))
        assert calls(made, "plan") == ["fairshrink plan"]

    def test_there_and_back_again(self, made):
        lock = made / "envs/requirements.lock"
        for text in (LOCK.replace("0.19.1", "0.20.0"), LOCK):
            lock.write_text(text)
            assert calls(made, "env") == ["version_info", *UPDATED]

    def test_an_update_that_failed_is_tried_again_and_nothing_runs_before(self, made):
        lock = made / "envs/requirements.lock"
        lock.write_text(LOCK.replace("0.19.1", "0.20.0"))
        (made / "fails").touch()
        failed = ["version_info", *UPDATED[:3]]
        assert calls(made, "plan", ok=False) == failed
        assert calls(made, "plan", ok=False) == failed
        lock.write_text(LOCK)  # the environment may be half way to the other one
        assert calls(made, "plan", ok=False) == failed
        (made / "fails").unlink()
        assert calls(made, "plan") == ["version_info", *UPDATED, "fairshrink plan"]


@pytest.mark.workflow
def test_a_run_says_what_is_outdated_and_goes_on(tmp_path):
    folder = workspace(tmp_path / "clone", study())
    lock = folder / environment.LOCKED[0]
    assert "is not what" not in look(folder).stderr
    lock.write_text(lock.read_text().replace("\ntransformers==", "\ntransformers==9."))
    done = look(folder)
    (line,) = [each for each in done.stderr.splitlines() if "this environment is not what" in each]
    assert "transformers " in line and " instead of 9." in line
