"""What a scoring job spends on all that is not scoring, part by part, in wall and CPU time.

    PYTHONPATH=. .venv/bin/python benchmarks/start_up.py results/baselines/NAME-KEY --metric perplexity --data ROLE=FILE

The folder is a checkpoint of a study. Its job is planned, and run as Snakemake runs it: by itself, and forked from the
process of a run that has imported the large libraries (`planning/warm.py`), in turns. A part's time is its own, without
that of parts inside it. Printed are medians; the total is what the processes of the job used, scoring left out.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCORING = "scoring"
IMPORTS = {
    "importing torch": ("torch",),
    "importing pandas, pyarrow": ("pandas", "pyarrow.parquet"),
    "importing transformers": (
        "transformers.modeling_utils",
        "transformers.models.auto.modeling_auto",
        "transformers.models.auto.tokenization_auto",
    ),
}
PARTS = (
    ("reading the plan", "planning.plan_files", "read_with_job"),
    ("inputs against their records", "store.checked", "require"),
    ("checkpoint", "models.checkpoint", "load"),
    ("tokenizer", "models.checkpoint", "read_tokenizer"),
    ("provenance", "store.artifacts", "make"),
    ("code against its keys", "stages.as_planned", "AsPlanned.check"),
    *((SCORING, "models.inference.log_probs", f"{each}_log_probs") for each in ("causal", "masked", "compared")),
    *(
        (SCORING, "models.inference.outputs", each)
        for each in ("sentence_embeddings", "sequence_logits", "attention_received")
    ),
)
"""What a part is called, and the function whose own time it is."""
BY_ITSELF = "by itself"
FORKED = "forked"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--metric", required=True)
    parser.add_argument("--data", nargs="*", default=[], metavar="ROLE=FILE")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the metric, as JSON")
    parser.add_argument("--repetitions", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        data = {role: (path,) for role, path in (each.split("=", 1) for each in given.data)}
        plan, scores = _planned(given.checkpoint, given.metric, given.settings, data)
        found: dict[str, list[dict[str, list[float]]]] = {BY_ITSELF: [], FORKED: []}
        with _forking() as server:
            for turn in range(given.repetitions + 1):
                for way, started in ((BY_ITSELF, None), (FORKED, server)):
                    parts = _run(plan, started)
                    scores.rename(f"{scores}.{turn}{way}")
                    if turn:  # the first one fills caches of files
                        found[way].append(parts)
    _print(found)


def _planned(checkpoint: Path, metric: str, settings: dict[str, Any], data: dict[str, tuple[str, ...]]) -> Any:
    """The plan's file, and the folder of the scores."""
    from fairshrink.planning import definitions, package_files, plan_files
    from fairshrink.planning.artifact import entry_points, keyed
    from fairshrink.planning.plan import Job, Order, Plan
    from fairshrink.registry import CATALOG
    from fairshrink.study.jobs import EvaluateJob

    module = CATALOG.metrics[metric]
    values = module.Settings(**settings).model_dump(mode="json")
    job = EvaluateJob(str(checkpoint), None, metric, values, "fp32", data, None)
    made = keyed("evaluate", metric, entry_points(CATALOG.metrics, metric, "score", "Settings"), {}, job)
    definitions.keep()  # as planning a study does
    order = Order(made.recipe, made.job, made.entries)
    one = Job("scores", "evaluate", "", (f"{checkpoint}/provenance.json",), (made.marker,), (order,))
    whole = Plan("start_up", 1, "cpu", 5.0, (one,), "", "", (made.path,), package_files.state())
    return plan_files.write(whole).resolve(), Path(made.path)


@contextmanager
def _forking() -> Iterator[int]:
    """The process that forks, ready; afterwards it has ended."""
    from fairshrink.planning import warm

    process = warm.start(Path("warm.socket"), 1, environment=_environment())
    assert process is not None
    try:
        yield process.pid
    finally:
        warm.stop(process)


def _environment() -> dict[str, str]:
    from fairshrink.planning import warm

    kept = {name: value for name, value in os.environ.items() if name != warm.VARIABLE}
    return kept | dict.fromkeys(warm.THREADS, "1") | {"TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT)}


def _run(plan: Path, server: int | None) -> dict[str, list[float]]:
    """One job: wall and CPU seconds of each part."""
    from fairshrink.planning import warm

    environment = _environment() | ({warm.VARIABLE: str(Path("warm.socket").resolve())} if server else {})
    before, began = _of_children(server) if server else 0.0, time.monotonic()
    command = [sys.executable, __file__, "inside", str(began), str(plan)]
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    ended = time.monotonic()
    if status:
        sys.exit("error: the job has failed")
    parts = json.loads(Path("parts.json").read_text())
    if server and parts["ppid"] != server:
        sys.exit("error: the job was not forked")
    times = parts["times"]
    cpu = used.ru_utime + used.ru_stime
    if server:
        times = {"process that asks": [0.0, cpu]} | times
        cpu = _of_children(server) - before
    inside = sum(each for name, (_, each) in times.items() if name != "process that asks")
    times["leaving"] = [ended - parts["at"], max(0.0, cpu - inside)]
    return times


def _of_children(pid: int) -> float:
    """CPU seconds of the children of a process that have ended."""
    values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(values[13]) + int(values[14])) / os.sysconf("SC_CLK_TCK")


