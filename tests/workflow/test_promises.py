"""The promise of the project: nothing is computed twice, no result is stale. Each test counts the jobs of real runs.

The examples of docs/recomputing.md are these tests.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tiny_study import environment, git, planned, run, snakemake, study, workspace, write_study

from fairshrink.planning import warm
from fairshrink.store.layout import ARTIFACT_GLOBS

pytestmark = pytest.mark.workflow
METHOD = "fairshrink/compression/unstructured/random.py"
PAGE = Path(__file__).parents[2] / "docs/recomputing.md"


HOLD = '''

_say = log


def log(message: str) -> None:
    """Log the message; a job then waits as long as the test wants it to."""
    _say(message)
    while "scripts" in sys.argv[0] and Path("hold").is_file():
        Path("held").touch()
        time.sleep(0.05)
'''


def documented(what: str) -> dict[str, int]:
    """What the page says that a run does after this."""
    (does,) = re.findall(rf"^\| {re.escape(what)} \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    pairs = [] if does == "nothing" else [each.split() for each in does.split(", ")]
    return {stage: int(number) for stage, number in pairs}


def small_study() -> dict:
    """Two tasks, one of them fine-tuned on two splits; two compressions, two metrics."""
    content = study()
    content["models"].pop("llama")
    content["downloads"] = {name: content["downloads"][name] for name in ("bert", "reviews")}
    content["tasks"] = {name: content["tasks"][name] for name in ("sentiment", "similarity")}
    content["models"]["bert"]["tasks"] = ["sentiment", "similarity"]
    content["compressions"] = [{"method": "magnitude_global", "sparsity": 0.5}, {"method": "random", "sparsity": 0.5}]
    content["controls"] = []
    content["metrics"] = [{"metric": "task_score"}, {"metric": "bias_sts"}]
    return content


def one_chain() -> dict:
    """Of these one task on one split: five jobs, one after another."""
    content = small_study()
    content["models"]["bert"]["tasks"] = ["sentiment"]
    content["tasks"].pop("similarity")
    content["tasks"]["sentiment"]["splits"] = [0]
    content["metrics"] = [{"metric": "task_score"}]
    return content


def commit(folder: Path, message: str = "run") -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def artifacts(folder: Path) -> set[str]:
    found = [marker.parent for pattern in ARTIFACT_GLOBS for marker in folder.glob(f"{pattern}/provenance.json")]
    return {path.relative_to(folder).as_posix() for path in found}


def science(folder: Path) -> dict[str, bytes]:
    """What must not differ between two runs: scores, weights, tables."""
    patterns = ("results/scores/*/*/items.parquet", "results/*/*/*.safetensors", "results/tables/results.parquet")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for each in patterns for path in folder.glob(each)}


def leftovers(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*.part") if ".git" not in each.parts]


def todo(folder: Path) -> Counter[str]:
    """Artifacts that the next run makes or restores, by stage; the plan's own words, checked against Snakemake's."""
    jobs = planned(folder)
    newest = max((folder / ".snakemake/fairshrink").glob("plan-*/"), key=lambda each: each.stat().st_mtime_ns)
    made = Counter()
    for each in newest.glob("jobs/*.json"):
        job = json.loads(each.read_text())
        made[job["stage"]] += len(job["artifacts"])
    made = Counter({stage: number for stage, number in made.items() if number})
    assert set(made) == set(jobs)
    return made


def shuffle_times(folder: Path) -> None:
    draw = random.Random(1)
    for path in sorted(folder.rglob("*")):
        if ".git" not in path.parts and path.is_file():
            moment = draw.randrange(10**9, 2 * 10**9)
            os.utime(path, (moment, moment))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study after its first run, its pointers committed, its bytes in a remote. Tests leave it as they found it."""
    folder = workspace(tmp_path_factory.mktemp("promise"), small_study())
    run(folder, "dvc", "remote", "add", "-q", "-d", "storage", str(tmp_path_factory.mktemp("remote")))
    snakemake(folder)
    commit(folder)
    run(folder, "dvc", "push", "-q")
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """One chain, run in peace, each job in a process of its own: what runs that fork their jobs are compared with."""
    folder = workspace(tmp_path_factory.mktemp("undisturbed"), one_chain())
    snakemake(folder, **{warm.VARIABLE: ""})
    return folder


