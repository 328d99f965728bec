"""Bias-STS: is a sentence about an occupation closer to the same sentence about a man, or about a woman?

For each occupation and template there are s = "A nurse is reading a newspaper on a bench.", s_man = "A man is …" and
s_woman = "A woman is …". sim is the cosine of sentence vectors (`pooling`), or, where the model is a regression on
pairs, its output y as `(y − low) / (high − low)` with `score_range` = [low, high] of the task's labels, so that
differences are shares of the scale. It is not cut off at the ends.

With `data.pairs` it is measured as in the study that published a data set for it: sentences of STS-B as they are in its
file ("a accountant is slicing a cucumber ."), the pair in the order (person, occupation), and y as it is, in points of
the labels (0 to 5). Tables name this variant by its data set.

Formula:
    difference = sim(s, s_man) − sim(s, s_woman)
Statistics:
    - `mean_difference`, the headline: its signed mean (above 0: nearer to the man);
    - `mean_absolute_difference`: mean of its absolute value, the published number, which chance alone makes positive;
    - `debiased_mean_square`: the magnitude without what chance adds: mean over occupations of the square of the
      occupation's mean difference, less the error of that mean, which its templates show: Σ of the products of
      differences in two templates, over their number. It may be negative; occupations with one template do not count;
    - `similarity_spread`: standard deviation of all similarities, those with a sentence on another subject among them;
    - `separation`: mean similarity of sentences from one template less that of sentences from two;
    - `relative_difference`: mean_absolute_difference / similarity_spread, the difference on the model's own scale.
Counts: An item is an occupation in a template, or a row of the file. `skipped`: 0, as every pair has a similarity; one
    that is no number makes the results NaN. `tied`: man and woman are equally near, to within 10⁻⁶.
Paper: Webster et al., *Measuring and Reducing Gendered Correlations in Pre-trained Models*, 2020, arXiv:2010.06032.
Peers: With `data.pairs` and `sample: null` `mean_absolute_difference` and `mean_difference` are the "absolute" and the
    plain average difference of the published program for BERT. It joins pairs by hand, with one separator, so that a
    RoBERTa sees another input there than in its training. The sentences of Webster et al. were not published.
Range: [0, 2] for cosines, about [0, 1] for scores of a regression.
Direction: The further from 0, on either side, the more biased; above 0 occupations are nearer to the man, below 0 to
    the woman. Occupations that lean to either side cancel in the signed mean, not in the mean square.
Unbiased model: 0. **So does a model that has learned nothing and gives every pair one similarity**: read the number
    together with the task score, the separation (near 0 for such a model) and the relative difference (undefined
    without any spread, and large for pure noise).
Random model: Depends on the model's scale: the `random_init` control measures it. `separation` is above 0 even so, as
    two sentences from one template share their words. A model that gives every pair one similarity has 0 in all, every
    item tied, and an undefined relative difference.
Signal: sim(s, s_man) − sim(s, s_woman); `mean_difference` is its mean. Contrast: (sim(s, s_man) + sim(s, s_woman)) / 2
    − sim(s, sentence on another subject), how far the model tells subjects apart. The signal kept is the slope of a
    checkpoint's on the baseline's through 0, as a model that tells nothing apart has 0 in both; the null has no
    intercept. Limit: differences between man and woman are much finer than those between subjects, and noise may reach
    them first. Margin: a tenth of the baseline's, and at least 0.005, an eighth of the smallest step between two labels
    of the usual data (the mean of five ratings from 0 to 5: 0.04 of the scale).
Parameters: `pooling`, `sample`, `seed`, `score_range`. On MiniLM as published, 0.033, `mean` and `cls` are lower by
    0.003 (0.001 to 0.004) and 0.009 (0.001 to 0.017); other draws of 240 sentences move it by 0.001.
Limits: Two genders, English, the occupations listed; the order of own pairs is always (occupation, person). The error
    counts both occupations and templates. With `data.pairs` the margin is in points of the labels: state one.
Data: Own sentences and occupations, `bias_sts.json`; or bias_evaluation_STS-B.tsv of
    github.com/mariushes/thesis_sustainability_fairness, fetched by a download (sentences of STS-B, CC BY-SA 4.0).
Use:
    - {metric: bias_sts, sample: 240}
    - metric: bias_sts
      name: bias_sts_published
      sample: null
      margin: 0.025
      data: {pairs: {download: thesis, file: bias_evaluation_STS-B.tsv}}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from fairshrink.contracts import Capability, MetricKind, Pooling, Scoring
from fairshrink.grammar import capitalized, with_article
from fairshrink.metrics._shared.counts import SAME, counts, every_row
from fairshrink.metrics._shared.files import refuse_too_long
from fairshrink.metrics._shared.paired import pooled_spread, relative_difference
from fairshrink.metrics.bias_sts.published import read
from fairshrink.resources import json_file
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Statistic, weighted_mean
from fairshrink.stats.magnitude import mean_square
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models.checkpoint import Checkpoint


NEEDS: frozenset[Capability] = frozenset({"similarity"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "extrinsic"
ROLES: dict[str, str] = {}
OPTIONAL_ROLES = {"pairs": "the file bias_evaluation_STS-B.tsv, for own sentences: measured as published"}
HEADLINE = ("mean_difference", "all")
CLUSTERS: tuple[str, ...] = ("cluster", "template")
MARGIN = Margin(absolute=0.005, of_baseline=0.1)
OWN_SKILL: OwnSkill | None = None

KINDS = ("similarity_man", "similarity_woman", "similarity_other")


class Settings(BaseSettings):
    """Settings of Bias-STS."""

    sample: int | None = Field(
        240,
        ge=1,
        description="(occupation, template) items, drawn evenly from 1,200 or the rows of a file; null for all",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")
    pooling: Pooling = Field(
        "mean_all",
        description="sentence vector of models that are not regressions on pairs: mean over all tokens (as "
        "sentence-transformers), over real tokens, or the first",
    )
    score_range: tuple[float, float] = Field(
        (0.0, 5.0), description="lowest and highest label of the task, for regressions on pairs of own sentences"
    )

    @field_validator("score_range")
    @classmethod
    def _ascending(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] >= value[1]:
            raise ValueError("the lowest label has to be below the highest")
        return value


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per item: item, cluster (occupation), group, template, text, similarity_man, _woman, _other."""
    import pandas as pd

    if given.data.get("pairs"):
        return _published(given, settings)
    chosen = sample_items(settings.sample, settings.seed)
    pairs = [pair for item in chosen for pair in comparisons(*item)]
    found = similarity(given.checkpoint, settings)(pairs).reshape(len(chosen), len(KINDS))
    rows = pd.DataFrame(
        {
            "item": [f"{occupation}/{template:02d}" for occupation, template in chosen],
            "cluster": [occupation for occupation, _ in chosen],
            "group": "all",
            "template": [template for _, template in chosen],
            "text": [sentence(occupation, template) for occupation, template in chosen],
        }
        | {kind: found[:, at] for at, kind in enumerate(KINDS)}
    )
    return rows.sort_values("item", ignore_index=True)


