"""Artifacts appear complete or not at all."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairshrink.errors import UserError
from fairshrink.store import artifacts
from fairshrink.store.artifacts import Recipe

ROOT = Path(__file__).parents[2]


def recipe(path: Path, name: str = "n") -> Recipe:
    return Recipe("compress", name, "k", str(path), {"params": {"a": 1}})


def fill(folder: Path) -> dict:
    (folder / "sub").mkdir()
    (folder / "sub" / "weights.bin").write_bytes(b"weights")
    return {"ledger": {"params": 7}}


def test_made_artifact_records_what_made_it(tmp_path):
    path = tmp_path / "x-k"
    artifacts.make(recipe(path), fill)
    record = artifacts.read_provenance(path)
    assert record["key"] == "k"
    assert record["parts"] == {"params": {"a": 1}}
    assert record["files"] == {"sub/weights.bin": hashlib.sha256(b"weights").hexdigest()}
    assert record["ledger"] == {"params": 7}
    assert record["made"]["wall_s"] >= 0
    assert record["made"]["packages"]["numpy"]


def test_existing_artifact_is_not_made_again(tmp_path):
    path = tmp_path / "x-k"
    artifacts.make(recipe(path), fill)
    before = (path / artifacts.MARKER).stat().st_mtime_ns
    artifacts.make(recipe(path), lambda folder: pytest.fail("must not be called"))
    assert (path / artifacts.MARKER).stat().st_mtime_ns == before


def test_failure_leaves_nothing(tmp_path):
    def broken(folder: Path) -> dict:
        fill(folder)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        artifacts.make(recipe(tmp_path / "x-k"), broken)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path):
    def full(folder: Path) -> dict:
        fill(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match="no space left"):
        artifacts.make(recipe(tmp_path / "x-k"), full)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("leftover", [False, True])
def test_folder_without_marker_is_replaced(tmp_path, leftover):
    path = tmp_path / "x-k"
    path.mkdir()
    if leftover:
        (path / "half").write_text("half-written")
    assert not artifacts.exists(path)
    artifacts.make(recipe(path), fill)
    assert artifacts.exists(path)
    assert not (path / "half").exists()
    assert [each.name for each in tmp_path.iterdir()] == ["x-k"]


def test_copy_that_was_finished_first_is_kept(tmp_path):
    path = tmp_path / "x-k"

    def overtaken(folder: Path) -> dict:
        artifacts.make(recipe(path, "first"), fill)
        return fill(folder)

    artifacts.make(recipe(path), overtaken)
    assert artifacts.read_provenance(path)["name"] == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["x-k"]


def test_killed_process_leaves_no_valid_artifact(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from fairshrink.store.artifacts import building, MARKER\n"
        "with building(Path(sys.argv[1])) as folder:\n"
        "    (folder / MARKER).write_text('{}'); print('filled', flush=True); time.sleep(600)\n"
    )
    path = tmp_path / "x-k"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"filled\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()
    artifacts.make(recipe(path), fill)
    assert artifacts.exists(path)


def test_json_is_never_read_half_written(tmp_path):
    path = tmp_path / "x.json"
    program = (
        "import sys; from pathlib import Path; from fairshrink.store.artifacts import write_json\n"
        "while True: write_json(Path(sys.argv[1]), {'numbers': list(range(20000))})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT)
    try:
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.05)
        for _ in range(100):
            assert len(json.loads(path.read_text())["numbers"]) == 20000
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
        OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"),
    ],
)
def test_full_disk_is_recognized_in_the_errors_of_any_library(tmp_path, error):
    def fill(folder):
        (folder / "half").write_text("x")
        raise error

    with pytest.raises(UserError, match="no space left while writing"):
        artifacts.make(recipe(tmp_path / "x-k"), fill)
    assert not list(tmp_path.rglob("half"))


def test_other_errors_are_passed_on(tmp_path):
    def fill(folder):
        raise RuntimeError("error 280 of the model")

    with pytest.raises(RuntimeError, match="280"):
        artifacts.make(recipe(tmp_path / "x-k"), fill)


def test_a_folder_that_lacks_a_file_of_its_record_does_not_exist(tmp_path):
    def fill(folder):
        (folder / "a").write_text("a")
        return {}

    made = recipe(tmp_path / "x-k")
    artifacts.make(made, fill)
    path = Path(made.path)
    assert artifacts.exists(path)
    (path / "a").rename(path / "b")
    assert not artifacts.exists(path)
    (path / "b").rename(path / "a")
    (path / "provenance.json").write_text('{"files": {"a"')
    assert not artifacts.exists(path)


def test_leftovers_of_killed_processes_are_swept_and_running_ones_are_not_disturbed(tmp_path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from fairshrink.store import artifacts\n"
        "with artifacts.building(Path('x-k')) as folder:\n"
        "    (folder / 'half').write_text('x'); print('building', flush=True); time.sleep(600)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(ROOT)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for each in processes:
        assert each.stdout.readline() == "building\n"
    assert len(list(tmp_path.glob(".x-k.*.part"))) == 2
    processes[0].kill()
    processes[0].wait()
    artifacts.make(recipe(tmp_path / "x-k"), fill)
    (left,) = tmp_path.glob(".x-k.*.part")
    assert (left / "half").is_file()
    processes[1].kill()
    processes[1].wait()
    artifacts.sweep(tmp_path)
    assert not list(tmp_path.glob(".*"))
    assert artifacts.exists(tmp_path / "x-k")