def _print(found: dict[str, list[dict[str, list[float]]]]) -> None:
    print(f"| part | {' | '.join(f'{way}, {kind}' for way in found for kind in ('wall s', 'CPU s'))} |")
    print("|---|" + "---:|" * 4)
    names = list(dict.fromkeys(name for runs in found.values() for run in runs for name in run))
    rows = {name: [[run.get(name, [0.0, 0.0]) for run in runs] for runs in found.values()] for name in names}
    rows["all but scoring"] = [
        [[sum(run[name][i] for name in run if name != SCORING) for i in (0, 1)] for run in runs]
        for runs in found.values()
    ]
    for name, ways in rows.items():
        print(f"| {name} | {' | '.join(f'{statistics.median(r[i] for r in w):.2f}' for w in ways for i in (0, 1))} |")


# ---- inside the job's process -------------------------------------------------------------------------------------


class Clock:
    """Wall and CPU time of parts; time goes to the innermost part that is under way."""

    def __init__(self, began: float, first: str) -> None:
        self.times: dict[str, list[float]] = {}
        self.stack = [first]
        self.last = (began, 0.0)

    def tick(self) -> None:
        """What has passed since the last call goes to the part under way."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        now = (time.monotonic(), time.process_time() + children.ru_utime + children.ru_stime)
        of = self.times.setdefault(self.stack[-1], [0.0, 0.0])
        of[0] += now[0] - self.last[0]
        of[1] += now[1] - self.last[1]
        self.last = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self.tick()
        self.stack.append(name)
        try:
            yield
        finally:
            self.tick()
            self.stack.pop()

    def timed(self, owner: Any, name: str, part: str) -> None:
        """The attribute is a function, and its time that of a part."""
        own: Callable[..., Any] = getattr(owner, name)

        def function(*given: Any, **named: Any) -> Any:
            with self.part(part):
                return own(*given, **named)

        setattr(owner, name, function)


def _inside(began: float, plan: str) -> None:
    from_start = "FAIRSHRINK_WARM" not in os.environ
    clock = Clock(began, "interpreter" if from_start and "torch" not in sys.modules else "interpreter, asking, fork")
    clock.tick()
    clock.stack[0] = "importing fairshrink"
    from fairshrink.commands import main as command

    if from_start:
        command.parser()  # imports the subcommands
        _instrument(clock, Path(plan))
    try:
        command.main(["run", "evaluate", "--plan", plan, "--job", "scores", "--threads", "1"])
    except SystemExit as ended:
        if from_start:
            clock.tick()
            Path("parts.json").write_text(json.dumps({"times": clock.times, "at": clock.last[0], "ppid": os.getppid()}))
        command._end(ended.code or 0)
        raise


def _instrument(clock: Clock, plan: Path) -> None:
    called = plan.parent.joinpath("jobs/scores.json").read_text()
    # As `runner.run` sets them before anything is imported that reads them.
    os.environ["OMP_NUM_THREADS"] = "1"
    gc.disable()  # as the runner does
    for part, modules in IMPORTS.items():
        with clock.part(part):
            for each in modules:
                importlib.import_module(each)
    gc.freeze()
    gc.enable()
    importlib.import_module("fairshrink.stages.runner")
    early = set(sys.modules)
    for part, module, name in PARTS:
        if part == SCORING and f'"{name}":' not in called:
            continue  # the job may load only what its key covers
        owner: Any = importlib.import_module(f"fairshrink.{module}")
        *outer, last = name.split(".")
        for each in outer:
            owner = getattr(owner, each)
        clock.timed(owner, last, part)
    import pandas

    from fairshrink.stages import as_planned, evaluate

    clock.timed(pandas.DataFrame, "to_parquet", "writing scores")
    clock.timed(evaluate, "_fill", "data and the metric's own work")
    # What is imported here and in a job later has to be looked at when the job's code is compared with its keys.
    ahead, of = set(sys.modules) - early, as_planned.of
    as_planned.of = lambda *given: replace(of(*given), loaded=frozenset(set(sys.modules) - ahead))
    clock.stack[0] = "the rest"


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        _inside(float(sys.argv[2]), sys.argv[3])
    else:
        main()
