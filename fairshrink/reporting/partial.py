"""Tables of what exists while something is missing: with the holes named, and never as the study's answer.

A cell is an average over splits, so it is shown only if all of its splits have been scored. A split in which a baseline
has no scores is left out for all that is compared with it.
"""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from fairshrink.analysis.scores import Metrics
from fairshrink.contracts import BASELINE, BIAS_KINDS, CONTROLS
from fairshrink.reporting import csv_files
from fairshrink.reporting.escaping import csv_cell
from fairshrink.reporting.markup import Document, Grid, markdown
from fairshrink.reporting.outputs import TABLES_FOLDER
from fairshrink.reporting.write import aggregate
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, ScoreEntry

COLUMNS = ("model", "task", "split", "method", "setting", "metric", "why")
PLACE = ("model", "task", "metric", "method", "setting")


@dataclass(frozen=True)
class Hole:
    """Scores that a partial answer lacks. ``why``: "missing: failed …", "missing: …" or "left out: …"."""

    model: str
    task: str
    split: int
    method: str
    setting: str
    metric: str
    why: str


@dataclass(frozen=True)
class Partial:
    """The part of a study's answer that can be given, what it lacks, and the job of the whole answer."""

    job: AggregateJob
    holes: tuple[Hole, ...]
    whole: AggregateJob


def of(job: AggregateJob, why_missing: Callable[[ScoreEntry], str | None]) -> Partial:
    """What can be given; ``why_missing`` says it of scores that do not exist, None of those that do."""
    checkpoints = {each.key: each for each in job.checkpoints}
    families: dict[tuple[str, ...], list[ScoreEntry]] = defaultdict(list)
    for score in job.scores:
        who = checkpoints[score.checkpoint].identity
        families[score.entry, score.dataset, who.model, who.task].append(score)
    left_out: dict[str, str] = {}
    for scores in families.values():
        left_out |= _left_out(scores, why_missing, checkpoints)
    used = tuple(score for score in job.scores if score.path not in left_out)
    records = {score.checkpoint: score.record for score in used}
    lost = {score.record for score in job.scores if score.path in left_out}
    listed = tuple(
        replace(each, record=records[each.key]) if each.record in lost else each
        for each in job.checkpoints
        if each.key in records
    )
    holes = [
        _hole(score, checkpoints[score.checkpoint], left_out[score.path])
        for score in job.scores
        if score.path in left_out
    ]
    holes.sort(key=lambda hole: (hole.model, hole.task, hole.metric, hole.method, hole.setting, hole.split))
    return Partial(replace(job, checkpoints=listed, scores=used, files=()), tuple(holes), job)


def _left_out(
    scores: Sequence[ScoreEntry],
    why_missing: Callable[[ScoreEntry], str | None],
    checkpoints: Mapping[str, CheckpointEntry],
) -> dict[str, str]:
    """Which scores of one metric, model and task cannot be used, by path, and why."""
    found = {score.path: f"missing: {why}" for score in scores if (why := why_missing(score)) is not None}
    scored = {score.checkpoint for score in scores if score.path not in found}
    cells: dict[tuple[str, str], list[ScoreEntry]] = defaultdict(list)
    for score in scores:
        checkpoint = checkpoints[score.checkpoint]
        if checkpoint.baseline_key not in scored:
            found.setdefault(score.path, "left out: its baseline has no scores")
        else:
            cells[checkpoint.identity.method, checkpoint.identity.setting].append(score)
    for cell in cells.values():
        if any(score.path in found for score in cell):
            for score in cell:
                found.setdefault(score.path, "left out: another split of it is missing")
    return found


def _hole(score: ScoreEntry, checkpoint: CheckpointEntry, why: str) -> Hole:
    who = checkpoint.identity
    return Hole(who.model, who.task, who.split, who.method, who.setting, score.entry, why)


def write(partial: Partial, metrics: Metrics, folder: Path, log: Callable[[str], None]) -> None:
    """Write tables, figures and the page into ``folder``, in place of what it had; every readable table names holes.

    ``tables/missing.csv`` and ``missing.md`` list them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / TABLES_FOLDER).mkdir(parents=True)
    listed = pd.DataFrame([asdict(each) for each in partial.holes], columns=list(COLUMNS))
    csv_files.write(listed, folder / TABLES_FOLDER / "missing.csv")
    rows = tuple(tuple(str(value) for value in row) for row in listed.itertuples(index=False))
    note = "Whatever rests on these scores is left out of the tables: verdicts may change when they are there."
    shown = Document("missing", "Missing scores", (Grid("", COLUMNS, rows, 0),), note)
    (folder / TABLES_FOLDER / "missing.md").write_text(markdown(shown), encoding="utf-8")
    if not partial.job.scores:
        return
    aggregate(partial.job, metrics, folder, log, [asdict(each) for each in partial.holes])
    _name_in_verdicts(partial, metrics, folder / TABLES_FOLDER / "verdicts.csv")
    for table in sorted((folder / TABLES_FOLDER).glob("*.md")):
        if table.name != "missing.md":
            heading, _, rest = table.read_text(encoding="utf-8").partition("\n")
            line = f"**Partial: {len(partial.holes)} scores are missing ([missing.md](missing.md)).**"
            table.write_text(f"{heading}\n\n{line}\n{rest}", encoding="utf-8")


def _name_in_verdicts(partial: Partial, metrics: Metrics, path: Path) -> None:
    """A row for each compression that has no verdict because scores are missing, with the reason as its verdict."""
    with path.open(encoding="utf-8", newline="") as stream:
        table = csv.DictReader(stream)
        columns = list(table.fieldnames or ())
        there = {tuple(str(row[name]) for name in PLACE) for row in table}
    bias = {score.entry for score in partial.whole.scores if metrics[score.metric].KIND in BIAS_KINDS}
    families = {each.identity.method: each.identity.method_family for each in partial.whole.checkpoints}
    named: dict[tuple[str, str, str, str, str], str] = {}
    for hole in partial.holes:
        place = (hole.model, hole.task, hole.metric, hole.method, hole.setting)
        compression = hole.method != BASELINE and families[hole.method] != CONTROLS
        if hole.metric in bias and compression and place not in there:
            named[place] = hole.why if hole.why.startswith("missing") else named.get(place, hole.why)
    with path.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        for place, why in named.items():
            row = dict(zip(PLACE, place, strict=True)) | {"verdict": why}
            writer.writerow({name: csv_cell(value) for name, value in row.items()})