@pytest.fixture
def fine_tuned(undisturbed, tmp_path):
    """The chain after its fine-tuning, with three jobs to go."""
    folder = tmp_path / "fine_tuned"
    shutil.copytree(undisturbed, folder, symlinks=True)
    for place in ("compressed", "scores", "published"):
        for each in (folder / "results" / place).glob("[!.]*"):
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    shutil.rmtree(folder / "logs")
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """The finished folder with everything in it, for a test to change."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


@pytest.fixture
def cloned(finished, tmp_path):
    """What a colleague gets from git alone."""
    git(tmp_path, "clone", "-q", str(finished), str(tmp_path / "clone"))
    return tmp_path / "clone"


def test_the_study_is_as_counted_here(finished):
    assert Counter(path.split("/")[1 if path.startswith("results") else 0] for path in artifacts(finished)) == {
        "data": 2,
        "baselines": 3,
        "compressed": 6,
        "scores": 9,
        "published": 1,
    }
    assert todo(finished) == documented("nothing")


def test_clone_and_pull_with_shuffled_times_has_nothing_to_do(cloned, finished):
    run(cloned, "dvc", "pull", "-q")
    shuffle_times(cloned)
    assert todo(cloned) == documented("clone, `dvc pull`, modification times in any order")
    assert "Nothing to be done" in "".join(_texts(snakemake(cloned)))
    assert science(cloned) == science(finished)


def test_clone_without_pull_restores_the_published_result_and_nothing_else(cloned, finished):
    assert todo(cloned) == documented("clone, without pulling")
    snakemake(cloned)
    assert todo(cloned) == {}
    (restored,) = artifacts(cloned)
    assert restored.startswith("results/published/")
    name = "results/tables/results.parquet"
    assert (cloned / name).read_bytes() == (finished / name).read_bytes()
    assert git(cloned, "status", "--porcelain") == ""


def test_new_tables_fetch_scores_and_no_checkpoint(cloned, finished):
    content = small_study()
    content["statistics"] = {"level": 0.9}
    write_study(cloned, content)
    assert todo(cloned) == documented("clone, then change the intervals (`statistics.level`)")
    snakemake(cloned)
    assert not [path for path in artifacts(cloned) if path.split("/")[1] in ("baselines", "compressed")]
    fetched = {path.name for path in (cloned / ".dvc/cache/files/md5").glob("*/*")}
    weights = {_md5_name(path) for path in finished.glob("results/*/*/*.safetensors")}
    assert fetched
    assert not fetched & weights
    assert todo(cloned) == {}


def _md5_name(path: Path) -> str:
    import hashlib

    return hashlib.md5(path.read_bytes()).hexdigest()[2:]


def test_new_score_fetches_its_checkpoints_and_their_data_only(cloned):
    content = small_study()
    content["metrics"].append({"metric": "weat", "tests": ["weat6"], "tasks": ["similarity"]})
    write_study(cloned, content)
    assert todo(cloned) == documented("clone, then add a metric to one task")
    snakemake(cloned)
    kept = [path for path in artifacts(cloned) if path.split("/")[1] in ("baselines", "compressed")]
    assert len(kept) == 3
    assert all("similarity" in path for path in kept)


def test_restoring_can_be_refused(cloned):
    assert planned(cloned, "--config", "restore=never") == {
        "download": 2,
        "finetune": 3,
        "compress": 3,
        "evaluate": 3,
        "aggregate": 1,
    }
    done = snakemake(cloned, "-n", "--config", "restore=sometimes", check=False)
    assert done.returncode != 0
    assert "one of required, preferred, never" in "".join(_texts(done))


def test_lost_bytes_stop_the_run_or_are_computed_by_policy(cloned, finished):
    remote = Path(run(cloned, "dvc", "config", "remote.storage.url").stdout.strip())
    moved = remote.with_name(remote.name + "-away")
    remote.rename(moved)
    try:
        done = snakemake(cloned, "-n", check=False)
        text = "".join(_texts(done))
        assert done.returncode != 0
        assert "1 recorded artifacts cannot be restored" in text
        assert "restore=preferred" in text
        assert "Traceback" not in text
        done = snakemake(cloned, "-n", "--config", "restore=preferred")
        assert "They are computed instead" in "".join(_texts(done))
        assert planned(cloned, "--config", "restore=preferred")["finetune"] == 3
    finally:
        moved.rename(remote)
    assert todo(cloned) == {"restore": 1}


def test_comment_edited(copied):
    path = copied / METHOD
    path.write_text("# how a fresh model starts\n" + path.read_text().replace('"""', '"""On chance. ', 1))
    assert todo(copied) == documented("edit a comment or a docstring")


def test_code_of_one_method_edited(copied):
    path = copied / METHOD
    path.write_text(path.read_text().replace("def compress(", "def compress(_unused=0, *, x=1, "))
    assert todo(copied) == documented("edit the code of one compression method")


def test_code_that_transports_results_edited(copied):
    for name in (
        "store/artifacts.py",
        "log.py",
        "sources/_shared/transfer.py",
        "remote/pointers.py",
        "planning/plan.py",
    ):
        path = copied / "fairshrink" / name
        path.write_text(path.read_text() + "\n\nUNUSED = 1\n\n\ndef unused() -> None:\n    print(UNUSED)\n")
    path = copied / "fairshrink/log.py"
    path.write_text(path.read_text().replace("%H:%M:%S", "%H:%M"))
    row = "edit code that transports results but cannot change them (logging, transfers, planning)"
    assert todo(copied) == documented(row)


def test_parameter_changed_and_changed_back(copied):
    content = small_study()
    content["compressions"][0]["sparsity"] = 0.6
    write_study(copied, content)
    assert todo(copied) == documented("change one parameter of a compression")
    snakemake(copied)
    shown = (copied / "results/tables/results.parquet").read_bytes()
    assert todo(copied) == {}
    write_study(copied, small_study())
    assert todo(copied) == documented("… run that, and change it back")
    snakemake(copied)
    assert (copied / "results/tables/results.parquet").read_bytes() != shown
    write_study(copied, content)
    snakemake(copied)
    assert (copied / "results/tables/results.parquet").read_bytes() == shown


def test_metric_added(copied):
    content = small_study()
    content["metrics"].append({"metric": "weat", "tests": ["weat6"], "tasks": ["similarity"]})
    write_study(copied, content)
    assert todo(copied) == documented("add a metric to one task")


def test_control_added_and_its_code_edited(copied):
    content = small_study()
    content["controls"] = [{"method": "random_init"}]
    write_study(copied, content)
    assert todo(copied) == documented("add a control that is not stored")
    snakemake(copied)
    assert not list(copied.glob("results/compressed/*random_init*"))
    path = copied / "fairshrink/compression/controls/random_init.py"
    path.write_text(path.read_text().replace("def compress(", "def compress(_unused=0, *, x=1, "))
    assert todo(copied) == documented("… run that, and edit the code of the control")


def test_dose_added(copied):
    content = small_study()
    table = content["tasks"]["sentiment"]["train"]
    content["doses"] = [{"name": "more", "task": "sentiment", "table": table, "amounts": [3]}]
    write_study(copied, content)
    assert todo(copied) == documented("add a dose of one amount to the fine-tuned task")
    content["doses"][0]["amounts"] = [3, 5]
    write_study(copied, content)
    assert todo(copied) == documented("… of two amounts")


def test_split_added(copied):
    content = small_study()
    content["tasks"]["sentiment"]["splits"] = [0, 1, 7]
    write_study(copied, content)
    assert todo(copied) == documented("add a split")


def test_two_branches_back_and_forth(copied):
    git(copied, "checkout", "-q", "-b", "other")
    content = small_study()
    content["metrics"][1]["name"] = "sts"
    content["statistics"] = {"level": 0.9}
    write_study(copied, content)
    snakemake(copied)
    commit(copied, "other")
    tables = {"other": (copied / "results/tables/results.parquet").read_bytes()}
    for branch in ("main", "other", "main", "other"):
        git(copied, "checkout", "-q", branch)
        assert todo(copied) == documented("switch between two branches, each of which has run once")
        snakemake(copied)
        shown = (copied / "results/tables/results.parquet").read_bytes()
        assert tables.setdefault(branch, shown) == shown
    assert tables["main"] != tables["other"]
    assert git(copied, "status", "--porcelain") == ""
    git(copied, "merge", "-q", "--no-edit", "main")


def test_snakemakes_own_records_deleted(copied):
    shutil.rmtree(copied / ".snakemake")
    assert todo(copied) == documented("delete `.snakemake`")


def test_incomplete_pull_is_not_taken_for_complete(copied):
    weights, *_ = copied.glob("results/compressed/bert-similarity-random-sparsity0.5-*/*.safetensors")
    (scores,) = copied.glob("results/scores/bert-similarity-random-sparsity0.5-*/bias_sts-*/")
    shutil.rmtree(next(copied.glob("results/published/*/")))
    shutil.rmtree(scores)
    for each in (copied / "results").rglob("*.dvc"):
        each.unlink()
    assert todo(copied) == {"evaluate": 1, "aggregate": 1}
    content = weights.read_bytes()
    weights.unlink()
    assert todo(copied) == documented("lose one file of a needed checkpoint that has no pointer")
    weights.write_bytes(content)  # a dry run has changed nothing, so what comes back is used
    assert todo(copied) == {"evaluate": 1, "aggregate": 1}


def test_killed_at_random_moments_the_bytes_are_the_same(undisturbed, tmp_path):
    folder = workspace(tmp_path, one_chain())
    draw = random.Random(20)
    for attempt in range(6):
        process = _start(folder)
        time.sleep(draw.uniform(0.5, 6))
        if attempt % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:  # the main process alone: its jobs go on, and the next run may start the same jobs
            process.kill()
        process.wait()
        for path in artifacts(folder):
            record = json.loads((folder / path / "provenance.json").read_text())
            assert set(record["files"]) == {
                each.relative_to(folder / path).as_posix()
                for each in (folder / path).rglob("*")
                if each.is_file() and each.name != "provenance.json"
            }
    last = snakemake(folder, check=False)
    while "run again" in last.stderr:  # a job of a killed run has finished something between planning and starting
        last = snakemake(folder, check=False)
    assert last.returncode == 0, last.stderr
    assert todo(folder) == {}
    assert artifacts(folder) == artifacts(undisturbed)
    assert science(folder) == science(undisturbed)
    for path in artifacts(folder):
        assert (folder / f"{path}.dvc").is_file()


def test_killed_right_after_the_tables_are_in_place(undisturbed, fine_tuned):
    folder = fine_tuned
    for each in (*folder.glob("results/*/*.dvc"), *folder.glob("results/scores/*/*.dvc")):
        each.unlink()
    process = _start(folder)
    while not list(folder.glob("results/published/[!.]*/provenance.json")) and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # What Snakemake notes while a job runs is still there: it would delete the tables and make them again.
    (marker,) = folder.glob("results/published/[!.]*/provenance.json")
    tables = marker.parent
    before = tables.stat().st_ino
    done = snakemake(folder)
    assert "Nothing to be done" in done.stderr
    assert tables.stat().st_ino == before
    assert science(folder) == science(undisturbed)
    for path in artifacts(folder):
        assert (folder / f"{path}.dvc").is_file()


def test_two_runs_at_once_in_one_clone(undisturbed, fine_tuned):
    folder = fine_tuned
    with (folder / "fairshrink/log.py").open("a") as stream:
        stream.write(HOLD)
    (folder / "hold").touch()
    first = _start(folder)
    try:
        while not (folder / "held").is_file():
            assert first.poll() is None
            time.sleep(0.05)
        assert todo(folder)  # looking is allowed
        second = snakemake(folder, check=False)
        assert second.returncode != 0
        text = "".join(_texts(second))
        assert f"process {first.pid} on" in text
        assert "Traceback" not in text
    finally:
        (folder / "hold").unlink()
        out, err = first.communicate()
    assert first.returncode == 0, out + err
    assert todo(folder) == {}
    assert science(folder) == science(undisturbed)


def test_disk_full_while_a_checkpoint_is_written(undisturbed, fine_tuned):
    folder = fine_tuned
    place = folder / "results/compressed"
    kept = (place / ".gitignore").read_bytes()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        (place / ".gitignore").write_bytes(kept)
        done = snakemake(folder, "--keep-going", check=False)
        text = "".join(_texts(done))
        assert done.returncode != 0
        assert "results/compressed/bert-" in text
        assert "no space left" in text
        assert "Traceback" not in text
        assert not list(place.glob("*/provenance.json"))
        assert not leftovers(folder)
        subprocess.run(["mount", "-o", "remount,size=200m", str(place)], check=True)
        snakemake(folder)
        assert todo(folder) == {}
        assert science(folder) == science(undisturbed)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "2"],
        cwd=folder,
        env=environment(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _texts(done: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    return done.stdout, done.stderr
