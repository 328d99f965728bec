"""Items that are scored, or skipped with a reason: nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fairshrink.data.faults import SHOWN
from fairshrink.log import log

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


def tell_skipped(metric: str, places: Sequence[str], outcomes: Sequence[object]) -> None:
    """One line of the log for each reason why items are skipped, with where these are, such as file and line."""
    skipped: dict[str, list[str]] = {}
    for place, each in zip(places, outcomes, strict=True):
        if isinstance(each, Skipped):
            skipped.setdefault(each.reason, []).append(place)
    for reason, where in skipped.items():
        more = f"; and {len(where) - SHOWN} more" if len(where) > SHOWN else ""
        log(f"{metric}: {len(where)} of {len(places)} items skipped, {reason}: {'; '.join(where[:SHOWN])}{more}")


def reasons(outcomes: Sequence[object]) -> list[str]:
    """Why each item was skipped; "" for those that were scored."""
    return [each.reason if isinstance(each, Skipped) else "" for each in outcomes]
