"""Fidelity: how far a checkpoint's outputs are from its baseline's on neutral held-out items (damage).

A change of bias has to be read together with it: undirected damage of the same size changes a bias score as well.
Items are those that `task_score` scores with the same settings; labels are not used. The baseline is compared with
itself.
Groups: "all", and each test table by name where there are several.

Formula:
    kl      = KL(p ‖ q) = Σ p(v) · (log p(v) − log q(v)),  p the baseline's probabilities, q the checkpoint's, in nats
    delta_p = q(v) − p(v),  v the true token, or the baseline's most probable label
    rms_difference  = sqrt(mean((ŷ − ŷ_b)²)) / sd(ŷ_b),    ŷ predictions, ŷ_b the baseline's, sd with ddof 1
    mean_difference = mean(ŷ − ŷ_b) / sd(ŷ_b)
    rank_distance   = 1 − Spearman(cosines of the pairs, the baseline's);  mean_abs_difference is of the cosines too
    cosine_distance = 1 − cosine of a text's vector and the baseline's
Statistics:
    - `damage`, the headline: `mean_kl`, `rms_difference`, `rank_distance` or `cosine_distance`, by kind of
      output;
    - classification over items, and language models over tokens (masked: each masked in turn; causal: after those
      before it): `mean_kl`; its percentiles `kl_p99` (NaN below 400 items or tokens) and `kl_p99.9` (NaN below 4,000),
      without interpolation; `rms_delta_p`; `same_top`, the share with the same most probable label or token;
    - regression: `rms_difference`, `mean_difference`;
    - encoders without fine-tuning: for pairs `rank_distance` and `mean_abs_difference` of the cosines, for single texts
      the mean `cosine_distance`.
Counts: An item is a test item of the task. `skipped`: 0, as long texts are cut off and every item has two outputs.
    `tied`: the checkpoint says exactly what its baseline says.
Paper: The terms are those of the quantization community (`llama-perplexity --kl-divergence` of llama.cpp); Dutta et
    al., *Accuracy is Not All You Need*, NeurIPS 2024, who evaluate compressed models by divergence and flips.
Range: `mean_kl`, `rms_difference` from 0; `rms_delta_p`, `same_top` [0, 1]; `rank_distance`, `cosine_distance` [0, 2].
Direction: None: this is no bias metric. Higher is more damage, and the baseline has 0; for `same_top` lower is more
    damage, and the baseline has 1. There are no p-values: distances are never negative, so a test against the
    baseline's 0 is meaningless.
Unbiased model: Does not exist.
Random model: No theoretical value; the control `random_init` measures it.
Limits: Not comparable between kinds of output. It does not say whether a checkpoint became better or worse. NaN if a
    regression's baseline predictions or cosines are constant. `precision: bf16` includes the rounding errors of both
    models: use fp32 for small damage. Masked language models need two forward passes per token. The baseline must have
    the same vocabulary and width.
Data: The study's.
Use:
    - {metric: fidelity, sample: 400, texts: 20}
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, Direction, MetricKind, Scoring
from fairshrink.metrics._shared.counts import counts, every_row
from fairshrink.metrics._shared.held_out import HeldOutSettings, held_out, masks
from fairshrink.stats.estimates import (
    Estimate,
    Statistic,
    combine,
    quantile,
    ratio,
    spearman,
    standard_deviation,
    weighted_mean,
)

if TYPE_CHECKING:
    from pandas import DataFrame

NEEDS: frozenset[Capability] = frozenset({"scored", "texts"})
NEEDS_TASK = True
NEEDS_BASELINE = True
KIND: MetricKind = "damage"
ROLES: dict[str, str] = {}
HEADLINE = ("damage", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
PERCENTILES = {"kl_p99": (0.99, 400), "kl_p99.9": (0.999, 4000)}
"""Name -> share, and the least number of items or tokens for which it is computed."""
DIRECTIONS: dict[str, Direction] = {"same_top": "better", "mean_difference": ""}
"""Of what is no distance, of which more is worse."""


class Settings(HeldOutSettings):
    """Settings of fidelity."""


def score(given: Scoring, settings: Settings) -> DataFrame:
    """One row for each test item; columns as `comparing.compare` gives them, ``group`` is the test table."""
    import pandas as pd

    from fairshrink.errors import UserError
    from fairshrink.metrics.fidelity.comparing import compare

    if given.task is None or given.baseline is None:
        raise UserError("fidelity needs the task of the checkpoint and its baseline")
    parts = held_out(given.task, settings)
    where = pd.concat([each for each, _ in parts], ignore_index=True)
    # Only what all test tables have: single texts among pairs are compared as single texts.
    examples = pd.concat([each for _, each in parts], ignore_index=True, join="inner")
    compared = compare(given.checkpoint, given.baseline, examples, given.task.settings)
    return pd.concat([where, compared], axis=1).sort_values("item", ignore_index=True)


def summarize(items: DataFrame, settings: Settings) -> list[Statistic]:
    """The statistics of the card for all items and, where there are several, for each test table."""
    result = []
    for group, mask in masks(items).items():
        n = int(mask.sum())
        for position, (name, estimate) in enumerate(_statistics(items, mask)):
            if position == 0 and group == "all":
                result.append(Statistic("damage", estimate, group, n, higher_is="worse"))
            # Tokens are no items: of a share of tokens only its error says how many would be worth as much.
            share = 1.0 if name == "same_top" and "tokens" not in items else None
            higher: Direction = DIRECTIONS.get(name, "worse")
            smooth = name not in PERCENTILES
            result.append(Statistic(name, estimate, group, n, None, None, higher, share_of=share, smooth=smooth))
    return [*result, *counts(every_row(items), _unchanged(items))]


def _unchanged(items: DataFrame) -> np.ndarray:
    """Which items both models say the very same of."""
    for name in ("prediction", "cosine"):
        if name in items:
            return (items[name] == items[f"baseline_{name}"]).to_numpy()
    return np.asarray((items["kl" if "kl" in items else "cosine_distance"] == 0).to_numpy())


def _statistics(items: DataFrame, mask: np.ndarray) -> Iterator[tuple[str, Estimate | float]]:
    """Name and estimate; the main one first."""
    if "kl" in items:
        yield from _of_distributions(items, mask)
    elif "prediction" in items:
        yield from _of_numbers(items, mask)
    elif "cosine" in items:
        ranks = spearman(items["cosine"], items["baseline_cosine"], mask)
        yield "rank_distance", combine(lambda rho: 1 - rho, ranks)
        yield "mean_abs_difference", weighted_mean((items["cosine"] - items["baseline_cosine"]).abs(), mask)
    else:
        yield "cosine_distance", weighted_mean(items["cosine_distance"], mask)


def _of_distributions(items: DataFrame, mask: np.ndarray) -> Iterator[tuple[str, Estimate | float]]:
    if "tokens" in items:
        number, squared = items["tokens"].to_numpy(), items["squared_delta_p"].to_numpy()
        every = np.concatenate([np.asarray(each, dtype=np.float64) for each in items["token_kl"]])
    else:
        number, squared = np.ones(len(items), dtype=int), items["delta_p"].to_numpy() ** 2
        every = items["kl"].to_numpy()
    yield "mean_kl", ratio(items["kl"], number, mask)
    rows = np.repeat(np.arange(len(items)), number)
    inside = mask[rows]
    for name, (share, least) in PERCENTILES.items():
        yield name, quantile(every[inside], share, rows[inside]) if inside.sum() >= least else float("nan")
    yield "rms_delta_p", combine(np.sqrt, ratio(squared, number, mask))
    yield "same_top", ratio(items["same_top"], number, mask)


def _of_numbers(items: DataFrame, mask: np.ndarray) -> Iterator[tuple[str, Estimate]]:
    before = items["baseline_prediction"].to_numpy()
    change = items["prediction"].to_numpy() - before
    spread = standard_deviation(before, mask)
    yield "rms_difference", combine(_rms_over, weighted_mean(change**2, mask), spread)
    yield "mean_difference", combine(_over, weighted_mean(change, mask), spread)


def _rms_over(square: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return _over(np.sqrt(square), spread)


def _over(value: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """NaN where the baseline predicts a constant: predictions are accurate to about 1e-7."""
    return np.where(spread > 1e-6, value / spread, np.nan)
