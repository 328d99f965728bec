"""The package as users install it: from a copy of its sources, without a network, into a separate environment."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from tiny_study import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def required(file: str) -> dict[str, Requirement]:
    """Requirements for running the package: everything above the first section for checks."""
    lines = (ROOT / "envs" / file).read_text().partition("# checks")[0].splitlines()
    found = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    return {each.name.lower(): each for each in found}


def test_dependencies_are_those_of_the_environment_and_its_versions_satisfy_them():
    stated = {each.name: each for each in map(Requirement, PROJECT["dependencies"])}
    pinned = required("requirements.in") | required("requirements-torch.txt")
    assert stated.keys() == pinned.keys()
    for name, each in stated.items():
        assert [bound.operator for bound in each.specifier] == [">="], name
        assert each.specifier.contains(version(name).partition("+")[0]), name
        for pin in pinned[name].specifier:
            assert str(each.specifier) == f">={pin.version}", name


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment that has this package, and sees the libraries of this one."""
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    shutil.copytree(ROOT / "fairshrink", source / "fairshrink", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    python = folder / "env/bin/python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    ).stdout.strip()
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    libraries = kept | {"PYTHONPATH": sysconfig.get_path("purelib")}
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--no-compile", "--disable-pip-version-check"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *options, source], env=libraries, check=True)
    return folder, site, libraries


def test_installed_package_has_its_data_and_its_command(installed):
    folder, site, env = installed
    ours = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "fairshrink").rglob("*")
        if path.suffix in (".py", ".json", ".html", ".css", ".js") and "__pycache__" not in path.parts
    }
    there = {path.relative_to(site).as_posix() for path in (folder / "env").rglob("fairshrink/**/*") if path.is_file()}
    assert ours == there
    done = subprocess.run([folder / "env/bin/fairshrink", "list", "metrics"], cwd=folder, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"crows_pairs" in done.stdout
