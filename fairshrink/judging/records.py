"""One item of a log, with the place where it was read, so that every error can name file and line."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairshrink.data.json_text import JsonError, parse
from fairshrink.data.labels import NUMBER
from fairshrink.errors import UserError, brief

OWN = "fairshrink"
"""The key under which logs written by `formats` carry the whole row of a metric's table of items."""
SETTINGS = "fairshrink_settings"
"""The column that says with which settings, other than the defaults, a table of items was made, as JSON."""
UNEXPECTED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What Python raises where a log holds other types than its format has."""
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
            found = parse(line)
        except JsonError as error:
            raise UserError(f"{where}: not a JSON object: {error}; {error.remedy}") from error
        if not isinstance(found, dict):
            raise UserError(f"{where}: a JSON {type(found).__name__}, not an object")
        yield where, found


def json_file(path: Path) -> Any:
    """The content of a JSON file. UserError names the line where it is none, or has a key twice."""
    try:
        return parse(read_text(path))
    except JsonError as error:
        raise UserError(f"{path}:{error.line}: {error}; {error.remedy}") from error


def record_of(make: Callable[[str, Any], Record], where: str, written: Any, form: str) -> Record:
    """What ``make`` makes of an item as it is written; UserError that names the place, for other types too."""
    try:
        return make(where, written)
    except UNEXPECTED as error:
        raise UserError(f"{where}: not as {form} writes it ({type(error).__name__}: {error})") from error


def row_of(where: str, row: Any) -> Mapping[str, Any]:
    """A row of a metric's table: an object of texts, finite numbers, true, false and null. UserError for others."""
    if not isinstance(row, dict):
        raise UserError(f"{where}: '{OWN}' is no object, which holds a row of a table; export again")
    for name, value in row.items():
        if isinstance(value, list | dict) or (isinstance(value, int | float) and not abs(value) < 2.0**63):
            raise UserError(f"{where}: '{name}' is {brief(value)}; it has to be a text, a finite number or null")
    name_of(row.get("item"), "the item", where)
    return row


def name_of(value: Any, what: str, where: str) -> str:
    """The name of an item: a text that is not blank, or a whole number. UserError for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise UserError(f"{where}: {what} is {brief(value)}; it has to be a text or a whole number")
    return str(value)


def number(value: Any, what: str, where: str) -> float:
    """A number that may be written as text, as some logs do; UserError for anything else, NaN and infinity too."""
    found = math.nan
    if not isinstance(value, bool) and (not isinstance(value, str) or NUMBER.fullmatch(value.strip())):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            found = float(value)
    if not math.isfinite(found):
        raise UserError(f"{where}: {what} is {brief(value)}; it has to be a finite number")
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
