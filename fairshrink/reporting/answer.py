"""The study's answer in plain sentences, made from the verdicts alone: one for each compression.

The same sentences open the report and the README. They depend on the cells only, not on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pandas as pd

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.verdict_kinds import Verdict
from fairshrink.contracts import BASELINE, BIAS_KINDS, FAILED
from fairshrink.reporting.wording import compression, listed, margin, number, p_value, words

MOST_NAMED = 4
"""Comparisons of one verdict that a sentence names; more are counted, but changes are always named."""
ORDER: tuple[Verdict, ...] = (
    kinds.LESS_BIASED,
    kinds.MORE_BIASED,
    kinds.AS_DAMAGE,
    kinds.UNCONTROLLED,
    kinds.UNCHANGED,
    kinds.ONLY_RANDOM,
    kinds.NO_CHANGE,
    kinds.NOT_MEASURABLE,
    kinds.UNRESOLVED,
)
"""Verdicts from the most to the least telling."""
_SAYS: dict[Verdict, tuple[str, str]] = {
    kinds.LESS_BIASED: ("less biased, beyond lost signal and undirected damage, on", ""),
    kinds.MORE_BIASED: ("more biased, beyond lost signal and undirected damage, on", ""),
    kinds.AS_DAMAGE: ("changed on", ", but no more than undirected damage changes it"),
    kinds.UNCONTROLLED: ("changed on", ", without a control that tells whether the method or mere damage did it"),
    kinds.UNCHANGED: ("unchanged", ""),
    kinds.ONLY_RANDOM: ("only more random on", ": lost signal explains the change"),
    kinds.NO_CHANGE: ("no change beyond lost signal on", ""),
    kinds.NOT_MEASURABLE: ("not measurable on", ", where the model or the metric has lost too much"),
    kinds.UNRESOLVED: ("cannot be resolved on", ""),
}

_COUNTED: dict[Verdict, tuple[str, str]] = {
    kinds.LESS_BIASED: ("is less biased", "are less biased"),
    kinds.MORE_BIASED: ("is more biased", "are more biased"),
    kinds.AS_DAMAGE: ("changed as undirected damage does", "changed as undirected damage does"),
    kinds.UNCONTROLLED: ("changed with damage not controlled", "changed with damage not controlled"),
    kinds.UNCHANGED: ("is unchanged", "are unchanged"),
    kinds.ONLY_RANDOM: ("is only more random", "are only more random"),
    kinds.NO_CHANGE: ("shows no change beyond lost signal", "show no change beyond lost signal"),
    kinds.NOT_MEASURABLE: ("is not measurable", "are not measurable"),
    kinds.UNRESOLVED: ("cannot be resolved", "cannot be resolved"),
}


def answer(cells: pd.DataFrame) -> list[str]:
    """A summary, one on metrics that failed, and one for each compression: the most telling verdict first.

    p-values are adjusted, the larger one of a verdict's two (against lost signal, against undirected damage).
    """
    return [summary(cells), *(f"{name}: {rest}" for name, rest in sentences(cells))]


def summary(cells: pd.DataFrame) -> str:
    """How many comparisons there are, and how many of them have which verdict."""
    rows = judged(cells)
    if rows.empty:
        return "Nothing was compared with an uncompressed model."
    counts = {each: int((rows["verdict"] == each).sum()) for each in ORDER}
    changed = [_tally(each, n) for each, n in counts.items() if n and each in kinds.CHANGED]
    others = [_tally(each, n) for each, n in counts.items() if n and each not in kinds.CHANGED]
    total = "1 comparison" if len(rows) == 1 else f"{len(rows):,} comparisons"
    first = listed(changed) if changed else "none is shown to be more or less biased"
    text = f"Of {total} with an uncompressed model, {first} beyond what lost signal and undirected damage explain"
    return f"{text}; {listed(others)}." if others else f"{text}."


def _tally(verdict: Verdict, n: int) -> str:
    one, many = _COUNTED[verdict]
    return f"{n:,} {one if n == 1 else many}"


def sentences(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """What each sentence is about, and its rest: metrics that failed, then every compression."""
    return [*failed(cells), *by_compression(cells)]


def failed(cells: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """The metrics that failed their tests of validity: nothing is said of any compression by them."""
    rows = judged(cells)
    rows = rows[rows["validity"] == FAILED].sort_values(["model", "task", "metric"], kind="stable")
    if len(rows):
        metrics = rows.drop_duplicates(["model", "task", "metric"])
        named, them = places(metrics), "it" if len(metrics) == 1 else "them"
        count = "1 comparison is" if len(rows) == 1 else f"{len(rows):,} comparisons are"
        rest = f"failed a test of validity on this model; {count} not measurable by {them}."
        yield f"{named[:1].upper()}{named[1:]}", rest


def by_compression(cells: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Name of each compression, and the rest of its sentence; the most telling verdict first.

    Without the metrics that `failed`.
    """
    rows = judged(cells)
    found = rows[rows["validity"] != FAILED].groupby(["method", "_sparsity", "setting"], sort=True)
    first = {name: min(ORDER.index(each) for each in rows["verdict"]) for name, rows in found}
    for place in sorted(first, key=lambda name: (first[name], name)):
        (method, _, setting), rows = place, found.get_group(place)
        name = compression(str(method), str(setting))
        by_verdict = [(each, rows[rows["verdict"] == each]) for each in ORDER]
        clauses = [_clause(each, of, len(rows)) for each, of in by_verdict if len(of)]
        yield name[:1].upper() + name[1:], f"{'; '.join(clauses)}."


