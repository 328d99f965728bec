"""One item of a log, with the place where it was read, so that every error can name file and line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairshrink.errors import UserError

OWN = "fairshrink"
"""The key under which logs written by `formats` carry the whole row of a metric's table of items."""
_MISSING = object()


@dataclass(frozen=True)
class Record:
    """One item as a log has it.

    ``doc``: the benchmark's own fields. ``scores``: the log-likelihood of each of ``choices``, in the order in which
    the model was asked, where the log has them. ``answer``: the text that was taken as the answer. ``value``: the
    log's own score of the item. ``row``: all columns of a metric's table of items, in logs written here.
    """

    item: str
    where: str
    doc: Mapping[str, Any]
    choices: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    answer: str | None = None
    value: float | None = None
    row: Mapping[str, Any] | None = None

    def need(self, name: str) -> Any:
        """A field of the benchmark; UserError that names the place if the log does not carry it."""
        found = self.doc.get(name, _MISSING)
        if found is _MISSING or found is None:
            there = ", ".join(sorted(map(str, self.doc))) or "nothing"
            raise UserError(f"{self.where}: the item has no field '{name}'; it has {there}")
        return found

    def text(self, name: str) -> str:
        """A field that has to be text and not empty."""
        found = self.need(name)
        if not isinstance(found, str) or not found.strip():
            raise UserError(f"{self.where}: '{name}' is {found!r}; it has to be text")
        return found


@dataclass(frozen=True)
class Log:
    """The records of one file. ``task``: what the file says that it is about, "" if it does not."""

    path: Path
    format: str
    task: str
    records: Sequence[Record]
    about: Mapping[str, Any] = field(default_factory=dict)

    def only_once(self) -> Log:
        """The log itself; UserError if an item occurs twice, with both places."""
        seen: dict[str, str] = {}
        for each in self.records:
            if each.item in seen:
                raise UserError(
                    f"{each.where}: item {each.item!r} occurs twice, first at {seen[each.item]}: give the log of one "
                    "run, with one repeat, one epoch and one filter (`--select` chooses among several)"
                )
            seen[each.item] = each.where
        if not self.records:
            raise UserError(f"{self.path}: the log has no items")
        return self


def read_text(path: Path) -> str:
    """The text of a file; UserError if it cannot be read, with the line where it is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path") from error


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """``path:line`` and the object of each line; empty lines are allowed. UserError for a line that is none."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            found = json.loads(line)
        except ValueError as error:
            raise UserError(f"{where}: not a JSON object ({error}); is the line cut short?") from error
        if not isinstance(found, dict):
            raise UserError(f"{where}: a JSON {type(found).__name__}, not an object")
        yield where, found


def json_file(path: Path) -> Any:
    """The content of a JSON file. UserError names the line where it ends to be JSON."""
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: not JSON ({error.msg}); is the file cut short?") from error


def number(value: Any, what: str, where: str) -> float:
    """A number that may be written as text, as some logs do; UserError for anything else, NaN and infinity too."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"{where}: {what} is {value!r}; it has to be a finite number")
    return found


def selected(values: Mapping[str, Any], wanted: str | None, what: str, where: str) -> str:
    """The name to use where a log has several of a thing; UserError that lists them if none was chosen."""
    if wanted is None and len(values) == 1:
        return next(iter(values))
    if wanted in values:
        return str(wanted)
    listed = ", ".join(sorted(values)) or "none"
    problem = f"there is no {what} '{wanted}'" if wanted is not None else f"there are several: {what}s {listed}"
    raise UserError(f"{where}: {problem}; choose with `--select` one of {listed}")
