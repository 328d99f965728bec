"""The per-item scores of a study in formats that other programs, and `judge`, read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fairshrink.analysis import results, results_file
from fairshrink.errors import UserError
from fairshrink.judging import given as giving
from fairshrink.judging import writing
from fairshrink.judging.given import Given
from fairshrink.judging.tables import Table, module
from fairshrink.planning import grid, studies
from fairshrink.store import places
from fairshrink.study.jobs import AggregateJob, CheckpointEntry, ScoreEntry
from fairshrink.study.study import Study


def export_items(study: Study | Path | str, folder: Path, form: str) -> list[Path]:
    """Write every score table of a study below ``folder``; returns the folders of the checkpoints. Raises UserError.

    ``<model>.<task>/<method and setting>/`` has the tables of all splits and a description of them.
    """
    loaded = study if isinstance(study, Study) else studies.load(study)
    job = grid.expand(loaded).tables.job
    assert isinstance(job, AggregateJob)
    if form not in writing.ENDINGS:
        raise UserError(f"there is no format '{form}'; one of {', '.join(writing.ENDINGS)}")
    absent = [each.path for each in job.scores if not Path(each.path).is_file()]
    if absent:
        raise UserError(
            f"{loaded.file}: {len(absent)} of {len(job.scores)} score tables are not here, such as {absent[0]}; run "
            "the study (`make`), or restore them (`dvc pull`)"
        )
    return write_job(job, folder, form)


def write_job(job: AggregateJob, folder: Path, form: str) -> list[Path]:
    """The same for what the aggregate stage gets."""
    places.require_folder(folder)
    about = {
        "name": job.study,
        "level": job.level,
        "margins": dict(job.margins),
        "validity": [asdict(each) for each in job.validity],
    }
    scores: dict[str, list[ScoreEntry]] = defaultdict(list)
    for each in job.scores:
        scores[each.checkpoint].append(each)
    cells: dict[tuple[str, ...], list[CheckpointEntry]] = defaultdict(list)
    for checkpoint in job.checkpoints:
        who = checkpoint.identity
        cells[f"{who.model}.{who.task}", " ".join(filter(None, [who.method, who.setting]))].append(checkpoint)
    made = []
    for (place, name), splits in sorted(cells.items()):
        target = folder / _file_name(place) / _file_name(name)
        if target.exists():
            raise UserError(f"{target} exists already; name a new folder")
        target.mkdir(parents=True)
        _write_cell(target, splits, scores, about, form)
        made.append(target)
    return made


def _write_cell(
    target: Path,
    splits: list[CheckpointEntry],
    scores: Mapping[str, list[ScoreEntry]],
    about: Mapping[str, Any],
    form: str,
) -> None:
    tables: dict[int, dict[str, Table]] = {}
    files: dict[int, dict[str, str]] = {}
    for each in splits:
        split = each.identity.split
        tables[split], files[split] = {}, {}
        for score in scores[each.key]:
            items = results_file.read_items(Path(score.path), module(score.metric).CLUSTERS)
            table = Table(score.entry, score.metric, items, {}, dataset=score.dataset, settings=score.settings)
            name = f"split{split}-{_file_name(table.label)}{writing.ENDINGS[form]}"
            writing.write(items, score.metric, score.settings, each.name, target / name, form)
            tables[split][table.label], files[split][table.label] = table, name
    ledgers = {each.identity.split: results.ledger(each) for each in splits}
    seeds = {each.identity.split: each.identity.seed for each in splits}
    giving.write_manifest(target, Given(target.name, splits[0].identity, tables, ledgers, seeds, about), files)


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.=,+-]+", "-", text)
