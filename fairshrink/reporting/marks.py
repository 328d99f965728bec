"""The marks of verdicts and the arrows of metrics, the same in every table."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.contracts import BIAS_KINDS

MARKS: dict[str, str] = {
    kinds.NOT_MEASURABLE: "†",
    kinds.MORE_BIASED: "*+",
    kinds.LESS_BIASED: "*−",
    kinds.AS_DAMAGE: "‡",
    kinds.UNCONTROLLED: "§",
    kinds.UNCHANGED: "=",
    kinds.ONLY_RANDOM: "~",
    kinds.NO_CHANGE: "≈",
    kinds.UNRESOLVED: "?",
}
UP, DOWN, BOTH = "↑", "↓", "↕"


def legend(verdicts: Iterable[str | None]) -> str:
    """A line that explains the marks of the verdicts that occur, in the order of the rules."""
    there = {each for each in verdicts if isinstance(each, str)}
    parts = [f"{MARKS[each]} {each}: {kinds.MEANING[each]}" for each in kinds.VERDICTS if each in there]
    return "; ".join([*parts, "no mark: not judged"]) + "." if parts else "No cell has a verdict."


def arrow(higher_is: str | None, unbiased: float) -> str:
    """Which way a bias metric is more biased: up, down, or away from the unbiased value on either side."""
    if higher_is == "more_biased":
        return UP
    if higher_is == "better":
        return DOWN
    return BOTH if pd.isna(unbiased) else f"{BOTH}{_short(unbiased)}"


def direction(higher_is: str | None, unbiased: float, *, of_bias: bool = True) -> str:
    """The same in words, for every statistic of any metric; "none" for one that only describes."""
    if higher_is == "count":
        return "a count"
    if higher_is in ("better", "worse"):
        return "higher is better" if higher_is == "better" else "lower is better"
    if higher_is == "more_biased":
        return "higher is more biased"
    return f"farther from {_short(unbiased)} is more biased" if of_bias and not pd.isna(unbiased) else "none"


def head(metric: str, rows: pd.DataFrame) -> str:
    """The heading of a metric's column; ``rows`` are its cells. Only metrics of bias have an arrow."""
    name = metric.replace("_", " ")
    if rows.empty or rows["kind"].iloc[0] not in BIAS_KINDS:
        return name
    known = rows["higher_is"].dropna()
    return f"{name} {arrow(known.iloc[0] if len(known) else '', rows['unbiased'].mean())}"


def directions_explained(cells: pd.DataFrame) -> str:
    """A sentence on the metrics that measure no bias, by which way is better; empty if there are none."""
    others = cells[~cells["kind"].isin(BIAS_KINDS)]
    known = others.groupby("metric", sort=False)["higher_is"].first().dropna()
    said = [f"{name.replace('_', ' ')}: {direction(each, float('nan'))}" for name, each in known.items() if each]
    return f"{'; '.join(said)}. ".capitalize() if said else ""


def arrows_explained(heads: Iterable[str]) -> str:
    """A sentence about the arrows that occur in these headings, empty if there are none."""
    text = "".join(heads)
    parts = []
    if UP in text:
        parts.append(f"{UP} higher is more biased")
    if DOWN in text:
        parts.append(f"{DOWN} lower is more biased")
    if BOTH in text:
        parts.append(f"{BOTH} the farther from the number behind it, to either side, the more biased")
    return f"Arrows: {'; '.join(parts)}. " if parts else ""


def _short(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")
