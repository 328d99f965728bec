"""The analysis of a study on checkpoints that are given as tables: the same rows, the same verdicts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairshrink.analysis.study import Analysis, analyze
from fairshrink.analysis.verdict_kinds import EXIT_STATUS, ONLY_RANDOM, Verdict
from fairshrink.contracts import BASELINE, BIAS_KINDS
from fairshrink.errors import UserError
from fairshrink.judging.given import Given, as_baseline, as_control
from fairshrink.judging.matching import matched
from fairshrink.judging.tables import Table, module
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, ScoreEntry, ValidityEntry

LEVEL = 0.95
STATUS: dict[Verdict, int] = {**EXIT_STATUS, ONLY_RANDOM: 14}
"""Exit status of each verdict that has one of its own; 0: no change within the margin."""


@dataclass(frozen=True)
class Family:
    """A baseline and what is compared with it."""

    baseline: Given
    compressed: tuple[Given, ...]
    controls: tuple[Given, ...] = ()


def family(baseline: Given, compressed: Sequence[Given], controls: Sequence[Given]) -> Family:
    """The family of checkpoints in these roles. UserError if two have the same name."""
    everyone = [baseline, *compressed, *controls]
    names = [each.name for each in everyone]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"two logs are called {', '.join(twice)}; give each file or folder a name of its own")
    of = baseline.identity
    placed = [
        replace(each, identity=replace(each.identity, model=of.model, task=of.task, family=of.family))
        for each in everyone
    ]
    first, rest = as_baseline(placed[0]), placed[1:]
    changed = [
        replace(each, identity=replace(each.identity, method=each.name)) if each.identity.method == BASELINE else each
        for each in rest[: len(compressed)]
    ]
    return Family(first, tuple(changed), tuple(as_control(each) for each in rest[len(compressed) :]))


def families_of(study: Sequence[Given]) -> list[Family]:
    """The families of an exported study. UserError where a baseline is missing."""
    places = sorted({(each.identity.model, each.identity.task) for each in study})
    found = []
    for model, task in places:
        mine = [each for each in study if (each.identity.model, each.identity.task) == (model, task)]
        baselines = [each for each in mine if each.identity.method == BASELINE]
        if len(baselines) != 1:
            raise UserError(f"{model}, {task}: there has to be one baseline, and there are {len(baselines)}")
        found.append(Family(baselines[0], tuple(each for each in mine if each is not baselines[0])))
    return found


def judge(
    families: Sequence[Family],
    *,
    level: float | None = None,
    margins: Mapping[str, float] | None = None,
    shared: bool = False,
) -> tuple[Analysis, list[str]]:
    """The analysis of all families together, and what was left out, in sentences.

    P-values are adjusted over all that is given. ``level`` and ``margins``, by the metric's entry, replace those of an
    exported study, and these the metrics' own. UserError where items do not match or a margin is missing.
    """
    studies = [each.study for one in families for each in (one.baseline, *one.compressed) if each.study]
    stated = dict(studies[0]) if studies else {}
    chosen = {**stated.get("margins", {}), **(margins or {})}
    notes: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fairshrink-judge-") as folder:
        files = _Files(Path(folder))
        used: dict[str, str] = {}
        for one in families:
            baseline, others, left_out = matched(one.baseline, [*one.compressed, *one.controls], shared=shared)
            notes += left_out
            keys = {split: files.add(baseline, split, None) for split in baseline.tables}
            for each in others:
                for split in each.tables:
                    files.add(each, split, keys.get(split))
            used |= {table.entry: table.metric for tables in baseline.tables.values() for table in tables.values()}
        _check_margins(used, chosen)
        job = AggregateJob(
            study=str(stated.get("name", "given")),
            level=level if level is not None else float(stated.get("level", LEVEL)),
            margins=chosen,
            validity=tuple(ValidityEntry(**each) for each in stated.get("validity", ())),
            checkpoints=tuple(files.checkpoints),
            scores=tuple(files.scores),
        )
        return analyze(job, {name: module(name) for name in used.values()}), notes


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """The lowest status of these verdicts, 0 if none has one."""
    return min((STATUS[each] for each in verdicts if each in STATUS), default=0)


def _check_margins(used: Mapping[str, str], margins: Mapping[str, float]) -> None:
    for entry, metric in used.items():
        of_bias = module(metric).KIND in BIAS_KINDS
        if of_bias and getattr(module(metric), "MARGIN", None) is None and entry not in margins:
            raise UserError(
                f"{entry}: the unit of these scores is not known, so the smallest change that matters has to be "
                f"stated: `--margin {entry}=NUMBER`"
            )
    for entry in margins:
        if entry not in used:
            raise UserError(f"margin of {entry}: there is no such metric here; there is {', '.join(sorted(used))}")


class _Files:
    """Tables and records as the analysis reads them: it is the same code that reads those of a study."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints: list[CheckpointEntry] = []
        self.scores: list[ScoreEntry] = []

    def add(self, given: Given, split: int, baseline: str | None) -> str:
        """Add one checkpoint; returns its key. ``baseline``: the key of its baseline, None if it is one."""
        key = f"{len(self.checkpoints):06d}"
        record = self.folder / f"{key}.json"
        record.write_text(json.dumps({"ledger": dict(given.ledgers.get(split, {}))}), encoding="utf-8")
        who = replace(given.identity, split=split, seed=given.seeds.get(split, 0))
        self.checkpoints.append(CheckpointEntry(key, given.name, "", str(record), baseline or key, who))
        for table in given.tables[split].values():
            self.scores.append(self._score(key, str(record), table))
        return key

    def _score(self, key: str, record: str, table: Table) -> ScoreEntry:
        path = self.folder / f"{key}-{len(self.scores):06d}.parquet"
        table.items.to_parquet(path, index=False)
        settings: Mapping[str, Any] = table.settings
        return ScoreEntry(str(path), record, key, key, table.entry, table.metric, settings, table.dataset)