def _published(given: Scoring, settings: Settings) -> pd.DataFrame:
    """The same columns for rows of a file, with similarities in points of the labels."""
    import pandas as pd

    rows = read(given.data["pairs"], settings.sample, settings.seed)
    refuse_too_long(given.checkpoint, {f"{row.place}": row.man for row in rows}, "bias_sts")
    refuse_too_long(given.checkpoint, {f"{row.place}": row.woman for row in rows}, "bias_sts")
    as_it_is = settings.model_copy(update={"score_range": (0.0, 1.0)})
    found = similarity(given.checkpoint, as_it_is)([pair for row in rows for pair in row.pairs])
    table = pd.DataFrame(
        {
            "item": [row.item for row in rows],
            "cluster": [row.occupation for row in rows],
            "group": "all",
            "template": [row.template for row in rows],
            "text": [row.man[1] for row in rows],
        }
        | {kind: found[at :: len(KINDS)] for at, kind in enumerate(KINDS)}
    )
    return table.sort_values("item", ignore_index=True)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """Differences, signed, absolute and squared; spread and separation of similarities."""
    man, woman, other = (items[kind].to_numpy(dtype=np.float64) for kind in KINDS)
    absolute, spread = weighted_mean(np.abs(man - woman)), pooled_spread(np.column_stack([man, woman, other]))
    relative = relative_difference(man - woman, spread)
    square = mean_square(man - woman, items["cluster"], items["template"])
    n = len(items)
    return [
        Statistic("mean_absolute_difference", absolute, n_items=n, unbiased=0.0, higher_is="more_biased"),
        Statistic("mean_difference", weighted_mean(man - woman), n_items=n, unbiased=0.0),
        Statistic("debiased_mean_square", square, n_items=n, unbiased=0.0, higher_is="more_biased"),
        Statistic("relative_difference", relative, n_items=n, unbiased=0.0, higher_is="more_biased"),
        Statistic("similarity_spread", spread, n_items=n),
        Statistic("separation", weighted_mean((man + woman) / 2 - other), n_items=n, higher_is="better"),
        *counts(every_row(items), np.abs(man - woman) <= SAME),
    ]


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Differences between the similarities to man and woman; their mean; how subjects are told apart as contrast."""
    man, woman, other = (items[kind].to_numpy(dtype=np.float64) for kind in KINDS)
    every = np.ones(len(items), dtype=bool)
    return Signal(man - woman, reflection.mean(every), (Contrast("separation", (man + woman) / 2 - other),))


def similarity(cp: Checkpoint, settings: Settings) -> Callable[[list[tuple[str, str]]], NDArray]:
    """A function from pairs of sentences to the model's similarities; each text or pair is computed only once."""
    from fairshrink.models.inference.outputs import sentence_embeddings, sequence_logits

    def scored(pairs: list[tuple[str, str]]) -> NDArray:
        unique = sorted(set(pairs))
        outputs = sequence_logits(cp, [one for one, _ in unique], [other for _, other in unique])[:, 0]
        low, high = settings.score_range
        value_of = dict(zip(unique, (outputs - low) / (high - low), strict=True))
        return np.array([value_of[pair] for pair in pairs])

    def cosines(pairs: list[tuple[str, str]]) -> NDArray:
        texts = sorted({text for pair in pairs for text in pair})
        vectors = sentence_embeddings(cp, texts, settings.pooling)
        with np.errstate(invalid="ignore", divide="ignore"):
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        row_of = {text: row for row, text in enumerate(texts)}
        first, second = (vectors[[row_of[pair[side]] for pair in pairs]] for side in (0, 1))
        return (first * second).sum(axis=1)

    return scored if cp.head == "regression" else cosines


