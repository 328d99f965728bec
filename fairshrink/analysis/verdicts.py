"""The verdict on a cell: what may be said about a change of bias, by rules that are tried in a fixed order.

1. *not measurable*: the change or its residual is undefined; the task score is undefined where the baseline's is
   defined, or less than a tenth of its distance to the reference is left; the baseline itself is at its reference;
   less than half of what the metric presupposes is left (`OWN_SKILL`); the interval of the signal kept, K, reaches
   0.1; the metric failed a test of validity on this model (not if only tests on training in general, `TRAINING_TESTS`).
2. *more biased*, *less biased*: the residual R differs from 0 over items (adjusted p at most 0.05), is at least as
   large as the margin, and differs from the residuals of undirected damage of this size (adjusted p at most 0.05).
   Without the last: *changed, as undirected damage does*; without controls of this damage: *changed, damage not
   controlled*. None of these where a further contrast of the metric gives a residual of the other sign.
3. *unchanged*: the 90% intervals of R and of the change D lie inside the margin.
4. *only more random*: R lies inside the margin, and D differs from 0. *no change beyond lost signal*: R lies inside, D
   does not differ.
5. *cannot resolve*: the rest.

A metric without a neutral contrast (`analysis/residuals.py`) has the residual beyond undirected damage of this size,
and the p of that; without controls of this size it can be *changed, damage not controlled*, or *unchanged*, no more.

P-values are adjusted by Benjamini and Hochberg over the compressions and bias metrics of a study, those of R over
items, of D, and against controls each by themselves. A metric without a null has D, but no R: it can be unchanged or
cannot be resolved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairshrink.analysis import verdict_kinds as kinds
from fairshrink.analysis.damage import LEAST
from fairshrink.analysis.residuals import CONTRAST, DAMAGE, OWN
from fairshrink.analysis.verdict_kinds import Verdict
from fairshrink.contracts import BASELINE, FAILED
from fairshrink.stats.estimates import adjust

SIGNIFICANCE = 0.05
LEAST_PERFORMANCE = 0.1
LEAST_OWN_SKILL = 0.5
LEAST_KEPT = 0.1
_FEW = f"fewer than {LEAST} controls of this damage"

Cell = Mapping[str, Any]
"""A row of the table of cells."""


@dataclass(frozen=True)
class Judgment:
    """A verdict and the sentence that says what led to it."""

    verdict: Verdict
    reason: str


def judged(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells with adjusted p-values, verdicts and reasons; ``cells`` has columns of `results_file.CELLS`.

    Compressions are judged, and controls too, each adjusted among their own: controls are there to differ, and must not
    lend significance to the rest. Other rows (baselines, task scores, damage) have no verdict.
    """
    table = cells.copy()
    rows = table["margin"].notna() & (table["method"] != BASELINE)
    for name in ("residual_p", "change_p", "control_p"):
        adjusted = table[rows].groupby("control")[name].transform(adjust)
        table.loc[rows, f"{name}_adjusted"] = adjusted
    verdicts = [judge(row) for row in table[rows].to_dict("records")]
    table.loc[rows, "verdict"] = [each.verdict for each in verdicts]
    table.loc[rows, "reason"] = [each.reason for each in verdicts]
    return table


def judge(cell: Cell) -> Judgment:
    """The verdict on one cell with adjusted p-values."""
    for rule in (_not_measurable, _changed, _unchanged, _random):
        found = rule(cell)
        if found is not None:
            return found
    return Judgment(kinds.UNRESOLVED, _unresolved(cell))


def _not_measurable(cell: Cell) -> Judgment | None:
    checks: list[tuple[bool, str]] = [
        (cell["validity"] == FAILED, "the metric failed a test of its validity on this model"),
        (_missing(cell["change"]), "the metric has no value here"),
        (_baseline_learned_nothing(cell), "the baseline's own task score does not differ from its reference"),
        (
            _known(cell["task_score_baseline"]) and _missing(cell["task_score"]),
            "the task score is undefined, as of constant predictions",
        ),
        (
            _known(cell["performance_kept"]) and cell["performance_kept"] < LEAST_PERFORMANCE,
            f"{_share(cell['performance_kept'])} of the task performance is left",
        ),
        (
            _known(cell["own_skill_kept"]) and cell["own_skill_kept"] < LEAST_OWN_SKILL,
            f"{_share(cell['own_skill_kept'])} of what the metric presupposes is left",
        ),
        (
            cell["has_null"] and not cell["kept_low"] > LEAST_KEPT,
            f"signal kept {_number(cell['kept'])}, with an interval that reaches {LEAST_KEPT}",
        ),
    ]
    why = next((reason for holds, reason in checks if holds), None)
    return None if why is None else Judgment(kinds.NOT_MEASURABLE, why)


