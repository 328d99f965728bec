"""Concurrent jobs on a machine with several GPUs: never two on one GPU, and no GPU idle while a job waits."""

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
JOB = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from fairshrink.stages import gpus
gpus.WAIT_S = 0.02
gpus.assign(int(sys.argv[2]))
print(os.environ.get("CUDA_VISIBLE_DEVICES", "none"), time.monotonic(), flush=True)
time.sleep(float(sys.argv[3]))
print(time.monotonic(), flush=True)
"""


def start(folder: Path, count: int = 1, seconds: float = 0.3, **env: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")}
    command = [sys.executable, "-c", JOB, str(ROOT), str(count), str(seconds)]
    return subprocess.Popen(
        command, cwd=folder, env=kept | env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def reserved(process: subprocess.Popen[str]) -> tuple[str, float, float]:
    """The devices that a job had, and its start and end."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    first, end = out.splitlines()
    devices, begin = first.split()
    return devices, float(begin), float(end)


def test_many_jobs_share_two_devices_without_conflict(tmp_path):
    jobs = [reserved(each) for each in [start(tmp_path, CUDA_VISIBLE_DEVICES="0,1") for _ in range(8)]]
    assert {devices for devices, _, _ in jobs} == {"0", "1"}
    for device in ("0", "1"):
        spans = sorted((begin, end) for devices, begin, end in jobs if devices == device)
        assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))


def test_a_job_of_two_waits_for_two(tmp_path):
    one = start(tmp_path, seconds=1.0, CUDA_VISIBLE_DEVICES="3,7")
    line = one.stdout.readline()
    two = start(tmp_path, count=2, CUDA_VISIBLE_DEVICES="3,7")
    assert "waiting for 2 of the GPUs 3, 7" in two.stderr.readline()
    devices, begin, _ = reserved(two)
    assert line.split()[0] == "3"
    assert devices == "3,7"
    assert begin >= float(one.communicate()[0])


def test_a_killed_job_frees_its_device(tmp_path):
    first = start(tmp_path, seconds=60, CUDA_VISIBLE_DEVICES="0")
    first.stdout.readline()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert reserved(start(tmp_path, seconds=0, CUDA_VISIBLE_DEVICES="0"))[0] == "0"


def test_more_devices_than_exist_means_all(tmp_path):
    assert reserved(start(tmp_path, count=4, seconds=0, CUDA_VISIBLE_DEVICES="0,1"))[0] == "0,1"


def test_devices_assigned_by_a_scheduler_are_kept(tmp_path):
    first = start(tmp_path, seconds=1, SLURM_JOB_ID="7", CUDA_VISIBLE_DEVICES="5,6")
    assert reserved(start(tmp_path, seconds=0, SLURM_JOB_ID="8", CUDA_VISIBLE_DEVICES="5,6"))[0] == "5,6"
    assert reserved(first)[0] == "5,6"


def test_without_a_gpu_nothing_is_set(tmp_path):
    assert reserved(start(tmp_path, seconds=0, PATH=str(tmp_path)))[0] == "none"


def test_devices_are_listed_by_the_driver(tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\necho 2\n")
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    jobs = [start(tmp_path, seconds=0.5, PATH=path) for _ in range(3)]
    assert {reserved(each)[0] for each in jobs} == {"0", "1", "2"}
