"""What was damaged is not used, and what was compared once is not read again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import stub_artifacts
from stub_artifacts import make, overwrite

from fairshrink.errors import UserError
from fairshrink.store import artifacts, checked, published
from fairshrink.store.layout import MARKER


@pytest.fixture
def made(tmp_path) -> tuple[Path, Path]:
    """The root, and an artifact of two files below it."""
    entry = stub_artifacts.job("finetune", "b")
    return tmp_path, Path(make(tmp_path, entry, {"model.safetensors": b"weights", "sub/config.json": b"{}"}))


def test_a_whole_artifact_is_used_and_read_once(made, monkeypatch):
    root, folder = made
    checked.require(folder, root)
    monkeypatch.setattr(artifacts, "faults", lambda *_: pytest.fail("its bytes were read again"))
    checked.require(folder, root)


@pytest.mark.parametrize("before", [True, False], ids=["compared before", "never compared"])
def test_one_flipped_bit_is_found(made, before):
    root, folder = made
    if before:
        checked.require(folder, root)
    overwrite(root / folder / "model.safetensors", b"weighus")
    with pytest.raises(UserError, match=r"model\.safetensors: not the recorded bytes.*make verify"):
        checked.require(folder, root)


def test_a_touched_file_is_read_again_and_used(made):
    root, folder = made
    checked.require(folder, root)
    os.utime(root / folder / "model.safetensors", ns=(1, 1))
    checked.require(folder, root)


def test_a_missing_file_a_foreign_file_and_another_record(made):
    root, folder = made
    record = json.loads((root / folder / MARKER).read_text())
    (root / folder / "sub/config.json").unlink()
    with pytest.raises(UserError, match=r"sub/config\.json: missing"):
        checked.require(folder, root)
    (root / folder / "sub/config.json").write_bytes(b"{}")
    checked.require(folder, root)
    record["parts"]["params"] = {"forged": True}
    (root / folder / MARKER).write_text(json.dumps(record))
    with pytest.raises(UserError, match="but its parts have the key"):
        checked.require(folder, root)


@pytest.mark.parametrize(
    "name", ["../out", "/etc/passwd", "a/../../b", "", ".", "a//b", "a\\..\\b", MARKER, f"sub/{MARKER}", "a\nb"]
)
def test_a_record_that_leads_out_of_its_folder_is_none(made, name):
    root, folder = made
    marker = root / folder / MARKER
    record = json.loads(marker.read_text())
    record["files"][name] = "0" * 64
    (root / "results/out").write_text("mine")
    marker.write_text(json.dumps(record))
    assert not artifacts.exists(root / folder)
    assert "not a valid provenance record" in artifacts.faults(root / folder, folder.name)[0]


def test_showing_results_removes_nothing_that_a_hostile_record_names(tmp_path):
    """The record of what is shown may have come with a pull."""
    output, mine = tmp_path / "clone/results", tmp_path / "mine"
    mine.write_text("mine")
    entry = stub_artifacts.job("aggregate", "study")
    made = tmp_path / "clone" / make(tmp_path / "clone", entry, {"tables/verdicts.csv": b"x"})
    (output / "tables").mkdir(parents=True)
    (output / published.SHOWN).write_text(json.dumps({"files": {"../../mine": "0"}}))
    assert published.show(made, output)
    assert mine.read_text() == "mine"
    assert (output / "tables/verdicts.csv").read_bytes() == b"x"
