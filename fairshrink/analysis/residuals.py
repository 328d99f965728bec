"""What of a cell's change neither lost signal nor damage explains: its columns of the table of cells.

The null of lost signal needs a contrast that bias does not touch. A metric without one reads the signal kept off its
own signal, with an intercept, and a line through the signals follows every compression that moves them alike: in
simulated studies 51 to 90 of 100 planted changes of one or two margins left a residual inside the margin. Such a
metric's change is compared with the change that undirected damage of the same size makes, where the study has
controls of this size; where it has none, its residual can show a change, but never that there is none.
"""

from __future__ import annotations

import math
from typing import Any

from fairshrink.analysis import damage
from fairshrink.analysis.known import Known, owner, place
from fairshrink.analysis.measured import Measured
from fairshrink.analysis.parts import Parts
from fairshrink.contracts import UNDIRECTED
from fairshrink.stats.inference import UNKNOWN, Inference
from fairshrink.stats.power import controls_needed, detectable_change

CONTRAST, OWN, DAMAGE = "neutral contrast", "own signal", "undirected damage"
"""What a null rests on."""


def residual(each: Measured, label: str, margin: float, known: Known) -> tuple[dict[str, Any], Inference]:
    """The columns of a cell with a null, and the residual that its verdict rests on."""
    assert each.parts is not None
    expected, controls = _beside_controls(each, each.parts, label, margin, known)
    made = _of_lost_signal(each.parts, margin, known.level) | controls
    if not each.parts.own_contrast:
        return made | {"null_from": CONTRAST}, each.parts["residual"].checkpoints
    if math.isnan(expected.standard_error):
        return made | {"null_from": OWN}, each.parts["residual"].checkpoints
    beyond = damage.against(each.parts["change"].checkpoints.value, expected)
    baseline = each.parts["baseline"].checkpoints.value
    moved = Inference(baseline + expected.value, expected.standard_error, expected.df)
    made |= bounds("null", moved, known.level) | bounds("residual", beyond, known.level)
    made |= _tests(beyond, margin) | {"explained": expected.value, "null_from": DAMAGE}
    return made, beyond


def bounds(name: str, found: Inference, level: float) -> dict[str, float]:
    """A value and its interval, as columns."""
    low, high = found.interval(level)
    return {name: found.value, f"{name}_low": low, f"{name}_high": high}


def _of_lost_signal(parts: Parts, margin: float, level: float) -> dict[str, Any]:
    others = [other for other in parts.others if other == other]
    found = {name: parts[name].checkpoints for name in ("kept", "null", "residual")}
    columns = [bounds(name, each, level) for name, each in found.items()]
    return {
        **{name: value for each in columns for name, value in each.items()},
        **_tests(found["residual"], margin),
        "explained": parts["explained"].checkpoints.value,
        "residual_training_p": parts["residual"].training.p_value(),
        "other_residual": others[0] if others else math.nan,
    }


def _tests(found: Inference, margin: float) -> dict[str, float]:
    return {
        "residual_p": found.p_value(),
        "residual_inside_p": found.equivalence_p(margin) if margin > 0 else math.nan,
        "mde": detectable_change(found),
    }


def _beside_controls(
    each: Measured, parts: Parts, label: str, margin: float, known: Known
) -> tuple[Inference, dict[str, Any]]:
    """What undirected damage of the cell's size gives, and the columns that say so."""
    controls = known.ladders.get((*place(each)[:2], label))
    hurt = known.damages.get(place(each))
    if controls is None or hurt is None:
        return UNKNOWN, {"n_controls": 0}
    size = damage.amplitude(hurt.value.checkpoints.value, linear=hurt.linear_damage)
    if each.identity.method in UNDIRECTED:
        controls = controls.without(owner(each))
    splits = len(each.splits)
    expected, n = damage.expected(controls, size, splits)
    low, high = expected.interval(known.level)
    return expected, {
        "n_controls": n if not math.isnan(expected.standard_error) else 0,
        "control_low": low,
        "control_high": high,
        "control_p": damage.against(parts.beside_controls.checkpoints.value, expected).p_value(),
        "controls_needed": _controls_needed(expected, n, splits, margin),
    }


def _controls_needed(expected: damage.Expected, n: int, splits: int, margin: float) -> float:
    spread = expected.spread(splits)
    if not (spread >= 0 and margin > 0):
        return math.nan
    of_one, df_of_one = expected.leverage * n, expected.df / (n - expected.fitted)
    return controls_needed(spread, splits, margin, leverage=of_one, fitted=expected.fitted, df_of_one=df_of_one)
