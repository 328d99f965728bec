"""How well a checkpoint does its own task: every bias score has to be read together with it.

Test items are those of the task's test tables, or the share of its examples that the split held out. Groups: "all", and
each test table by name where there are several. Language models pay a forward pass for each token, so `texts` limits
what is scored.

Formula:
    pseudo_perplexity = exp(−(1/N) Σ log p(token | all others))              masked LM: each token masked in turn
    perplexity        = exp(−(1/N) Σ log p(token | those before it))         causal LM
    mcc               = Matthews' correlation coefficient for several classes, 0 where undefined
Statistics:
    - `score`, the headline, is the main one of those below with higher meaning better: Pearson (Spearman for similarity
      without training), accuracy, or for language models the mean log-probability of a token, −log of the
      (pseudo-)perplexity;
    - regression, similarity: `pearson` and `spearman` correlation of prediction and label; regression also `mse`, and,
      where labels have both signs, `sign_accuracy` over labels that are not 0. Constant predictions: correlation NaN;
    - classification: `accuracy`, `macro_f1` (unweighted over the labels; one that never occurs nor is predicted counts
      0), `mcc`, `p_label` (mean probability of the correct label);
    - masked language models: `pseudo_perplexity`; causal: `perplexity`.
Paper: Pseudo-perplexity: Salazar et al., *Masked Language Model Scoring*, ACL 2020; MCC for several classes: Gorodkin,
    *Comparing two K-category assignments by a K-category correlation coefficient*, 2004.
Range: Correlations and `mcc` [−1, 1]; shares and probabilities [0, 1]; perplexities from 1; `mse` from 0.
Direction: None: this is no bias metric. Higher is better, except for `mse` and perplexities.
Unbiased model: Does not exist.
Random model: Correlations 0, `sign_accuracy` 1/2; guessing among k labels 1/k, `mcc` 0; a uniform language model has a
    perplexity of the size of its vocabulary.
Limits: Perplexities depend on the tokenizer: compare within a model only.
Data: The study's.
Use:
    - {metric: task_score, sample: 400, texts: 20}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, Direction, MetricKind, Scoring
from fairshrink.metrics._shared.held_out import LANGUAGE_MODELS, HeldOutSettings, held_out, masks
from fairshrink.stats.estimates import Estimate, Statistic, Sums, combine, pearson, ratio, spearman, weighted_mean

if TYPE_CHECKING:
    from pandas import DataFrame


NEEDS: frozenset[Capability] = frozenset({"scored"})
NEEDS_TASK = True
NEEDS_BASELINE = False
KIND: MetricKind = "task"
ROLES: dict[str, str] = {}
HEADLINE = ("score", "all")


class Settings(HeldOutSettings):
    """Settings of the task score."""


def score(given: Scoring, settings: Settings) -> DataFrame:
    """One row for each test item, with the columns of the task's own ``score``; ``group`` is the test table."""
    import pandas as pd

    from fairshrink.errors import UserError

    task = given.task
    if task is None:
        raise UserError("task_score needs the task of the checkpoint")
    parts = [
        pd.concat([where, task.module.score(given.checkpoint, chosen, task.settings)], axis=1)
        for where, chosen in held_out(task, settings)
    ]
    return pd.concat(parts).sort_values("item", ignore_index=True)


def summarize(items: DataFrame, settings: Settings) -> list[Statistic]:
    """The statistics of the card for all items and, where there are several, for each test table."""
    kind = items["kind"].iloc[0]
    summary = _of_classes if kind == "classification" else _of_texts if kind in LANGUAGE_MODELS else _of_numbers
    result = []
    for group, mask in masks(items).items():
        for name, estimate, random, higher_is in summary(items, mask, kind):
            if name != "score" or group == "all":
                result.append(Statistic(name, estimate, group, int(mask.sum()), None, random, higher_is))
    return result


Row = tuple[str, Estimate, float | None, Direction]


def _of_numbers(items: DataFrame, mask: np.ndarray, kind: str) -> Iterator[Row]:
    predicted, label = items["prediction"].to_numpy(), items["label"].to_numpy()
    linear, ranks = pearson(predicted, label, mask), spearman(predicted, label, mask)
    yield "score", ranks if kind == "similarity" else linear, 0.0, "better"
    yield "pearson", linear, 0.0, "better"
    yield "spearman", ranks, 0.0, "better"
    if kind == "regression":
        yield "mse", weighted_mean((predicted - label) ** 2, mask), None, ""
        if label.min() < 0 < label.max():
            correct = np.sign(predicted) == np.sign(label)
            yield "sign_accuracy", weighted_mean(correct, mask & (label != 0)), 0.5, "better"


def _of_classes(items: DataFrame, mask: np.ndarray, kind: str) -> Iterator[Row]:
    guessing = 1 / int(items["n_labels"].iloc[0])
    correct = weighted_mean(items["label"] == items["predicted"], mask)
    yield "score", correct, guessing, "better"
    yield "accuracy", correct, guessing, "better"
    yield "macro_f1", _confusion(items, mask, _macro_f1), None, "better"
    yield "mcc", _confusion(items, mask, _mcc), 0.0, "better"
    yield "p_label", weighted_mean(items["p_label"], mask), guessing, "better"


def _of_texts(items: DataFrame, mask: np.ndarray, kind: str) -> Iterator[Row]:
    per_token, vocabulary = ratio(items["nll"], items["tokens"], mask), float(items["vocabulary"].iloc[0])
    yield "score", combine(np.negative, per_token), -float(np.log(vocabulary)), "better"
    name = "pseudo_perplexity" if kind == "masked_lm" else "perplexity"
    yield name, combine(np.exp, per_token), vocabulary, ""


def _confusion(items: DataFrame, mask: np.ndarray, finish: Callable[[np.ndarray, int], np.ndarray]) -> Estimate:
    """``finish(counts [B, k, k] by label and prediction, k)``, where k counts the labels that the task has."""
    n_labels = int(items["n_labels"].iloc[0])
    names = sorted(set(items["label"]) | set(items["predicted"]))
    label, predicted = (np.array([names.index(each) for each in items[c]]) for c in ("label", "predicted"))
    cells = np.zeros((len(items), len(names) ** 2))
    cells[np.arange(len(items)), label * len(names) + predicted] = mask
    return Sums(cells, lambda sums: finish(sums.reshape(-1, len(names), len(names)), n_labels))


def _macro_f1(counts: np.ndarray, n_labels: int) -> np.ndarray:
    correct = np.diagonal(counts, axis1=1, axis2=2)
    both = counts.sum(1) + counts.sum(2)
    return np.divide(2 * correct, both, out=np.zeros_like(both), where=both > 0).sum(1) / n_labels


def _mcc(counts: np.ndarray, n_labels: int) -> np.ndarray:
    n, correct = counts.sum((1, 2)), np.trace(counts, axis1=1, axis2=2)
    label, predicted = counts.sum(2), counts.sum(1)
    above = n * correct - (label * predicted).sum(1)
    below = np.sqrt((n**2 - (label**2).sum(1)) * (n**2 - (predicted**2).sum(1)))
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
