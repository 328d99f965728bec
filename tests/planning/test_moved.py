"""Keys of a study do not change when files of the package are moved, nor from machine to machine."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from tiny_study import environment, study, write_data, write_study

from fairshrink.planning import unfollowed
from fairshrink.planning.modules import PACKAGE

LIST = """
import json, sys
from fairshrink.planning import grid
from fairshrink.planning import studies
print(json.dumps([list(grid.expand(studies.load("config.yaml"))), sys.modules["fairshrink"].__path__[0]]))
"""
MOVES = {
    "models.inference.batching": "data.batches.batching",
    "metrics.weat": "metrics.embeddings.weat",
    "stats.estimates": "analysis.estimates",
}


@pytest.fixture
def folder(tmp_path):
    """A study beside a copy of the package."""
    write_data(tmp_path / "local")
    content = study()
    content["compressions"].append({"method": "random", "sparsity": 0.5})
    write_study(tmp_path, content)
    shutil.copytree(PACKAGE, tmp_path / "fairshrink", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def listed(folder, **env) -> list[str]:
    """Paths of all artifacts, by the copy."""
    done = subprocess.run(
        [sys.executable, "-c", LIST],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", **env),
        capture_output=True,
        text=True,
        check=True,
    )
    paths, package = json.loads(done.stdout)
    assert package == str(folder / "fairshrink")
    return paths


def move(folder, old: str, new: str) -> int:
    """Move a module of the copy and repair the imports of it; how many files were repaired."""
    package = folder / "fairshrink"
    target = package.joinpath(*new.split(".")).with_suffix(".py")
    target.parent.mkdir(exist_ok=True)
    package.joinpath(*old.split(".")).with_suffix(".py").rename(target)
    (old_folder, name), new_folder = old.rsplit(".", 1), new.rsplit(".", 1)[0]
    repaired = 0
    for path in package.rglob("*.py"):
        before = path.read_text(encoding="utf-8")
        after = re.sub(rf"\bfairshrink\.{re.escape(old)}\b", f"fairshrink.{new}", before)
        alone = rf"from fairshrink\.{re.escape(old_folder)} import {name}\b(?!,)"
        after = re.sub(alone, f"from fairshrink.{new_folder} import {name}", after)
        path.write_text(after, encoding="utf-8")
        repaired += after != before
    return repaired


def test_moving_files_changes_no_key(folder):
    before = listed(folder)
    assert any("/weat-" in path for path in before)
    repaired = {old: move(folder, old, new) for old, new in MOVES.items()}
    assert repaired["models.inference.batching"] > 5
    assert repaired["stats.estimates"] > 5
    assert unfollowed.findings(folder / "fairshrink") == []
    assert listed(folder) == before


def test_moving_a_method_to_another_family_changes_the_tables_which_name_it(folder):
    before = listed(folder)
    move(folder, "compression.unstructured.random", "compression.quantization.random")
    after = listed(folder)
    assert {path.split("/")[1] for path in set(before) ^ set(after)} == {"published"}


def test_editing_a_method_of_the_copy_changes_its_keys(folder):
    before = listed(folder)
    method = folder / "fairshrink/compression/unstructured/random.py"
    text = method.read_text(encoding="utf-8")
    edited = text.replace("def compress(", "def compress(_unused=0, *, _other=1, ", 1)
    assert edited != text
    method.write_text(edited, encoding="utf-8")
    after = listed(folder)
    changed = [path for path in before if path not in after]
    assert changed
    assert all("-random-" in path or path.startswith("results/published/") for path in changed)


def test_hash_seed_does_not_matter(folder):
    assert listed(folder, PYTHONHASHSEED="1") == listed(folder, PYTHONHASHSEED="2")
