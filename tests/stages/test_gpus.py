"""Concurrent jobs on a machine with several GPUs: never two on one GPU, and no GPU idle while a job waits."""

import itertools
import os
import selectors
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 600
"""Only to end a test that hangs."""
JOB = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from fairshrink.stages import gpus
gpus.WAIT_S = 0.02
gpus.assign(int(sys.argv[2]))
print(os.environ.get("CUDA_VISIBLE_DEVICES", "none"), time.monotonic(), flush=True)
sys.stdin.readline()
print(time.monotonic(), flush=True)
"""


def start(folder: Path, count: int = 1, **env: str) -> subprocess.Popen[str]:
    """A job that keeps its devices until it is `reserved`."""
    kept = {name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")}
    command = [sys.executable, "-c", JOB, str(ROOT), str(count)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, cwd=folder, env=kept | env, text=True, **pipes)


def devices(process: subprocess.Popen[str]) -> tuple[str, float]:
    """The devices that a job has got, which it keeps, and since when."""
    line = process.stdout.readline().split()
    assert line, process.communicate()[1]
    return line[0], float(line[1])


def end(process: subprocess.Popen[str]) -> float:
    """Let a job end that has its devices; returns when it did."""
    out, err = process.communicate("end\n", timeout=PATIENCE_S)
    assert process.returncode == 0, err
    return float(out)


def reserved(process: subprocess.Popen[str]) -> tuple[str, float, float]:
    """The devices that a job had, and its start and end."""
    return *devices(process), end(process)


def test_many_jobs_share_two_devices_without_conflict(tmp_path):
    jobs = [start(tmp_path, CUDA_VISIBLE_DEVICES="0,1") for _ in range(8)]
    begun: list[tuple[str, float]] = [("", 0.0)] * len(jobs)
    spans: dict[str, list[tuple[float, float]]] = {"0": [], "1": []}
    running: list[int] = []
    with selectors.DefaultSelector() as waiting:
        for number, each in enumerate(jobs):
            waiting.register(each.stdout, selectors.EVENT_READ, number)
        while waiting.get_map():
            ready = waiting.select(PATIENCE_S)
            assert ready
            for key, _ in ready:
                waiting.unregister(key.fileobj)
                begun[key.data] = devices(jobs[key.data])
                running.append(key.data)
                assert len({begun[each][0] for each in running}) == len(running) <= 2, "two jobs on one device"
            while len(running) > (1 if waiting.get_map() else 0):
                first = running.pop(0)
                spans[begun[first][0]].append((begun[first][1], end(jobs[first])))
    assert all(spans.values()), "one device was never used"
    for mine in spans.values():
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(sorted(mine)))


def test_a_job_of_two_waits_for_two(tmp_path):
    one = start(tmp_path, CUDA_VISIBLE_DEVICES="3,7")
    assert devices(one)[0] == "3"
    two = start(tmp_path, count=2, CUDA_VISIBLE_DEVICES="3,7")
    assert "waiting for 2 of the GPUs 3, 7" in two.stderr.readline()
    ended = end(one)
    names, begin, _ = reserved(two)
    assert names == "3,7"
    assert begin >= ended


def test_a_killed_job_frees_its_device(tmp_path):
    first = start(tmp_path, CUDA_VISIBLE_DEVICES="0")
    assert devices(first)[0] == "0"
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert reserved(start(tmp_path, CUDA_VISIBLE_DEVICES="0"))[0] == "0"


def test_more_devices_than_exist_means_all(tmp_path):
    assert reserved(start(tmp_path, count=4, CUDA_VISIBLE_DEVICES="0,1"))[0] == "0,1"


def test_devices_assigned_by_a_scheduler_are_kept(tmp_path):
    first = start(tmp_path, SLURM_JOB_ID="7", CUDA_VISIBLE_DEVICES="5,6")
    assert devices(first)[0] == "5,6"
    assert reserved(start(tmp_path, SLURM_JOB_ID="8", CUDA_VISIBLE_DEVICES="5,6"))[0] == "5,6"
    end(first)


def test_without_a_gpu_nothing_is_set(tmp_path):
    assert reserved(start(tmp_path, PATH=str(tmp_path)))[0] == "none"


def test_devices_are_listed_by_the_driver(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\necho 2\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    jobs = [start(tmp_path, PATH=path) for _ in range(3)]
    assert {devices(each)[0] for each in jobs} == {"0", "1", "2"}
    for each in jobs:
        end(each)