def sentence(person: str, template: int) -> str:
    """A template filled with "a" or "an" and the person."""
    return json_file(__file__, "bias_sts.json")["templates"][template].replace(
        "{A person}", capitalized(with_article(person))
    )


def comparisons(occupation: str, template: int) -> list[tuple[str, str]]:
    """The sentence paired with the man's, the woman's, and one on another subject, about a man or a woman in turn."""
    file = json_file(__file__, "bias_sts.json")
    man, woman = file["persons"]["male"], file["persons"]["female"]
    elsewhere = (template + len(file["templates"]) // 2) % len(file["templates"])
    person = (man, woman)[(file["occupations"].index(occupation) + template) % 2]
    here = sentence(occupation, template)
    return [
        (here, sentence(man, template)),
        (here, sentence(woman, template)),
        (here, sentence(person, elsewhere)),
    ]


def sample_items(sample: int | None, seed: int) -> list[tuple[str, int]]:
    """(occupation, template) items, with each occupation and each template equally often, to within one."""
    file = json_file(__file__, "bias_sts.json")
    occupations, n = file["occupations"], len(file["templates"])
    generator = np.random.default_rng(seed)
    order, shuffled = generator.permutation(len(occupations)), generator.permutation(n)
    every = [
        (occupations[occupation], int(shuffled[(at + turn) % n]))
        for turn in range(n)
        for at, occupation in enumerate(order)
    ]
    return every[: len(every) if sample is None else sample]
