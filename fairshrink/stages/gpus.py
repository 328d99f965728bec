"""One job per GPU at a time on a machine without a scheduler.

Slurm assigns GPUs to jobs. Without a scheduler, concurrent jobs would all use the first GPU; so each job locks a
device, waits while all are locked, and sees no other. The kernel releases the lock when the process ends.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import IO

from fairshrink.log import log

LOCKS = Path(".snakemake/fairshrink")
SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
WAIT_S = 2.0
_held: list[IO[str]] = []


def assign(count: int, root: Path = Path()) -> None:
    """Reserve ``count`` GPUs for this process by setting CUDA_VISIBLE_DEVICES; call it before torch is imported.

    Does nothing if a scheduler has assigned GPUs, or if the machine has none. If it has fewer than ``count``, all of
    them are reserved.
    """
    if count < 1 or any(name in os.environ for name in SCHEDULERS):
        return
    devices = visible()
    if not devices:
        return
    count = min(count, len(devices))
    taken = _take(devices, count, root)
    if len(taken) < count:
        log(f"waiting for {count} of the GPUs {', '.join(devices)}")
    while len(taken) < count:
        time.sleep(WAIT_S)
        taken = _take(devices, count, root)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)


def visible() -> list[str]:
    """The GPUs that this process may use, as CUDA names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [each.strip() for each in chosen.split(",") if each.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    done = subprocess.run([program, "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def _take(devices: list[str], count: int, root: Path) -> list[str]:
    """Lock ``count`` free devices, or none: holding only some of them would just block other jobs."""
    (root / LOCKS).mkdir(parents=True, exist_ok=True)
    taken: dict[str, IO[str]] = {}
    for device in devices:
        stream: IO[str] = (root / LOCKS / f"gpu-{device.replace('/', '_')}.lock").open("a")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            continue
        taken[device] = stream
        if len(taken) == count:
            _held.extend(taken.values())
            return list(taken)
    for stream in taken.values():
        stream.close()
    return []