def judged(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of compressions that have a verdict on bias, sorted; ``setting`` is "" where there is none."""
    bias = cells["kind"].isin(BIAS_KINDS) & ~cells["control"].astype(bool) & (cells["method"] != BASELINE)
    rows = cells[bias & cells["verdict"].isin(kinds.VERDICTS)]
    rows = rows.assign(_sparsity=rows["sparsity"].astype(float).fillna(-1.0), setting=rows["setting"].fillna(""))
    return rows.sort_values(["method", "_sparsity", "setting", "model", "task", "metric"], kind="stable")


def places(rows: pd.DataFrame) -> str:
    """Which metrics of which models and tasks: ``seat and stereoset (minilm, mlm), crows pairs (smollm2, lm)``."""
    named = [(f"{row.model}, {row.task}", words(str(row.metric))) for row in rows.itertuples()]
    return listed([f"{listed(metrics)} ({where})" for where, metrics in _grouped(named)])


def _clause(verdict: Verdict, rows: pd.DataFrame, total: int) -> str:
    before, after = _SAYS[verdict]
    if verdict in kinds.CHANGED:
        changes = [(f"{row['model']}, {row['task']}", _change(row)) for _, row in rows.iterrows()]
        return f"{before} " + ", and on ".join(f"{listed(of)} of {where}" for where, of in _grouped(changes))
    if len(rows) > MOST_NAMED:
        pairs = [(f"{row.model}, {row.task}", row) for row in rows.itertuples()]
        counts = "; ".join(f"{len(of)} of {where}" for where, of in _grouped(pairs))
        number_of = f"all {total} comparisons" if len(rows) == total else f"{len(rows)} comparisons ({counts})"
        inside = " within the margin on" if verdict == kinds.UNCHANGED else ""
        return f"{before}{inside} {number_of}{after}"
    if verdict == kinds.UNCHANGED:
        within = rows.assign(within=[margin(row["margin"], row["unbiased"]) for _, row in rows.iterrows()])
        return f"{before} " + listed([f"within {size} on {places(of)}" for size, of in within.groupby("within")])
    return f"{before} {places(rows)}{after}"


def _change(row: pd.Series) -> str:
    largest = max((p for p in (row["residual_p_adjusted"], row["control_p_adjusted"]) if p == p), default=None)
    return f"{words(row['metric'])} ({number(row['baseline'])} to {number(row['value'])}, {p_value(largest)})"


def _grouped(pairs: list[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    for where, of in groupby(pairs, key=lambda pair: pair[0]):
        yield where, [each for _, each in of]
