"""Wall time and memory of `snakemake -n` on studies of growing size, nothing of which has been computed yet.

The limits that this project holds itself to: 20,000 artifacts in under 60 s and 2 GiB on 2 cores, cost growing in
proportion. The last column is the CPU time per artifact relative to that of the first row.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SPARSITIES = [round(0.05 * step, 2) for step in range(1, 20)]
PER_SPLIT = (1 + len(SPARSITIES)) * 5
"""A baseline and its compressed checkpoints, and four score tables of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=int, nargs="+", default=[2500, 5000, 10000, 20000])
    parser.add_argument("--checkpoints-per-job", type=int, nargs="+", default=[16, 1])
    options = parser.parse_args()
    print(f"{'artifacts':>10}{'per job':>9}{'jobs':>8}{'seconds':>9}{'CPU':>8}{'MiB':>8}{'relative':>10}")
    for per_job in options.checkpoints_per_job:
        first = None
        for wanted in options.artifacts:
            count, jobs, seconds, cpu, memory = measure(wanted, per_job)
            first = first or cpu / count
            each = cpu / count / first
            print(f"{count:10,}{per_job:9}{jobs:8,}{seconds:9.1f}{cpu:8.1f}{memory:8,.0f}{each:10.2f}", flush=True)


def measure(wanted: int, per_job: int) -> tuple[int, int, float, float, float]:
    """Artifacts, jobs, wall and CPU seconds, and peak memory (MiB) of planning one study."""
    splits = max(1, round(wanted / PER_SPLIT))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(yaml.safe_dump(study(folder, splits, per_job)))
        for each in ("Snakefile", "rules", "fairshrink", "scripts", "envs", "report", "profiles"):
            (folder / each).symlink_to(ROOT / each)
        command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--cores", "2"]
        began = time.perf_counter()
        with (folder / "said").open("w") as said:
            process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        text = (folder / "said").read_text()
        if status:
            sys.exit(text[-3000:])
        total = int(text.partition("\ntotal ")[2].split()[0])
    return splits * PER_SPLIT, total, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def study(folder: Path, splits: int, per_job: int) -> dict:
    """Masked language models on many splits, pruned at many sparsities, scored by four metrics."""
    local = folder / "local"
    local.mkdir()
    (local / "config.json").write_text("{}")
    (local / "text.csv").write_text("sentence\nA man and a woman.\n")
    (local / "pairs.csv").write_text("sent_more,sent_less,stereo_antistereo,bias_type\na,b,stereo,gender\n")
    pairs = {"items": {"download": "data", "file": "pairs.csv"}}
    return {
        "study": "large",
        "downloads": {name: {"source": "local", "path": "local"} for name in ("model", "data")},
        "models": {"m": {"download": "model", "family": "encoder", "tasks": ["mlm"]}},
        "tasks": {
            "mlm": {
                "kind": "masked_lm",
                "train": {"download": "data", "file": "text.csv", "format": "csv", "columns": {"text": "sentence"}},
                "splits": list(range(splits)),
                "epochs": 1,
                "batch_size": 8,
                "learning_rate": 1e-4,
                "max_length": 32,
            }
        },
        "compressions": [{"method": "magnitude_global", "sparsity": SPARSITIES}],
        "metrics": [{"metric": "task_score"}]
        + [{"metric": "crows_pairs", "name": f"pairs{n}", "sample": n, "data": pairs} for n in (10, 20, 30)],
        "execution": {"checkpoints_per_job": per_job},
    }


if __name__ == "__main__":
    main()
