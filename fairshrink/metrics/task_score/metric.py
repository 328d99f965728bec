"""How well a checkpoint does its own task: every bias score has to be read together with it.

Test items are those of the task's test tables, or the share of its examples that the split held out. Groups: "all", and
each test table by name where there are several. Language models pay a forward pass for each token, so `texts` limits
what is scored.

Formula:
    pseudo_perplexity = exp(−(1/N) Σ log p(token | all others))              masked LM: each token masked in turn
    perplexity        = exp(−(1/N) Σ log p(token | those before it))         causal LM
    mcc               = Matthews' correlation coefficient for several classes, 0 where undefined
    mse_skill         = 1 − mse / variance of the labels
Statistics:
    - `score`, the headline, is the main one of those below with higher meaning better: for regression `mse_skill`, for
      similarity without training Spearman, accuracy, or for language models the mean log-probability of a token, −log
      of the (pseudo-)perplexity. Pearson is no score of a regression: it stays as it is when predictions shrink to
      almost a constant, and a difference between two groups shrinks with them, so that a collapsed model would count
      as skilled and fair. The price: a level that is off, which no difference shows, lowers `mse_skill`;
    - regression, similarity: `pearson` and `spearman` correlation of prediction and label; regression also `mse`,
      `mse_skill` (the share of the labels' variance that is predicted; below 0 is worse than their mean), and, where
      labels have both signs, `sign_accuracy` over labels that are not 0. Constant predictions: correlation NaN;
    - classification: `accuracy`, `macro_f1` (unweighted over the labels; one that never occurs nor is predicted counts
      0), `mcc`, `p_label` (mean probability of the correct label);
    - masked language models: `pseudo_perplexity`; causal: `perplexity`.
Counts: An item is a test item of the task. `skipped`: 0, as long texts are cut off and every item has an output.
    `tied`: two labels are the likeliest (classification), or another item has the same prediction and so the same rank
    (regression, similarity); 0 for texts, which are not compared.
Paper: Pseudo-perplexity: Salazar et al., *Masked Language Model Scoring*, ACL 2020; MCC for several classes: Gorodkin,
    *Comparing two K-category assignments by a K-category correlation coefficient*, 2004; MSE skill: Murphy, *Skill
    scores based on the mean square error and their relationships to the correlation coefficient*, 1988.
Range: Correlations and `mcc` [−1, 1]; shares and probabilities [0, 1]; perplexities from 1; `mse` from 0; `mse_skill`
    up to 1.
Direction: None: this is no bias metric. Higher is better, except for `mse` and perplexities.
Unbiased model: Does not exist.
Random model: What can be had without looking at a text, whichever is better. Correlations, `mse_skill` and `mcc` 0,
    `mse` the variance of the labels; accuracy and `p_label`: guessing among k labels, 1/k, or always the commonest
    label of the scored items, likewise for signs; language models: a uniform one, whose perplexity is the size of the
    vocabulary, or how often each token occurs in the task's training text plus one (`unigram_nll` of the items, the
    same tokens).
Limits: Perplexities depend on the tokenizer: compare within a model only. A task without training text has no table of
    tokens; of a large one the first 20,000 texts are counted.
Data: The study's.
Use:
    - {metric: task_score, sample: 400, texts: 20}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, Direction, MetricKind, Scoring
from fairshrink.metrics._shared.counts import counts, every_row
from fairshrink.metrics._shared.held_out import LANGUAGE_MODELS, HeldOutSettings, held_out, masks
from fairshrink.stats.estimates import (
    Estimate,
    Statistic,
    Sums,
    combine,
    pearson,
    ratio,
    spearman,
    standard_deviation,
    weighted_mean,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.data.examples import Task
    from fairshrink.models.checkpoint import Checkpoint


NEEDS: frozenset[Capability] = frozenset({"scored"})
NEEDS_TASK = True
NEEDS_BASELINE = False
KIND: MetricKind = "task"
ROLES: dict[str, str] = {}
HEADLINE = ("score", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)


class Settings(HeldOutSettings):
    """Settings of the task score."""


def score(given: Scoring, settings: Settings) -> DataFrame:
    """One row for each test item, with the columns of the task's own ``score``; ``group`` is the test table.

    Language models: and ``unigram_nll``, the sum of −log p(token) by how often each occurs in the training text.
    """
    import pandas as pd

    from fairshrink.errors import UserError

    task = given.task
    if task is None:
        raise UserError("task_score needs the task of the checkpoint")
    parts = []
    for where, chosen in held_out(task, settings):
        scored = task.module.score(given.checkpoint, chosen, task.settings)
        if task.kind in LANGUAGE_MODELS:
            scored = scored.assign(unigram_nll=_unigrams(given.checkpoint, task, list(chosen["text"])))
        parts.append(pd.concat([where, scored], axis=1))
    return pd.concat(parts).sort_values("item", ignore_index=True)


def _unigrams(cp: Checkpoint, task: Task, texts: list[str]) -> np.ndarray:
    from fairshrink.data.examples import frames
    from fairshrink.metrics.task_score.unigram import unigram_nll

    training = list(frames(task)["train"]["text"]) if task.train is not None else []
    return unigram_nll(cp, training, texts, getattr(task.settings, "max_length", None))


def summarize(items: DataFrame, settings: Settings) -> list[Statistic]:
    """The statistics of the card for all items and, where there are several, for each test table."""
    kind = items["kind"].iloc[0]
    summary = _of_classes if kind == "classification" else _of_texts if kind in LANGUAGE_MODELS else _of_numbers
    result = []
    for group, mask in masks(items).items():
        for name, estimate, random, higher_is in summary(items, mask, kind):
            if name != "score" or group == "all":
                counted = name in SHARES or (name == "score" and kind == "classification")
                share = 1.0 if counted else None
                result.append(
                    Statistic(name, estimate, group, int(mask.sum()), None, random, higher_is, share_of=share)
                )
    return [*result, *counts(every_row(items), _tied(items))]


def _tied(items: DataFrame) -> np.ndarray:
    """Which items have two likeliest labels, or share their prediction with another one, and so their rank."""
    if "prediction" in items:
        return items["prediction"].duplicated(keep=False).to_numpy()
    return items["tied"].to_numpy(dtype=bool) if "tied" in items else np.zeros(len(items), dtype=bool)


SHARES = ("accuracy", "sign_accuracy")
Row = tuple[str, Estimate, float | None, Direction]


def _of_numbers(items: DataFrame, mask: np.ndarray, kind: str) -> Iterator[Row]:
    predicted, label = items["prediction"].to_numpy(), items["label"].to_numpy()
    ranks, squared = spearman(predicted, label, mask), weighted_mean((predicted - label) ** 2, mask)
    skill = combine(_skill, squared, standard_deviation(label, mask, ddof=0))
    yield "score", ranks if kind == "similarity" else skill, 0.0, "better"
    yield "pearson", pearson(predicted, label, mask), 0.0, "better"
    yield "spearman", ranks, 0.0, "better"
    if kind == "regression":
        yield "mse", squared, float(np.var(label[mask])), "worse"
        yield "mse_skill", skill, 0.0, "better"
        if label.min() < 0 < label.max():
            correct, signed = np.sign(predicted) == np.sign(label), mask & (label != 0)
            yield "sign_accuracy", weighted_mean(correct, signed), _commonest(np.sign(label[signed])), "better"


def _of_classes(items: DataFrame, mask: np.ndarray, kind: str) -> Iterator[Row]:
    guessing = max(1 / int(items["n_labels"].iloc[0]), _commonest(items["label"].to_numpy()[mask]))
    correct = weighted_mean(items["label"] == items["predicted"], mask)
    yield "score", correct, guessing, "better"
    yield "accuracy", correct, guessing, "better"
    yield "macro_f1", _confusion(items, mask, _macro_f1), None, "better"
    yield "mcc", _confusion(items, mask, _mcc), 0.0, "better"
    yield "p_label", weighted_mean(items["p_label"], mask), guessing, "better"


def _of_texts(items: DataFrame, mask: np.ndarray, kind: str) -> Iterator[Row]:
    per_token, tokens = ratio(items["nll"], items["tokens"], mask), float(items["tokens"][mask].sum())
    uniform = float(np.log(items["vocabulary"].iloc[0]))
    unigram = float(items["unigram_nll"][mask].sum()) / tokens if tokens else uniform
    untrained = min(uniform, unigram)
    yield "score", combine(np.negative, per_token), -untrained, "better"
    name = "pseudo_perplexity" if kind == "masked_lm" else "perplexity"
    yield name, combine(np.exp, per_token), float(np.exp(untrained)), "worse"


def _skill(squared_error: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """NaN where the labels are one constant."""
    return 1 - np.divide(squared_error, spread**2, out=np.full(spread.shape, np.nan), where=spread > 0)


def _commonest(labels: np.ndarray) -> float:
    """The share of the commonest one; 0 of none."""
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels)) if len(labels) else 0.0


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
