"""The study through a real Slurm on this machine; what was submitted is read from Slurm's own records.

`make test-slurm` runs this as root on Debian; it installs Slurm where it is missing.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "workflow"))

from test_promises import artifacts, leftovers, science, small_study
from tiny_study import environment, planned, run, snakemake, workspace, write_study

pytestmark = pytest.mark.slurm
COMMAND = [sys.executable, "-m", "snakemake", "--cores", "all", "--profile", "slurm"]
PATIENCE_S = 600
"""Only to end a test that hangs."""
POLL = ["--slurm-init-seconds-before-status-checks", "1"]
FAULTS = '''

_say = log
_FAULTS = __import__("pathlib").Path("faults")


def log(message: str) -> None:
    """Log the message; fail at this point if the test requests it."""
    _say(message)
    for order in sorted(_FAULTS.glob("*")):
        try:
            where, _, kind = order.read_text().rpartition(" ")
            if where in message and not order.name.startswith("always"):
                order.unlink()
        except FileNotFoundError:  # another job has met it
            continue
        if where in message:
            if kind == "raise":
                raise RuntimeError("the model has met with an accident")
            if kind == "kill":
                __import__("os").kill(__import__("os").getpid(), 9)
            if kind == "hang":
                time.sleep(1000)
'''


def start(accounting: bool) -> None:
    stop()
    done = subprocess.run([HERE / "start.sh"], env=os.environ | {"ACCOUNTING": str(int(accounting))}, text=True)
    if done.returncode != 0:
        pytest.fail("the test cluster did not start")


def stop() -> None:
    subprocess.run([HERE / "stop.sh"], check=True)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """A cluster with accounting; one test restarts it without."""
    if os.geteuid() != 0:
        pytest.skip("a test cluster needs root")
    start(accounting=True)
    yield
    stop()


def cluster_study(sparsity: float = 0.5, minutes: int = 10) -> dict:
    """Two splits of one task, each an independent chain; requests that fit the test cluster's nodes.

    ``minutes``: what a compression may take, which no busy machine exceeds; 1 where a test waits for it to pass.
    """
    content = small_study()
    content["models"]["bert"]["tasks"] = ["sentiment"]
    content["tasks"].pop("similarity")
    content["metrics"] = [{"metric": "task_score"}]
    content["compressions"][0]["sparsity"] = sparsity
    content["execution"] = {
        "finetune": {"minutes": 20, "mem_mb": 1300, "cpus": 2},
        "compress": {"minutes": minutes, "mem_mb": 1200},
        "evaluate": {"minutes": 10, "mem_mb": 1200},
        "save_minutes": 1e-6,
    }
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The study's folder; tests follow each other in it, as runs do."""
    made = workspace(tmp_path_factory.mktemp("cluster"), cluster_study())
    with (made / "fairshrink/log.py").open("a") as stream:
        stream.write(FAULTS)
    return made


def submitted(folder: Path, since: int = 0, *, ended: bool = True) -> list[dict]:
    """Jobs of this folder in the accounting database, after the job ``since``, as requested.

    Where they have ``ended``, the database is waited for, which hears of it a little later than Snakemake.
    """
    fields = "JobID,Comment,Partition,ReqTRES,TimelimitRaw,State,WorkDir"
    deadline = time.monotonic() + PATIENCE_S
    while True:
        text = run(folder, "sacct", "-X", "-P", "-n", "-a", f"--format={fields}").stdout
        rows = [dict(zip(fields.split(","), line.split("|"), strict=True)) for line in text.splitlines()]
        mine = [_tidy(row) for row in rows if row["WorkDir"] == str(folder) and int(row["JobID"]) > since]
        if not ended or not {each["state"] for each in mine} & {"PENDING", "RUNNING", "COMPLETING"}:
            return sorted(mine, key=lambda each: each["id"])
        assert time.monotonic() < deadline, mine
        time.sleep(0.3)


def _tidy(row: dict) -> dict:
    tres = dict(each.split("=") for each in row["ReqTRES"].split(","))
    rule = row["Comment"].strip().removeprefix("rule_")
    return {
        "id": int(row["JobID"]),
        "rule": rule,
        "stage": rule.split("_")[0],
        "partition": row["Partition"],
        "mem": tres["mem"],
        "cpu": int(tres["cpu"]),
        "gpu": int(tres.get("gres/gpu", 0)),
        "minutes": int(row["TimelimitRaw"]),
        "state": row["State"].split()[0],
    }


def last(folder: Path) -> int:
    return max((each["id"] for each in submitted(folder)), default=0)