def _changed(cell: Cell) -> Judgment | None:
    r, margin = cell["residual"], cell["margin"]
    p = cell["control_p_adjusted" if cell["null_from"] == DAMAGE else "residual_p_adjusted"]
    if _missing(r) or not p <= SIGNIFICANCE or abs(r) < margin:
        return None
    if _known(cell["other_residual"]) and cell["other_residual"] * r < 0:
        return None
    size = f"residual {_number(r)} ({_p(p)}), margin {_number(margin)}"
    if _missing(cell["control_p"]):
        return Judgment(kinds.UNCONTROLLED, f"{size}; {_FEW}")
    controls = f"undirected damage of this size: {_number(cell['control_low'])} to {_number(cell['control_high'])}"
    if not cell["control_p_adjusted"] <= SIGNIFICANCE:
        return Judgment(kinds.AS_DAMAGE, f"{size}; {controls}")
    return Judgment(direction(cell), f"{size}; {controls} ({_p(cell['control_p_adjusted'])})")


def direction(cell: Cell) -> Verdict:
    """Whether the value is farther from the unbiased model's than lost signal alone would have left it."""
    unbiased = cell["unbiased"] if _known(cell["unbiased"]) else 0.0
    farther = abs(cell["value"] - unbiased) > abs(cell["null"] - unbiased)
    return kinds.MORE_BIASED if farther else kinds.LESS_BIASED


def _unchanged(cell: Cell) -> Judgment | None:
    residual_inside = cell["null_from"] != CONTRAST or cell["residual_inside_p"] <= SIGNIFICANCE
    if cell["change_inside_p"] <= SIGNIFICANCE and residual_inside:
        return Judgment(
            kinds.UNCHANGED, f"change {_number(cell['change'])} inside the margin {_number(cell['margin'])}"
        )
    return None


def _random(cell: Cell) -> Judgment | None:
    if cell["null_from"] == OWN or _missing(cell["residual"]) or not cell["residual_inside_p"] <= SIGNIFICANCE:
        return None
    beyond = " beyond undirected damage of this size" if cell["null_from"] == DAMAGE else ""
    inside = f"residual {_number(cell['residual'])}{beyond} inside the margin {_number(cell['margin'])}"
    change = f"change {_number(cell['change'])} ({_p(cell['change_p_adjusted'])})"
    if cell["change_p_adjusted"] <= SIGNIFICANCE:
        return Judgment(kinds.ONLY_RANDOM, f"{change}; {inside}")
    return Judgment(kinds.NO_CHANGE, f"{change}; {inside}")


def _unresolved(cell: Cell) -> str:
    margin, mde = _number(cell["margin"]), _number(cell["mde"])
    least = f"minimum detectable change {mde}, margin {margin}"
    if not cell["has_null"]:
        return f"this metric has no null of lost signal; {least}"
    if cell["null_from"] == OWN:
        return f"no neutral contrast tells lost signal from a change, and there are {_FEW}; {least}"
    if _known(cell["other_residual"]) and cell["other_residual"] * cell["residual"] < 0:
        return f"two neutral contrasts give residuals of different sign; margin {margin}"
    needed = cell["items_needed"]
    more = f"; {needed:,.0f} items would do" if _known(needed) and math.isfinite(needed) else ""
    return f"minimum detectable residual {mde}, margin {margin}{more}"


def _baseline_learned_nothing(cell: Cell) -> bool:
    return _known(cell["baseline_learned"]) and not cell["baseline_learned"]


def _known(value: Any) -> bool:
    return not _missing(value)


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def _number(value: float) -> str:
    """Three digits; what is left of a difference by rounding alone is 0."""
    return "unknown" if _missing(value) else f"{0.0 if abs(value) < 1e-9 else value:.3g}".replace("-", "−")


def _share(value: float) -> str:
    return f"{max(value, 0):.0%}"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
