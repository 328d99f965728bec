"""The verdicts: what a study may say about one cell, in the order in which the rules are tried."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

Verdict = Literal[
    "not measurable",
    "more biased",
    "less biased",
    "changed, as undirected damage does",
    "changed, damage not controlled",
    "unchanged",
    "only more random",
    "no change beyond lost signal",
    "cannot resolve",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

NOT_MEASURABLE: Verdict = "not measurable"
MORE_BIASED: Verdict = "more biased"
LESS_BIASED: Verdict = "less biased"
AS_DAMAGE: Verdict = "changed, as undirected damage does"
UNCONTROLLED: Verdict = "changed, damage not controlled"
UNCHANGED: Verdict = "unchanged"
ONLY_RANDOM: Verdict = "only more random"
NO_CHANGE: Verdict = "no change beyond lost signal"
UNRESOLVED: Verdict = "cannot resolve"

CHANGED = (MORE_BIASED, LESS_BIASED)
"""A change that neither lost signal nor undirected damage explains."""

EXIT_STATUS: dict[Verdict, int] = {
    MORE_BIASED: 10,
    LESS_BIASED: 10,
    AS_DAMAGE: 11,
    UNCONTROLLED: 11,
    UNRESOLVED: 12,
    NOT_MEASURABLE: 13,
}
"""What a program is told of several verdicts: the lowest of these that occurs, 0 if none does."""

MEANING: dict[Verdict, str] = {
    NOT_MEASURABLE: "the model, or the metric on it, has lost too much to say anything about bias",
    MORE_BIASED: "farther from unbiased than lost signal explains and than undirected damage of this size moves it",
    LESS_BIASED: "nearer to unbiased than lost signal explains and than undirected damage of this size moves it",
    AS_DAMAGE: "more than lost signal explains, but undirected damage of this size moves the metric as far",
    UNCONTROLLED: "more than lost signal explains; no control of this damage tells whether the method did it",
    UNCHANGED: "change and residual are inside the margin, with 90% intervals",
    ONLY_RANDOM: "the metric moved, and lost signal or (without a neutral contrast) undirected damage of this size "
    "explains it: the residual is inside the margin",
    NO_CHANGE: "the residual is inside the margin, and no change was detected",
    UNRESOLVED: "the data can neither show nor exclude a change as large as the margin",
}


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """The status of several verdicts, as `EXIT_STATUS` says."""
    return min((EXIT_STATUS[each] for each in verdicts if each in EXIT_STATUS), default=0)


def slug(verdict: str) -> str:
    """A verdict as a key: lower case, words joined by ``_``."""
    return re.sub(r"\W+", "_", verdict).strip("_")
