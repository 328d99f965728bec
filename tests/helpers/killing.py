"""Runs of a small study that are killed at chosen moments, whole process groups with SIGKILL, and then run to the end.

The moments are those at which something is on disk that was not there before. The package in the study's folder kills
its own run there, so that nothing depends on how fast the machine is: `ARM` is appended to it, for disturbed and
undisturbed runs alike, and the file `.kill` says when.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tiny_study import environment, forking, study, workspace

from fairshrink.planning import warm
from fairshrink.store import artifacts
from fairshrink.store.layout import ARTIFACT_GLOBS, MARKER
from fairshrink.store.leftovers import OF_DVC
from fairshrink.upkeep.verify import verify

ARM = {
    "store/artifacts.py": """

def _meet(moment, path):
    order = Path(".kill")
    at, _, where = (order.read_text() if order.is_file() else "").partition(" ")
    if at == moment and where in str(path):
        order.unlink()
        os.killpg(int(Path(".group").read_text()), 9)
        os.kill(os.getpid(), 9)


_unarmed = (_started, file_digests, _sync, _move_into_place)


def _started(path):
    made = _unarmed[0](path)
    _meet("begun", path)
    return made


def file_digests(folder):
    _meet("filled", folder)
    return _unarmed[1](folder)


def _sync(folder):
    _meet("recorded", folder)
    _unarmed[2](folder)


def _move_into_place(temporary, path):
    _unarmed[3](temporary, path)
    _meet("named", path)
""",
    "training/state.py": """

_unarmed = (TrainingState.save, TrainingState.clear)


def _save(self, done, *rest):
    from fairshrink.store.artifacts import _meet

    saved = _unarmed[0](self, done, *rest)
    _meet("saved", f"step {done}")
    return saved


def _clear(self):
    from fairshrink.store.artifacts import _meet

    _meet("trained", self.path)
    _unarmed[1](self)


TrainingState.save, TrainingState.clear = _save, _clear
""",
    "remote/pointers.py": """

_unarmed = (record, _add)


def record(paths, computed=(), root=Path()):
    from fairshrink.store.artifacts import _meet

    _meet("unpointed", "")
    return _unarmed[0](paths, computed, root)


def _add(paths, root):
    from fairshrink.store.artifacts import _meet

    order = Path(".kill").read_text().strip() if Path(".kill").is_file() else ""
    if order in ("caching", "pointing"):
        with subprocess.Popen([sys.executable, "-m", "dvc", "add", *paths]) as adding:
            wanted = {"caching": ".dvc/cache/files/md5/??/*", "pointing": "data/*.dvc"}[order]
            while adding.poll() is None and not any(Path().glob(wanted)):
                pass
            _meet(order, "")
    added = _unarmed[1](paths, root)
    _meet("pointed", "")
    return added
""",
    "store/published.py": """

_unarmed = _copy


def _copy(source, target):
    if Path(".kill").is_file():
        half = target.parent / f".{target.name}.01234567.part"
        target.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")
        artifacts._meet("showing", target)
        half.unlink()
    _unarmed(source, target)
""",
    "planning/plan_files.py": """

_unarmed = write


def write(plan, folder=FOLDER):
    from fairshrink.store.artifacts import _meet

    half = folder / ".plan-0123456789abcdef.01234567.part"
    half.mkdir(parents=True, exist_ok=True)
    _meet("planning", "")
    half.rmdir()
    made = _unarmed(plan, folder)
    _meet("planned", "")
    return made
""",
    "planning/workflow.py": """

_unarmed = begin


def begin(workflow, made):
    from fairshrink.store.artifacts import _meet

    _unarmed(workflow, made)
    _meet("started", "")
