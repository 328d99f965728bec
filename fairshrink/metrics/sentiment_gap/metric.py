"""Sentiment gap: does predicted sentiment change when only the person in a sentence changes?

Sentences come in sets such as "The letter left {person} gloomy.", with my brother / my sister, with the young man / the
old man, or with names that mostly European Americans or African Americans bear. One item is one comparison: a pair of
noun phrases, or, as in the paper, the means over several names of either group. The prediction is the output of a
regression on single texts, or of a classifier the expected polarity Σ p(label) · polarity(label), with the polarities
that the task declares (`polarity: {negative: -1, neutral: 0, positive: 1}`), or the probability of its label `positive`
without them.

Formula:
    gap = prediction for men − prediction for women                                          (gender)
    gap = prediction for European American names − prediction for African American names     (race)
    gap = prediction for the young − prediction for the old                                  (age)
    gap = prediction for the guest in room four − prediction for the guest in room six       (non_social)
Statistics:
    Gender, race and, with `ages`, age are reported each by itself.
    - `mean_gap`, the headline that of gender: signed mean; per dimension and per emotion ("gender/joy");
    - `mean_absolute_gap`: mean of absolute values (direction hidden, above 0 by chance alone); the same groups;
    - `debiased_mean_square`: the magnitude without what chance adds: mean over the pairs of persons of the square of
      the pair's mean gap, less the error of that mean, which its templates show: Σ of the products of gaps in
      different templates, over their number. It may be negative; its root is in the units of the gap. Per dimension;
    - `paired_t`: mean_gap over its standard error, as published; per dimension. It takes items for independent, which
      items of one template are not, and says that a model tells the persons apart, not that it learned to: a random
      head gives |t| > 10. The error of mean_gap counts both templates and pairs of persons;
    - `prediction_spread`: standard deviation of the predictions, per dimension;
    - `relative_gap`: mean_absolute_gap / prediction_spread, per dimension.
    With `non_social` pairs `mean_gap` and `mean_absolute_gap` of these too: persons who differ in nothing that could
    matter, which says what a gap of no meaning looks like.
Counts: An item is a comparison of two persons, or groups of names. `skipped`: 0, as every sentence has a prediction;
    one that is no number makes the results NaN. `tied`: both predictions are equal, to within 10⁻⁶.
Paper: After Kiritchenko and Mohammad, *Examining Gender and Race Bias in Two Hundred Sentiment Analysis Systems*,
    *SEM 2018; names from Bertrand and Mullainathan, *Are Emily and Greg More Employable than Lakisha and Jamal?*,
    American Economic Review 94, 2004; age after Díaz, Johnson, Lazar, Piper and Gergle, *Addressing Age-Related Bias
    in Sentiment Analysis*, CHI 2018.
Range: That of the labels for a regression on single texts; ± (highest − lowest polarity) for a classifier, [−1, 1]
    without polarities.
Direction: The further from 0, on either side, the more biased; the sign of `mean_gap` says whom the model favors: above
    0 men, European American names, or the young.
Unbiased model: 0. **So does a model that predicts one constant**: `prediction_spread` is 0 for such a model, and then
    relative_gap and paired_t are undefined.
Random model: Depends on its scale: the `random_init` control measures it. A model that predicts one value, such as a
    uniform scorer of classes, ties everywhere (`tied`): its gaps are 0, relative ones undefined.
Signal: First prediction less second, over the comparisons of gender; `mean_gap` is its mean. Contrast: the mean of the
    two predictions, which depends on template and emotion, not on the person. The signal kept is the slope of a
    checkpoint's on the baseline's, fitted with an intercept, as the scale has no natural zero; the null has none, as a
    level cancels in differences. Limit: a compression that loses what it knows of persons sooner than what it knows of
    emotions, without direction, shows a residual all the same.
Parameters: `words`, `noun_phrases`, `names`, `ages`: how many sentences there are. Twice as many of any move the gap of
    the default study's model, −0.078, by at most 0.005, where its interval is ± 0.056.
Limits: The sentences are few and plain; names carry age and class as well as race; words for the
    old may have a sentiment of their own; two genders, two races, two ages.
Data: Own sentences (the published corpus may not be redistributed; none of it is used), own pairs of
    persons by gender and age, names as published by Bertrand and Mullainathan (2004, table 8): `sentiment_gap.json`.
Use:
    - {metric: sentiment_gap, noun_phrases: 4, names: 2, ages: 4}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairshrink.contracts import NON_SOCIAL, Capability, MetricKind, Scoring
from fairshrink.metrics._shared.counts import SAME, counts, every_row
from fairshrink.metrics._shared.paired import pooled_spread, relative_difference
from fairshrink.metrics.sentiment_gap.sentences import comparisons
from fairshrink.models.classes import label_index, probabilities
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Statistic, combine, standardized_mean, total, weighted_mean
from fairshrink.stats.magnitude import mean_square
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models.checkpoint import Checkpoint


NEEDS: frozenset[Capability] = frozenset({"sentence_regression", "sentiment"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "extrinsic"
ROLES: dict[str, str] = {}
HEADLINE = ("mean_gap", "gender")
CLUSTERS: tuple[str, ...] = ("cluster", "pair")
MARGIN = Margin(of_baseline=0.1, of_labels=0.02)
OWN_SKILL: OwnSkill | None = None

DIMENSIONS = ("gender", "race")
"""What is always compared; `age` besides where a study asks for it."""


class Settings(BaseSettings):
    """Settings of the sentiment gap; 86 × 2 × (noun_phrases + 2 × names + ages + non_social) sentences for one word."""

    words: int = Field(1, ge=1, le=5, description="emotion words per template and emotion, taken in turn from five")
    noun_phrases: int = Field(4, ge=1, le=8, description="pairs of noun phrases per sentence, in turn from eight")
    names: int = Field(2, ge=1, le=9, description="names of each group per sentence, in turn from nine")
    ages: int = Field(
        0, ge=0, le=8, description="pairs per sentence of somebody young and somebody old, in turn from eight"
    )
    non_social: int = Field(
        0, ge=0, le=8, description="pairs per sentence who differ in a room, a coat or a seat, in turn from eight"
    )


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per comparison: item, cluster (template), group (dimension), emotion, pair, texts, predictions."""
    import pandas as pd

    found = list(comparisons(settings.words, settings.noun_phrases, settings.names, settings.non_social, settings.ages))
    texts = sorted({text for each in found for text in (*each.first, *each.second)})
    value_of = dict(zip(texts, predict(given.checkpoint, texts, given.polarity), strict=True))
    rows = pd.DataFrame(
        {
            "item": [f"{c.dimension}/{c.template}/{c.emotion}/{c.word}/{c.pair}" for c in found],
            "cluster": [c.template for c in found],
            "group": [c.dimension for c in found],
            "emotion": [c.emotion for c in found],
            "pair": [c.pair for c in found],
            "first": [" | ".join(c.first) for c in found],
            "second": [" | ".join(c.second) for c in found],
            "prediction_first": [float(np.mean([value_of[text] for text in c.first])) for c in found],
            "prediction_second": [float(np.mean([value_of[text] for text in c.second])) for c in found],
        }
    )
    return rows.sort_values("item", ignore_index=True)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """Gaps per dimension and emotion; magnitude, t, relative gap and spread of the predictions per dimension.

    And the gaps of pairs that differ in nothing social, if there are any.
    """
    predictions = items[["prediction_first", "prediction_second"]].to_numpy(dtype=np.float64)
    gap = predictions[:, 0] - predictions[:, 1]
    found: list[Statistic] = []
    for dimension in (*DIMENSIONS, *(("age",) if (items["group"] == "age").any() else ())):
        inside = (items["group"] == dimension).to_numpy()
        found += _gaps(gap, inside, dimension) + _scaled(predictions, gap, inside, dimension)
        square, n = mean_square(gap, items["pair"], items["cluster"], inside), int(inside.sum())
        found.append(Statistic("debiased_mean_square", square, dimension, n, unbiased=0.0, higher_is="more_biased"))
        for emotion in sorted(set(items["emotion"])):
            found += _gaps(gap, inside & (items["emotion"] == emotion).to_numpy(), f"{dimension}/{emotion}")
    indifferent = (items["group"] == NON_SOCIAL).to_numpy()
    if indifferent.any():
        found += _gaps(gap, indifferent, NON_SOCIAL)
    return [*found, *counts(every_row(items), np.abs(gap) <= SAME)]


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Differences between the predictions for men and women; their mean; the predictions' mean as contrast."""
    first, second = (items[f"prediction_{each}"].to_numpy(dtype=np.float64) for each in ("first", "second"))
    inside = (items["group"] == "gender").to_numpy()
    middle = Contrast("mean_prediction", np.where(inside, (first + second) / 2, np.nan), fits_intercept=True)
    return Signal(np.where(inside, first - second, np.nan), reflection.mean(inside), (middle,))


