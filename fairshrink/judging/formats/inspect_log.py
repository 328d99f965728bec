"""Logs of Inspect in JSON: ``inspect eval --log-format json``, or ``inspect log convert --to json`` of an ``.eval``.

The file has ``eval`` (task, model), ``status`` and ``samples``; a sample has ``id``, ``epoch``, ``input``, ``choices``,
``target``, ``metadata`` (the benchmark's own fields), ``output`` and ``scores``, by the name of the scorer, each with
``value`` and ``answer``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairshrink.errors import UserError
from fairshrink.judging.records import OWN, Log, Record, json_file, name_of, number, record_of, row_of, selected

NAME = "inspect"
LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
"""Inspect's values of correct, partly correct, incorrect and no answer."""


def fits(content: object) -> bool:
    """Whether the content of a JSON file is such a log."""
    return isinstance(content, dict) and isinstance(content.get("eval"), dict) and "status" in content


def read(path: Path, select: str | None) -> Log:
    """The samples of a log; UserError for a run that did not end, and for a sample that is not as it should be."""
    content = json_file(path)
    if content["status"] != "success":
        raise UserError(f"{path}: the run has the status '{content['status']}'; judge logs of runs that succeeded")
    samples = content.get("samples")
    if not isinstance(samples, list) or not samples:
        raise UserError(f"{path}: the log has no samples; write it with `--log-samples`")
    records = [
        record_of(lambda where, sample: _record(where, sample, select), f"{path}, sample {at}", each, NAME)
        for at, each in enumerate(samples, 1)
    ]
    return Log(path, NAME, str(content["eval"].get("task", "")), records).only_once()


def write(rows: Iterable[Mapping[str, Any]], task: str, model: str, path: Path) -> None:
    """A log whose samples carry each row of a metric's table in their metadata."""
    samples = [
        {
            "id": str(row["item"]),
            "epoch": 1,
            "input": "",
            "target": "",
            "metadata": {OWN: dict(row)},
            "scores": {},
        }
        for row in rows
    ]
    content = {"version": 2, "status": "success", "eval": {"task": task, "model": model}, "samples": samples}
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _record(where: str, sample: object, select: str | None) -> Record:
    if not isinstance(sample, dict) or "id" not in sample:
        raise UserError(f"{where}: no sample of Inspect, which has an 'id'")
    doc = sample.get("metadata") or {}
    if not isinstance(doc, dict):
        raise UserError(f"{where}: 'metadata' is no object")
    if OWN in doc:
        row = row_of(where, doc[OWN])
        return Record(str(row["item"]), where, doc, row=row)
    if sample.get("error"):
        raise UserError(
            f"{where}: the sample failed ({str(sample['error'])[:80]}); repeat the run (`inspect eval-retry`)"
        )
    if int(sample.get("epoch", 1)) != 1:
        raise UserError(f"{where}: epoch {sample['epoch']}: give the log of one epoch (`--epochs 1`)")
    scores = sample.get("scores") or {}
    scored = scores[selected(scores, select, "scorer", where)] if scores else {}
    answer = scored.get("answer")
    choices = tuple(str(each) for each in sample.get("choices") or ())
    fields = {"input": sample.get("input"), "target": sample.get("target"), **doc}
    value = _value(scored["value"], where) if "value" in scored else None
    return Record(
        name_of(sample["id"], "'id'", where),
        where,
        fields,
        choices,
        answer=None if answer is None else str(answer),
        value=value,
    )


def _value(value: object, where: str) -> float | None:
    if isinstance(value, dict | list):
        return None
    return LETTERS[value] if isinstance(value, str) and value in LETTERS else number(value, "the score", where)
