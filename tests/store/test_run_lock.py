"""One run at a time, however the previous one ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fairshrink.errors import UserError
from fairshrink.store import run_lock

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
sys.path.insert(0, sys.argv[1])
from fairshrink.store import run_lock
run_lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of ``tmp_path``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(ROOT)], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_second_run_is_refused_with_the_holders_name(tmp_path, other):
    with pytest.raises(UserError, match=rf"process {other.pid} on .*, since 20"):
        run_lock.acquire(tmp_path)
    assert f"process {other.pid} on" in run_lock.holder(tmp_path)


@pytest.mark.parametrize("end", ["killed", "ended"])
def test_the_lock_ends_with_its_process(tmp_path, other, end):
    if end == "killed":
        os.kill(other.pid, signal.SIGKILL)
    else:
        other.stdin.close()
    other.wait()
    assert run_lock.holder(tmp_path) is None
    run_lock.acquire(tmp_path)
    run_lock.acquire(tmp_path)
    run_lock.release(tmp_path)


def test_released_lock_can_be_taken_by_others(tmp_path):
    run_lock.acquire(tmp_path)
    assert run_lock.holder(tmp_path) is None
    run_lock.release(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(ROOT)], cwd=tmp_path, input="", capture_output=True, text=True
    )
    assert done.stdout == "held\n", done.stderr


def test_folders_have_separate_locks(tmp_path, other):
    run_lock.acquire(tmp_path / "clone")
    run_lock.release(tmp_path / "clone")


def test_missing_lock_has_no_holder(tmp_path):
    assert run_lock.holder(tmp_path / "nowhere") is None