""",
}
BUILDING = ("begun", "filled", "recorded", "named")
MOMENTS = (
    "planning", "planned", "started",
    *(f"{each} data/" for each in BUILDING),
    "begun results/baselines/", "saved step 2", "saved step 5",
    *(f"{each} results/baselines/" for each in BUILDING[1:]), "trained",
    *(f"{each} results/{stage}/" for stage in ("compressed", "scores", "published") for each in BUILDING),
    "unpointed", "caching", "pointing", "pointed", "showing tables", "showing figures", "showing report",
)  # fmt: skip
"""All moments in the order in which a run meets them, each with a part of the path or text that it is about."""
MEASURED = (MARKER, "measurements.parquet", "ledger.csv", "ledger.md", "ledger.tex", "report.html")
"""Files that say when or how fast something was made."""
UNFINISHED = (".part", ".new", ".training", ".tmp", ".half", ".socket")
SNAKEMAKES = (".snakemake/incomplete/*", ".snakemake/locks/*")


def chain() -> dict:
    """One task on one split: five jobs, one after another; the training's state is saved at every step."""
    content = study()
    content["downloads"] = {name: content["downloads"][name] for name in ("bert", "reviews")}
    content["models"] = {"bert": content["models"]["bert"] | {"tasks": ["sentiment"]}}
    content["tasks"] = {"sentiment": content["tasks"]["sentiment"] | {"splits": [0]}}
    content["compressions"] = [{"method": "random", "sparsity": 0.5}]
    content["controls"] = []
    content["metrics"] = [{"metric": "task_score"}]
    content["execution"] = {"save_minutes": 1e-6}
    return content


def prepared(folder: Path) -> Path:
    """The study's folder before its first run."""
    made = workspace(folder, chain())
    for name, text in ARM.items():
        with (made / "fairshrink" / name).open("a") as stream:
            stream.write(text)
    return made


@dataclass(frozen=True)
class Ended:
    """How a run ended: its status, negative for a signal, and what it printed."""

    status: int
    text: str


def run(folder: Path, moment: str = "", seconds: float | None = None) -> Ended:
    """A run that ends by itself, or is killed at a moment or after some seconds.

    One that is refused, as a job of the killed run before it has just finished something, is started again.
    """
    while True:
        ended = _once(folder, moment, seconds)
        if ended.status < 0 or "run again" not in ended.text:
            return ended


def _once(folder: Path, moment: str, seconds: float | None) -> Ended:
    (folder / ".kill").unlink(missing_ok=True)
    if moment:
        (folder / ".kill").write_text(moment)
    shell = 'echo $$ > .group; exec "$0" -m snakemake --cores 2'
    with (folder / ".said").open("w+") as said:
        process = subprocess.Popen(
            ["sh", "-c", shell, sys.executable],
            cwd=folder,
            env=environment(**{warm.VARIABLE: forking()}),
            start_new_session=True,
            stdout=said,
            stderr=said,
        )
        if seconds is not None:
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said.seek(0)
        return Ended(process.returncode, said.read())


def finish(folder: Path) -> None:
    """Run to the end."""
    ended = run(folder)
    assert ended.status == 0, ended.text[-5000:]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that must be the same whatever was killed: artifacts and what is shown of the last one."""
    patterns = [*(f"{each}/**/*" for each in ARTIFACT_GLOBS), "results/tables/*", "results/figures/*"]
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in found if each.name not in MEASURED}


def faults(folder: Path, undisturbed: Path) -> list[str]:
    """What is not as it would be if nobody had killed anything."""
    here, there = contents(folder), contents(undisturbed)
    wrong = [f"{name}: other bytes" for name in sorted(here.keys() & there.keys()) if here[name] != there[name]]
    wrong += [f"{name}: missing" for name in sorted(there.keys() - here.keys())]
    wrong += [f"{name}: too much" for name in sorted(here.keys() - there.keys())]
    for pattern in ARTIFACT_GLOBS:
        made = [each for each in folder.glob(pattern) if artifacts.exists(each)]
        wrong += [f"{each}: no pointer" for each in made if not each.with_name(f"{each.name}.dvc").is_file()]
    checked = verify(folder, check=True)
    wrong += [f"{each.path}: {each.state}" for each in checked.findings if each.state != "intact"]
    return wrong + [f"{each}: left over" for each in leftovers(folder)]


def leftovers(folder: Path) -> list[str]:
    """Files and folders that only a killed process can have left; without copies of DVC's, which stay for an hour."""
    every = (each for each in folder.rglob("*") if ".git" not in each.relative_to(folder).parts)
    of_dvc = set(folder.glob(OF_DVC))
    found = {each for each in every if each.name.endswith(UNFINISHED) and each not in of_dvc}
    found |= {each for pattern in SNAKEMAKES for each in folder.glob(pattern)}
    cached = folder.glob(".dvc/cache/files/md5/??/*")
    found |= {each for each in cached if len(each.name.removesuffix(".dir")) != 30 and each not in of_dvc}
    return sorted(each.relative_to(folder).as_posix() for each in found)
