"""Checkpoints of two names that are one: in tables, where rows are told apart by key, one of them would be lost."""

from __future__ import annotations

from collections.abc import Iterable

from fairshrink.study.jobs import Identity
from fairshrink.study.mistakes import Mistake, StudyError


def check(file: str, checkpoints: Iterable[tuple[str, Identity]]) -> None:
    """StudyError where two models or two trained tasks are the same but for their names.

    ``checkpoints``: the key of each and what it is called in tables.
    """
    first: dict[str, Identity] = {}
    found: dict[str, Mistake] = {}
    for key, identity in checkpoints:
        other = first.setdefault(key, identity)
        if other == identity:
            continue
        section, name, same = (
            ("models", identity.model, other.model)
            if identity.model != other.model
            else ("tasks", identity.task, other.task)
        )
        reason = f"it is the same as '{same}' but for its name: their checkpoints would be one, and a row be lost"
        found.setdefault(f"{section}.{name}", Mistake(f"{section}.{name}", reason, f"only one of {name} and {same}"))
    if found:
        raise StudyError(file, list(found.values()))
