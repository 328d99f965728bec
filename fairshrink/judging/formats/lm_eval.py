"""Samples of lm-evaluation-harness: what ``--log_samples`` writes, ``samples_<task>_<date>.jsonl``.

A line has ``doc_id`` (position in the data set), ``doc`` (its fields), ``arguments`` (the requests), ``resps`` and
``filtered_resps`` (the answer to each request: a log-likelihood and whether it is the greedy continuation, or a text),
``filter`` where there are several, and the task's own scores. Since version 0.4.3 numbers are written as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairshrink.errors import UserError
from fairshrink.judging.records import OWN, Log, Record, json_lines, name_of, number, record_of, row_of, selected

NAME = "lm-eval"
_FILE = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d{2}-\d{2}T[^_]*")


def fits(line: Mapping[str, Any]) -> bool:
    """Whether a JSON object is such a line."""
    return "doc_id" in line and ("filtered_resps" in line or "resps" in line)


def read(path: Path, select: str | None) -> Log:
    """The items of a file; UserError names the line that is not as it should be."""
    lines = list(json_lines(path))
    filters = {str(line["filter"]): None for _, line in lines if "filter" in line}
    without = [where for where, line in lines if "filter" not in line]
    if filters and without:
        raise UserError(f"{without[0]}: no 'filter', which other lines have; give the log of one run")
    kept = selected(filters, select, "filter", str(path)) if filters else None
    chosen = [(where, line) for where, line in lines if kept is None or str(line["filter"]) == kept]
    records = [record_of(_record, where, line, NAME) for where, line in chosen]
    found = _FILE.fullmatch(path.stem)
    return Log(path, NAME, found["task"] if found else "", records).only_once()


def write(rows: Iterable[Mapping[str, Any]], requests: Sequence[str], path: Path) -> None:
    """One line for each row of a metric's table; ``requests`` are its columns that are scores of a choice."""
    with path.open("w", encoding="utf-8") as file:
        for position, row in enumerate(rows):
            answers = [[str(row[name]), "False"] for name in requests]
            line = {
                "doc_id": position,
                "doc": {OWN: dict(row)},
                "target": "",
                "arguments": {f"gen_args_{i}": {"arg_0": "", "arg_1": name} for i, name in enumerate(requests)},
                "resps": [[each] for each in answers],
                "filtered_resps": answers,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _record(where: str, line: Mapping[str, Any]) -> Record:
    for name in ("doc_id", "doc"):
        if name not in line:
            raise UserError(f"{where}: no '{name}', which every line of lm-evaluation-harness has")
    doc = line["doc"]
    if not isinstance(doc, dict):
        raise UserError(f"{where}: 'doc' is no object; log the samples with `--log_samples`")
    if OWN in doc:
        row = row_of(where, doc[OWN])
        return Record(str(row["item"]), where, doc, row=row)
    name = name_of(line["doc_id"], "'doc_id'", where)
    answers = line.get("filtered_resps", line.get("resps"))
    if not isinstance(answers, list) or not answers:
        raise UserError(f"{where}: no answers in 'filtered_resps'")
    if all(_is_likelihood(each) for each in answers):
        scores = tuple(number(each[0], f"log-likelihood {i + 1}", where) for i, each in enumerate(answers))
        return Record(name, where, doc, _continuations(where, line.get("arguments")), scores)
    if len(answers) == 1 and isinstance(answers[0], str):
        return Record(name, where, doc, answer=answers[0])
    raise UserError(f"{where}: 'filtered_resps' holds neither one log-likelihood for each choice nor one text")


def _is_likelihood(answer: object) -> bool:
    return isinstance(answer, list) and len(answer) == 2 and str(answer[1]) in ("True", "False")


def _continuations(where: str, arguments: object) -> tuple[str, ...]:
    """The texts whose likelihood was asked for, in order; () where the log does not have them."""
    if arguments in (None, {}, []):
        return ()
    asked: list[object] = []
    if isinstance(arguments, dict):
        asked = [arguments[f"gen_args_{i}"]["arg_1"] for i in range(len(arguments))]
    elif isinstance(arguments, list):
        asked = [each[1] if isinstance(each, list) and len(each) == 2 else None for each in arguments]
    if not asked or not all(isinstance(each, str) for each in asked):
        raise UserError(f"{where}: 'arguments' do not have the text of each choice; leave them out or as they were")
    return tuple(map(str, asked))
