"""The table of cells: each headline of a study averaged over splits, with all that its verdict rests on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.analysis.known import Known, gather, place
from fairshrink.analysis.measured import Measured
from fairshrink.analysis.residuals import DAMAGE, residual
from fairshrink.analysis.verdicts import judged
from fairshrink.contracts import BASELINE, BIAS_KINDS, CONTROLS, UNTESTED
from fairshrink.stats.power import clusters_needed, detectable_change
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
    low, high = each.interval
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
        "validity": known.validity.get((row["model"], row["task"], label), UNTESTED),
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
        columns, decisive = residual(each, label, margin, known)
        made |= columns
    n_clusters = int(decisive.df) + 1 if decisive.df > 0 else 0
    if margin > 0 and n_clusters > 1 and made.get("null_from") != DAMAGE:  # items do not tell damages apart
        needed = clusters_needed(decisive.standard_error, n_clusters, margin) / n_clusters * each.statistic.n_items
        made["items_needed"] = needed
    return made


def _reading_order(table: pd.DataFrame) -> pd.Index:
    rank = {method: i for i, method in enumerate(reading_order(table["method"], table["control"]))}
    of_kind = table["kind"].map({"task": 0, "damage": 1}).fillna(2)
    keys = table.assign(rank=table["method"].map(rank), of_kind=of_kind)
    by = ["model", "task", "rank", "sparsity", "setting", "of_kind", "metric"]
    return keys.sort_values(by, kind="stable").index
