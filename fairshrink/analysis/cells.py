"""The table of cells: each headline of a study averaged over splits, with all that its verdict rests on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairshrink.analysis import damage, results_file
from fairshrink.analysis.known import Known, gather, owner, place
from fairshrink.analysis.measured import Measured, interval
from fairshrink.analysis.verdicts import judged
from fairshrink.contracts import BASELINE, BIAS_KINDS, CONTROLS, UNDIRECTED
from fairshrink.stats.inference import Inference
from fairshrink.stats.power import clusters_needed, controls_needed, detectable_change
from fairshrink.stats.signals import Margin
from fairshrink.stats.splits import OverSplits


def cells(
    found: Sequence[Measured],
    level: float,
    margins: Mapping[str, Margin] | None = None,
    ledgers: Mapping[tuple[str, ...], Mapping[str, float]] | None = None,
    validity: Mapping[tuple[str, str, str], str] | None = None,
) -> pd.DataFrame:
    """The table of cells with verdicts, in reading order; columns are `results_file.CELLS`.

    ``margins`` replace those of the metrics, by the metric's entry in the study.
    """
    known = gather(found, level, margins or {}, ledgers or {}, validity or {})
    rows = [_row(each, known) for each in found]
    table = judged(results_file.frame(rows, results_file.CELLS))
    return (
        results_file.frame(table.to_dict("records"), results_file.CELLS)
        .loc[_reading_order(table)]
        .reset_index(drop=True)
    )


def line(method: str, setting: str) -> str:
    """The method with its settings but for the sparsity: what is drawn as one line."""
    rest = [part for part in re.split(r"[,;]\s*", setting) if part and not part.strip().startswith("sparsity=")]
    return " ".join([method, *rest])


def reading_order(methods: pd.Series, control: pd.Series) -> list[str]:
    """Methods as a reader expects them: the baseline, the compressions by name, controls last."""
    pairs = sorted(set(zip(control, methods != BASELINE, methods, strict=True)))
    return [method for _, _, method in pairs]


def _row(each: Measured, known: Known) -> dict[str, Any]:
    who, value = each.identity, each.value
    model, task, method, setting = place(each)
    label = known.labels[id(each)]
    low, high = interval(value.checkpoints, each.statistic, known.level)
    training = value.training.interval(known.level)
    random = each.statistic.random
    row: dict[str, Any] = {
        "model": model,
        "family": who.family,
        "task": task,
        "method": method,
        "method_family": who.method_family,
        "setting": setting,
        "line": line(method, setting),
        "sparsity": who.sparsity,
        "control": who.method_family == CONTROLS,
        "n_splits": len(each.splits),
        "metric": label,
        "module": each.family.metric,
        "kind": each.module.KIND,
        "dataset": each.family.dataset,
        "statistic": each.statistic.name,
        "group": each.statistic.group,
        "higher_is": each.statistic.higher_is,
        "n_items": each.statistic.n_items,
        "unbiased": each.statistic.unbiased,
        "random": known.random.get((model, task, label)) if random is None else random,
        "value": value.checkpoints.value,
        "low": low,
        "high": high,
        "training_low": training[0],
        "training_high": training[1],
        "influence": each.influence,
    }
    row |= known.ledgers.get(place(each), {})
    row |= _damage(each, known)
    row |= _performance(each, known)
    if each.change is not None:
        row |= _change(each.change, each.value, known.level)
    if each.module.KIND in BIAS_KINDS:
        row |= _bias(each, row, label, known)
    return row


def _change(change: OverSplits, value: OverSplits, level: float) -> dict[str, Any]:
    found = change.checkpoints
    low, high = found.interval(level)
    return {
        "baseline": value.checkpoints.value - found.value,
        "change": found.value,
        "change_low": low,
        "change_high": high,
        "change_p": found.p_value(),
        "mde": detectable_change(found),
    }


def _damage(each: Measured, known: Known) -> dict[str, Any]:
    hurt = known.damages.get(place(each))
    if hurt is None:
        return {}
    low, high = hurt.value.checkpoints.interval(known.level)
    return {"damage": hurt.value.checkpoints.value, "damage_low": low, "damage_high": high}


def _performance(each: Measured, known: Known) -> dict[str, Any]:
    found = known.performance.get(place(each)[:2])
    if found is None:
        return {}
    of_baseline, scores = found
    score = scores.get((each.identity.method, each.identity.setting), math.nan)
    return {
        "task_score": score,
        "task_score_baseline": of_baseline.baseline,
        "task_score_reference": of_baseline.reference,
        "performance_kept": of_baseline.kept(score),
        "baseline_learned": of_baseline.learned,
    }


def _bias(each: Measured, row: Mapping[str, Any], label: str, known: Known) -> dict[str, Any]:
    baseline = row.get("baseline", each.value.checkpoints.value)
    sd = known.label_sd.get((row["model"], row["task"]), math.nan)
    margin = known.margin(each).value(baseline, sd)
    made: dict[str, Any] = {
        "margin": margin,
        "has_null": each.parts is not None,
        "validity": known.validity.get((row["model"], row["task"], label), "untested"),
    }
    if each.own_skill is not None:
        now, before, reference = each.own_skill
        distance = before - reference
        made["own_skill_kept"] = (now - reference) / distance if distance > 0 else math.nan
    if each.change is None:
        return made | {"baseline": baseline}
    decisive = each.change.checkpoints
    made["change_inside_p"] = decisive.equivalence_p(margin) if margin > 0 else math.nan
    if each.parts is not None:
        made |= _parts(each, margin, known.level) | _controls(each, label, margin, known)
        decisive = each.parts["residual"].checkpoints
    n_clusters = int(decisive.df) + 1 if decisive.df > 0 else 0
    if margin > 0 and n_clusters > 1:
        needed = clusters_needed(decisive.standard_error, n_clusters, margin) / n_clusters * each.statistic.n_items
        made["items_needed"] = needed
    return made


def _parts(each: Measured, margin: float, level: float) -> dict[str, Any]:
    assert each.parts is not None
    residual, null, kept = (each.parts[name].checkpoints for name in ("residual", "null", "kept"))
    training = each.parts["residual"].training

    def bounds(name: str, found: Inference) -> dict[str, float]:
        low, high = found.interval(level)
        return {name: found.value, f"{name}_low": low, f"{name}_high": high}

    others = [other for other in each.parts.others if other == other]
    return {
        **bounds("kept", kept),
        **bounds("null", null),
        **bounds("residual", residual),
        "explained": each.parts["explained"].checkpoints.value,
        "residual_p": residual.p_value(),
        "residual_inside_p": residual.equivalence_p(margin) if margin > 0 else math.nan,
        "residual_training_p": training.p_value(),
        "other_residual": others[0] if others else math.nan,
        "mde": detectable_change(residual),
    }


def _controls(each: Measured, label: str, margin: float, known: Known) -> dict[str, Any]:
    assert each.parts is not None
    controls = known.ladders.get((*place(each)[:2], label))
    hurt = known.damages.get(place(each))
    if controls is None or hurt is None:
        return {"n_controls": 0}
    size = damage.amplitude(hurt.value.checkpoints.value, linear=hurt.linear_damage)
    if each.identity.method in UNDIRECTED:
        controls = controls.without(owner(each))
    splits = len(each.splits)
    expected, n = damage.expected(controls, size, splits)
    low, high = expected.interval(known.level)
    spread = expected.standard_error / math.sqrt(1 / splits + 1 / n) if n else math.nan
    return {
        "n_controls": n if not math.isnan(expected.standard_error) else 0,
        "control_low": low,
        "control_high": high,
        "control_p": damage.against(each.parts["residual"].checkpoints.value, expected).p_value(),
        "controls_needed": controls_needed(spread, splits, margin) if spread >= 0 and margin > 0 else math.nan,
    }


def _reading_order(table: pd.DataFrame) -> pd.Index:
    rank = {method: i for i, method in enumerate(reading_order(table["method"], table["control"]))}
    of_kind = table["kind"].map({"task": 0, "damage": 1}).fillna(2)
    keys = table.assign(rank=table["method"].map(rank), of_kind=of_kind)
    by = ["model", "task", "rank", "sparsity", "setting", "of_kind", "metric"]
    return keys.sort_values(by, kind="stable").index
