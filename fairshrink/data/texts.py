"""Texts of a table: which values are none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from fairshrink.data.faults import Fault, places
from fairshrink.data.rows import Number, kind_of

INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Mn", "Me"})
"""Unicode's categories of spaces, controls, formats and marks on other characters: nothing that a tokenizer keeps."""


def text_faults(values: Sequence[object], where: Sequence[int], unit: str, place: str, role: str) -> list[Fault]:
    """One fault for each kind of value that is no text; ``where`` are their places, ``place`` the file and column."""
    wrong: dict[str, list[int]] = {}
    for value, number in zip(values, where, strict=True):
        problem = _problem(value)
        if problem:
            wrong.setdefault(problem, []).append(number)
    return [
        Fault(
            f"columns.{role}",
            f"{place}, {places(unit, found)}: the {role} is {problem}",
            "fill the cell or remove the row" if problem == "empty" else "write a text, or name another column",
        )
        for problem, found in wrong.items()
    ]


def _problem(value: object) -> str:
    """Why a value is no text, or ""; a number is one where it is written in one way only."""
    if not isinstance(value, str):
        whole = isinstance(value, int) and not isinstance(value, bool)
        return "" if whole else _general(value)
    if isinstance(value, Number):
        return ""
    if not re.search(r"\w", value) and all(unicodedata.category(each) in INVISIBLE for each in value):
        return "empty"
    if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        return "half a character (a lone surrogate)"
    return ""


def _general(value: object) -> str:
    """One wording for all values of a kind, so that they are one fault."""
    if isinstance(value, bool):
        return "true or false"
    return "a number with decimals" if isinstance(value, float) else kind_of(value)