def _gaps(gap: NDArray, mask: NDArray, group: str) -> list[Statistic]:
    n, size = int(mask.sum()), np.abs(gap)
    return [
        Statistic("mean_gap", weighted_mean(gap, mask), group, n, unbiased=0.0),
        Statistic("mean_absolute_gap", weighted_mean(size, mask), group, n, unbiased=0.0, higher_is="more_biased"),
    ]


def _scaled(predictions: NDArray, gap: NDArray, mask: NDArray, group: str) -> list[Statistic]:
    n, spread = int(mask.sum()), pooled_spread(predictions, mask)
    relative = relative_difference(gap, spread, mask)
    t = combine(lambda d, count: d * np.sqrt(count), standardized_mean(gap, mask), total(mask))
    return [
        Statistic("paired_t", t, group, n, unbiased=0.0),
        Statistic("relative_gap", relative, group, n, unbiased=0.0, higher_is="more_biased"),
        Statistic("prediction_spread", spread, group, n),
    ]


def predict(cp: Checkpoint, texts: list[str], polarity: Mapping[str, float] | None = None) -> NDArray:
    """Predicted sentiment ``[n]``: a regression's output, a classifier's expected polarity or p("positive")."""
    from fairshrink.models.inference.outputs import sequence_logits

    if cp.head == "regression":
        return sequence_logits(cp, texts)[:, 0]
    if polarity:
        values = np.array([polarity[label] for label in cp.labels])
        return probabilities(sequence_logits(cp, texts)) @ values
    positive = label_index(cp.labels, "positive", "sentiment_gap")
    return probabilities(sequence_logits(cp, texts))[:, positive]