def on_cluster(folder: Path, *more: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return run(folder, *COMMAND, *POLL, *more, check=check)


def fault(folder: Path, name: str, where: str, kind: str) -> None:
    (folder / "faults").mkdir(exist_ok=True)
    (folder / "faults" / name).write_text(f"{where} {kind}")


def local_copy(folder: Path, target: Path, content: dict) -> Path:
    """The same study, run without the cluster."""
    workspace(target, content)
    snakemake(target)
    return target


def test_first_run_submits_the_expensive_stages_and_a_killed_training_resumes(folder):
    fault(folder, "1", "step 4/", "kill")  # meets one of the two trainings
    on_cluster(folder)
    found = submitted(folder)
    assert Counter(each["stage"] for each in found) == {"finetune": 3, "compress": 2, "evaluate": 2}
    assert Counter(each["state"] for each in found) == {"COMPLETED": 6, "FAILED": 1}
    assert {(each["partition"], each["gpu"]) for each in found} == {("gpu", 1)}
    logs = [path.read_text() for path in folder.glob("logs/finetune/*.log")]
    assert sorted("resuming at step 3 of 6" in text for text in logs) == [False, True]
    (killed,) = [each for each in found if each["state"] == "FAILED"]
    again = [each for each in found if each["rule"] == killed["rule"]]
    assert [(each["mem"], each["minutes"]) for each in again] == [("1300M", 20), ("2600M", 40)]
    found = [each for each in found if each not in again]
    asked = {each["stage"]: (each["mem"], each["cpu"], each["minutes"]) for each in found}
    assert asked == {
        "finetune": ("1300M", 2, 20),
        "compress": ("1200M", 1, 20),  # ten minutes for each artifact
        "evaluate": ("1200M", 1, 30),
    }
    assert not leftovers(folder)
    for path in artifacts(folder):
        assert (folder / f"{path}.dvc").is_file()
    assert {path.parent.name for path in folder.glob("logs/*/*.log")} >= {
        "download",
        "finetune",
        "compress",
        "evaluate",
    }


def test_nothing_is_submitted_twice(folder):
    before = last(folder)
    assert planned(folder) == {}
    text = on_cluster(folder)
    assert "Nothing to be done" in text.stdout + text.stderr
    shutil.rmtree(folder / ".snakemake")
    on_cluster(folder)
    assert submitted(folder, before) == []


def test_only_invalidated_jobs_run_and_are_retried_when_killed_failed_or_out_of_time(folder):
    before = last(folder)
    write_study(folder, cluster_study(0.6, minutes=1))
    fault(folder, "1", "bert-sentiment-s0-magnitude", "hang")
    fault(folder, "2", "bert-sentiment-s1-magnitude", "raise")
    fault(folder, "3", "bert-sentiment-s1-magnitude", "kill")
    on_cluster(folder)
    found = submitted(folder, before)
    tries = {
        split: [each for each in found if each["rule"].startswith(f"compress_bert_sentiment_{split}")]
        for split in ("s0", "s1")
    }
    assert [each["state"] for each in tries["s0"]] == ["TIMEOUT", "COMPLETED"]
    assert [each["state"] for each in tries["s1"]] == ["FAILED", "FAILED", "COMPLETED"]
    assert [(each["mem"], each["minutes"]) for each in tries["s1"]] == [("1200M", 1), ("2400M", 2), ("3600M", 3)]
    assert Counter(each["stage"] for each in found) == {"compress": 5, "evaluate": 2}
    assert not leftovers(folder)
    assert planned(folder) == {}


def test_a_job_that_always_fails_is_reported_and_the_rest_is_done(folder):
    before = last(folder)
    write_study(folder, cluster_study(0.7))
    fault(folder, "always", "bert-sentiment-s0-magnitude", "raise")
    done = on_cluster(folder, "--slurm-status-command", "sacct", check=False)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "the model has met with an accident" in text
    found = submitted(folder, before)
    states = [each["state"] for each in found if each["rule"].startswith("compress_bert_sentiment_s0")]
    assert states == ["FAILED"] * 3
    assert [each["state"] for each in found if each["stage"] == "evaluate"] == ["COMPLETED"]
    assert not leftovers(folder)
    assert not list(folder.glob("results/compressed/bert-sentiment-s0-magnitude_global-sparsity0.7-*/provenance.json"))
    (made,) = folder.glob("results/compressed/bert-sentiment-s1-magnitude_global-sparsity0.7-*.dvc")
    assert made.is_file()
    shutil.rmtree(folder / "faults")
    on_cluster(folder)
    assert Counter(each["stage"] for each in submitted(folder, found[-1]["id"])) == {"compress": 1, "evaluate": 1}
    assert planned(folder) == {}


def test_after_a_kill_with_jobs_in_the_cluster_the_next_run_needs_no_help(folder, tmp_path):
    before = last(folder)
    write_study(folder, cluster_study(0.8))
    process = subprocess.Popen(
        [*COMMAND, *POLL],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_S
    while not any(each["state"] in ("RUNNING", "COMPLETED") for each in submitted(folder, before, ended=False)):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    on_cluster(folder)
    assert planned(folder) == {}
    deadline = time.monotonic() + PATIENCE_S
    while subprocess.run(["squeue", "-h"], capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert {each["stage"] for each in submitted(folder, before)} == {"compress", "evaluate"}
    assert not leftovers(folder)
    for path in artifacts(folder):
        record = json.loads((folder / path / "provenance.json").read_text())
        assert all((folder / path / name).is_file() for name in record["files"])
    local = local_copy(folder, tmp_path / "local", cluster_study(0.8))
    there, here = science(local), science(folder)
    assert {name: here[name] for name in there} == there


def test_without_accounting(folder):
    start(accounting=False)
    content = cluster_study(0.8)
    content["metrics"].append({"metric": "sentiment_gap", "noun_phrases": 1})
    content["execution"]["device"] = "cpu"
    write_study(folder, content)
    on_cluster(folder)
    text = run(folder, "scontrol", "show", "job", "--oneliner").stdout
    rules = re.findall(r"Comment=rule_(\w+)", text)
    assert [each.split("_")[0] for each in rules] == ["evaluate"]
    assert re.findall(r"JobState=(\w+)", text) == ["COMPLETED"]
    assert re.findall(r" Partition=(\w+)", text) == ["cpu"]
    assert "gres/gpu" not in text
    assert planned(folder) == {}
