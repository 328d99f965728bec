"""Items that are scored, or skipped with a reason: nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

P = TypeVar("P")
R = TypeVar("R")

NO_NUMBERS = "the model gives no numbers"


@dataclass(frozen=True)
class Skipped:
    """An item that cannot be scored, and why."""

    reason: str


def score_or_skip(prepared: Sequence[P | Skipped], score: Callable[[list[P]], Sequence[R]]) -> list[R | Skipped]:
    """One result per item, in order: ``score`` gets all that can be scored in one call, the others stay skipped."""
    scored = iter(score([each for each in prepared if not isinstance(each, Skipped)]))
    return [each if isinstance(each, Skipped) else next(scored) for each in prepared]


def reasons(outcomes: Sequence[object]) -> list[str]:
    """Why each item was skipped; "" for those that were scored."""
    return [each.reason if isinstance(each, Skipped) else "" for each in outcomes]
