"""A table of cells as the analysis makes it, with every verdict in it, drawn instead of computed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from fairshrink.analysis import results_file
from fairshrink.analysis import verdict_kinds as kinds

PAIRS = {
    ("minilm", "encoder", "sentiment"): [("sentiment_gap", "mean_gap", "gender", "extrinsic", 0.0, 0.106, 0.02)],
    ("minilm", "encoder", "mlm"): [
        ("stereoset", "stereotype_score", "all", "intrinsic", 50.0, 57.3, 5.0),
        ("crows_pairs", "stereotype_share", "all", "intrinsic", 50.0, 56.1, 5.0),
        ("seat", "mean_effect_size", "all", "intrinsic", 0.0, 0.31, 0.2),
    ],
    ("smollm2", "causal", "lm"): [("crows_pairs", "stereotype_share", "all", "intrinsic", 50.0, 61.0, 5.0)],
}
METHODS = [
    ("none", "baseline", "", 0.0, 0.0, 1.0),
    ("magnitude_global", "unstructured", "sparsity=0.4", 0.4, 0.05, 0.45),
    ("magnitude_global", "unstructured", "sparsity=0.8", 0.8, 1.1, 0.2),
    ("head_pruning", "structured", "sparsity=0.25", 0.25, 0.03, 0.85),
    ("int8_dynamic", "quantization", "", None, 0.001, 0.27),
    ("magnitude_layerwise", "unstructured", "sparsity=0.2", 0.2, 0.02, 0.75),
    ("magnitude_layerwise", "unstructured", "sparsity=0.6", 0.6, 0.4, 0.35),
    ("low_rank", "low_rank", "rank=64", None, 0.15, 0.5),
    ("wanda", "unstructured", "sparsity=0.5", 0.5, 0.07, 0.4),
    ("distilled", "distillation", "student_layers=3", None, 0.3, 0.5),
]
VERDICT_OF = [
    None,
    kinds.NO_CHANGE,
    kinds.NOT_MEASURABLE,
    kinds.LESS_BIASED,
    kinds.UNCHANGED,
    kinds.AS_DAMAGE,
    kinds.ONLY_RANDOM,
    kinds.UNCONTROLLED,
    kinds.UNRESOLVED,
    kinds.MORE_BIASED,
]
SEEDS, DAMAGES = 4, (0.01, 0.05, 0.2, 0.8)


def cells(seed: int = 0) -> pd.DataFrame:
    """Baselines, nine compressions, a ladder of weight noise and a random model, each with damage and task score."""
    draw = np.random.default_rng(seed)
    rows = []
    for (model, family, task), metrics in PAIRS.items():
        where = {"model": model, "family": family, "task": task, "n_splits": 3 if task == "sentiment" else 1}
        compressed = [(each, verdict, False) for each, verdict in zip(METHODS, VERDICT_OF, strict=True)]
        noise = [
            (("weight_noise", "controls", f"control_seed={s}, scale={d}", None, d, 1.0), None, True)
            for d in DAMAGES
            for s in range(SEEDS)
        ]
        wrecked = [(("random_init", "controls", "", None, 3.0, 1.0), None, True)]
        for (method, method_family, setting, sparsity, damage, size), verdict, control in (
            *compressed,
            *noise,
            *wrecked,
        ):
            cell = where | {
                "method": method,
                "method_family": method_family,
                "setting": setting,
                "line": " ".join([method, *[p for p in setting.split(", ") if p and not p.startswith("sparsity=")]]),
                "sparsity": sparsity,
                "control": control,
                "damage": damage,
                "damage_low": damage * 0.9,
                "damage_high": damage * 1.1,
                "params": 22_000_000,
                "bytes": int(90_000_000 * size),
                "effective_bits": 32 * size,
                "zero_fraction_prunable": sparsity or 0.0,
                "zero_fraction_total": (sparsity or 0.0) / 2,
                "flops_per_token": 21e6,
                "cache_bytes_per_token": 0,
            }
            lost = math.exp(-0.8 * damage)
            score = 0.75 * lost
            rows.append(cell | _plain("task_score", "score", "task", score, 0.75, 0.0, draw, "better"))
            rows.append(cell | _plain("fidelity", "damage", "damage", damage, 0.0, None, draw, "worse"))
            for metric in metrics:
                rows.append(cell | _bias(metric, method, lost, damage, verdict, draw, score))
    return results_file.frame(rows, results_file.CELLS)


def _plain(metric, statistic, kind, value, baseline, random, draw, higher_is) -> dict:
    half = abs(0.02 * draw.normal(1, 0.1))
    return {
        "metric": metric,
        "module": metric,
        "kind": kind,
        "dataset": "task",
        "statistic": statistic,
        "group": "all",
        "higher_is": higher_is,
        "n_items": 400,
        "random": random,
        "value": value,
        "low": value - half,
        "high": value + half,
        "baseline": baseline,
        "change": value - baseline,
    }


def _bias(metric, method, lost, damage, verdict, draw, score) -> dict:
    name, statistic, group, kind, unbiased, baseline, margin = metric
    null = unbiased + (baseline - unbiased) * lost
    spread = margin * 0.25
    residual = {kinds.LESS_BIASED: -1.6, kinds.MORE_BIASED: 1.6, kinds.AS_DAMAGE: 1.2, kinds.UNCONTROLLED: -1.3}
    r = margin * residual.get(verdict, 0.15 * draw.normal()) * (0 if method == "none" else 1)
    wide = margin * (1.5 if verdict == kinds.UNRESOLVED else 0.35)
    value = null + r
    made = {
        "metric": name,
        "module": name,
        "kind": kind,
        "dataset": "benchmarks",
        "statistic": statistic,
        "group": group,
        "higher_is": "",
        "n_items": 400,
        "unbiased": unbiased,
        "random": 50.0 if unbiased else 0.004,
        "value": value,
        "low": value - wide,
        "high": value + wide,
        "margin": margin,
        "validity": "untested",
    }
    if method == "none":
        return made | {"baseline": baseline, "task_score": score}
    has_controls = verdict != kinds.UNCONTROLLED
    return made | {
        "baseline": baseline,
        "change": value - baseline,
        "change_low": value - baseline - wide,
        "change_high": value - baseline + wide,
        "change_p": 0.001 if abs(value - baseline) > wide else 0.4,
        "kept": lost,
        "kept_low": lost - 0.03,
        "kept_high": lost + 0.03,
        "null": null,
        "null_low": null - 0.6 * wide,
        "null_high": null + 0.6 * wide,
        "explained": null - baseline,
        "residual": r,
        "residual_low": r - wide,
        "residual_high": r + wide,
        "residual_p": 0.001 if abs(r) > wide else 0.5,
        "residual_p_adjusted": 0.004 if abs(r) > wide else 0.6,
        "other_residual": r,
        "n_controls": SEEDS * len(DAMAGES) if has_controls else 0,
        "control_low": -4 * spread if has_controls else None,
        "control_high": 4 * spread if has_controls else None,
        "control_p": 0.01 if verdict in kinds.CHANGED else 0.5 if has_controls else None,
        "control_p_adjusted": 0.02 if verdict in kinds.CHANGED else 0.6 if has_controls else None,
        "mde": 1.43 * wide,
        "items_needed": 400 * (1.43 * wide / margin) ** 2,
        "controls_needed": 12.0,
        "task_score": score,
        "task_score_baseline": 0.75,
        "task_score_reference": 0.0,
        "performance_kept": score / 0.75,
        "verdict": verdict,
        "reason": f"a sentence about {verdict}" if verdict else None,
    }
