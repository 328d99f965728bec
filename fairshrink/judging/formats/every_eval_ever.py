"""Instance-level results in the schema of Every Eval Ever (0.2): one JSON object a line.

An object has ``sample_id``, ``evaluation_name``, ``model_id``, ``input`` (``raw``, ``reference``, ``choices``),
``output``, ``answer_attribution`` (the value that was extracted from the output), ``evaluation`` (``score``,
``is_correct``) and ``metadata``, whose values are text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fairshrink.data.json_text import JsonError, parse
from fairshrink.errors import UserError
from fairshrink.judging.records import OWN, Log, Record, json_lines, name_of, number, record_of, row_of, selected

NAME = "every-eval-ever"
VERSION = "instance_level_eval_0.2.1"


def fits(line: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a line."""
    return "sample_id" in line and "evaluation_name" in line


def is_aggregate(content: object) -> bool:
    """Whether a JSON file is the aggregate that stands beside the instances."""
    return isinstance(content, dict) and "evaluation_results" in content


def read(path: Path, select: str | None) -> Log:
    """The instances of a file; UserError names the line that is not as it should be."""
    lines = list(json_lines(path))
    for where, line in lines:
        if not isinstance(line.get("evaluation_name"), str):
            raise UserError(f"{where}: no text 'evaluation_name', which every instance has")
    names = {line["evaluation_name"]: None for _, line in lines}
    task = selected(names, select, "evaluation", str(path))
    chosen = [(where, line) for where, line in lines if line["evaluation_name"] == task]
    records = [record_of(_record, where, line, NAME) for where, line in chosen]
    return Log(path, NAME, task, records).only_once()


def write(rows: Iterable[Mapping[str, Any]], values: Iterable[float | None], task: str, model: str, path: Path) -> None:
    """One instance for each row of a metric's table, which is kept whole in ``metadata``; ``values`` are its scores.

    The schema requires a score: an item without one has the error that it was not scored, and 0.
    """
    with path.open("w", encoding="utf-8") as file:
        for row, value in zip(rows, values, strict=True):
            line: dict[str, Any] = {
                "schema_version": VERSION,
                "evaluation_id": f"{task}/{model}",
                "model_id": model,
                "evaluation_name": task,
                "sample_id": str(row["item"]),
                "interaction_type": "single_turn",
                "input": {"raw": "", "reference": []},
                "output": {"raw": []},
                "answer_attribution": [],
                "evaluation": {"score": value or 0.0, "is_correct": False},
                "error": "not scored" if value is None else None,
                "metadata": {OWN: json.dumps(dict(row), ensure_ascii=False)},
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _row(where: str, text: object) -> Mapping[str, Any]:
    try:
        row = parse(text) if isinstance(text, str) else text
    except JsonError as error:
        raise UserError(f"{where}: '{OWN}' in its metadata: {error}; {error.remedy}") from error
    return row_of(where, row)


def _record(where: str, line: Mapping[str, Any]) -> Record:
    if "sample_id" not in line:
        raise UserError(f"{where}: no 'sample_id', which every instance has")
    metadata, given = line.get("metadata") or {}, line.get("input") or {}
    if OWN in metadata:
        row = _row(where, metadata[OWN])
        return Record(str(row["item"]), where, metadata, row=row)
    if line.get("error"):
        raise UserError(f"{where}: the instance failed ({str(line['error'])[:80]}); repeat the run")
    value = line.get("evaluation", {}).get("score")
    reference = given.get("reference")
    if isinstance(reference, list) and len(reference) == 1:
        (reference,) = reference
    doc = {"input": given.get("raw"), "reference": reference, **metadata}
    return Record(
        name_of(line["sample_id"], "'sample_id'", where),
        where,
        doc,
        tuple(map(str, given.get("choices") or ())),
        answer=_answer(line),
        value=None if value is None else number(value, "evaluation.score", where),
    )


def _answer(line: Mapping[str, Any]) -> str | None:
    """The value that was extracted last; where there is none, as of logs converted from Inspect's, the whole output."""
    found = [each for each in line.get("answer_attribution") or () if each.get("is_terminal")]
    if found:
        return str(found[-1]["extracted_value"])
    written = (line.get("output") or {}).get("raw")
    return written[0] if isinstance(written, list) and len(written) == 1 and isinstance(written[0], str) else None
