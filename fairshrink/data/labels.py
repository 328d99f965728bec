"""Labels of a table, by what they say: names of classes, or numbers; never by position."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal

import yaml

from fairshrink.data.faults import Fault, places
from fairshrink.data.rows import Number, kind_of
from fairshrink.data.table import TableFormat

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
EXACT = 2**53


def says(value: object) -> tuple[str, ...]:
    """How a value of a file may be written in a study, the closest first; a text only as it is, null as ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ("",)
    if isinstance(value, bool):
        return (str(value).lower(), str(value))
    if isinstance(value, Number | float | Decimal):
        number = float(value)
        whole = math.isfinite(number) and number.is_integer() and abs(number) < EXACT
        return (str(value), str(int(number))) if whole else (str(value),)
    if isinstance(value, str | int):
        return (str(value),)
    return ()


def class_says(value: object, names: Sequence[str]) -> tuple[str, ...]:
    """The same of a value in a column of named classes: its name, or what is no number of one, such as -1."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return (names[value],)
    return says(value)


def name_of(value: object, names: dict[str, str]) -> str | None:
    """The name of the label that a value says, or None."""
    return next((names[each] for each in says(value) if each in names), None)


def number_of(value: object) -> float | None:
    """The finite number that a value is, or None."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    if isinstance(value, str) and not NUMBER.fullmatch(value.strip()):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def unnamed(values: Sequence[object], where: Sequence[int], unit: str, place: str, table: TableFormat) -> Fault:
    """What is wrong with labels that have no name; ``where`` are their places, ``place`` the file and column."""
    known, listed = table.names_by_label, ", ".join(table.names_by_label)
    written = list(dict.fromkeys(_shown(value) for value in values))
    shown = ", ".join(f"'{each}'" for each in written[:5]) + (", …" if len(written) > 5 else "")
    reason = (
        f"{place}, {places(unit, where)}: {shown} {'are' if len(written) > 1 else 'is'} none of the labels {listed}"
    )
    names = table.label_names or []
    alike = {each.strip().casefold(): name for each, name in known.items()}
    nearly = {each: alike[each.strip().casefold()] for each in written if each.strip().casefold() in alike}
    if nearly:
        whole = nearly | {each: name for each, name in known.items() if name not in nearly.values()}
        ordered = dict(sorted(whole.items(), key=lambda each: names.index(each[1])))
        return Fault("labels", f"{reason} (another case or spacing)", f"map what the file says: {_map(ordered)}")
    positions = set(map(str, range(len(names))))
    if not isinstance(table.labels, dict) and all(positions & set(says(value)) for value in values):
        remedy = f"say which number is which label: {_map(dict(zip(range(len(names)), names, strict=True)))}"
        return Fault("labels", reason, remedy)
    hint = ""
    if {"true", "false"} & set(known):
        hint = "; YAML reads yes, no, on, off and True without quotes as true or false: put quotes around labels"
    dropped = _flow([*table.drop_labels, *written[:5]])
    return Fault(
        "labels", reason, f"name or map them under `labels`, or leave them out, `drop_labels: {dropped}`{hint}"
    )


def not_numbers(values: Sequence[object], where: Sequence[int], unit: str, place: str) -> Fault:
    """What is wrong with labels that are no numbers."""
    written = list(dict.fromkeys(_shown(value) for value in values))
    shown = ", ".join(f"'{each}'" for each in written[:5]) + (", …" if len(written) > 5 else "")
    reason = f"{place}, {places(unit, where)}: {shown} {'are no numbers' if len(written) > 1 else 'is not a number'}"
    if all("," in each and NUMBER.fullmatch(each.strip().replace(",", ".", 1)) for each in written):
        return Fault("columns.label", reason, "write a decimal point instead of the comma")
    remedy = "fix the rows, leave them out with `drop_labels`, or for named classes give `labels: [name, …]`"
    return Fault("columns.label", reason, remedy)


def _shown(value: object) -> str:
    said = says(value)
    return said[0] if said else kind_of(value)


def _map(names: dict) -> str:
    return f"`labels: {_flow(names)}`"


def _flow(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False).strip()
