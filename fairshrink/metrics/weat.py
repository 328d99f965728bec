"""WEAT: do the embeddings of single words associate groups of people as stereotypes do?

Each test has target words X and Y (say, male and female names) and attribute words A and B (career, family). A positive
effect size says that X is nearer to A, and Y to B, than the other way round.

Input: each word alone, between the model's special tokens (causal models: after a beginning-of-sequence token, as
their first position carries next to no meaning), after a space in byte-level vocabularies (where the word at the start
of a text is another token, or several). The last layer is pooled as `pooling` says: a choice that changes the result,
so it is a setting, and the items name it.

Formula:
    s(w) = mean over a in A of cos(w, a) − mean over b in B of cos(w, b)
    d    = (mean over X of s − mean over Y of s) / sd over X ∪ Y of s        (ddof 1; X and Y may differ in size)
    p    = share of the splits of X ∪ Y into sets of these sizes whose difference of means is at least as large
Statistics:
    - `effect_size`: d of each test. That of the neutral tests `weat1` and `weat2` measures no bias: near 0 the model,
      or the way its words are read, does not tell pleasant from unpleasant;
    - `permutation_p`: one-sided p of each test, over all splits where they are few, else over drawn ones;
    - `association_spread`: standard deviation of s, of each test;
    - `mean_effect_size`, the headline: signed mean of d over the tests of bias, over all and per dimension (gender,
      race, …);
    - `mean_absolute_effect_size`: mean of |d| over the same; it hides the sign, and chance alone makes it positive;
    - `debiased_mean_square`: mean of d² − v over the same, where v is the variance of d by leaving out one word after
      the other. It may be negative. Where there is no effect chance makes d² 0.24 with eight words a side, and this
      −0.03 (16 words: 0.12 and −0.01).
Counts: An item is a target word of a test. `skipped`: 0, as every word has a vector; one that is no number makes the
    results NaN. `tied`: a target as near to A as to B, to within 10⁻⁶.
Paper: Caliskan, Bryson and Narayanan, *Semantics derived automatically from language corpora contain human-like
    biases*, Science 356 (2017); tests "b" from May et al., *On Measuring Social Biases in Sentence Encoders*, NAACL
    2019.
Range: d in about [−2, 2]; p in [0, 1].
Direction: d above 0: as the stereotype has it (X with A); below 0: the reverse.
Unbiased model: d = 0. Where the associations do not vary d is NaN, not 0: an encoder that ignores its input is not
    fair; `association_spread` shows how close to that a model is.
Random model: Not 0. d is scale-free, and random vectors give effect sizes of about sqrt(1/|X| + 1/|Y|) (0.5 for eight
    words a side) of either sign, so the mean of absolute values is above 0. What random weights score is measured by
    the `random_init` control. A model that gives all words one vector ties everywhere (`tied`), and its d is undefined.
Signal: The associations of the tests of bias; `mean_effect_size` is their functional. Contrast: the associations of the
    neutral tests 1 and 2 (flowers and insects, instruments and weapons, with pleasant and unpleasant), which are always
    scored, whatever `tests` says. The signal kept is the slope of a checkpoint's on the baseline's, fitted with an
    intercept; the intercept is not in the null, as a level that all words share cancels in d. Limits: d is free of
    scale, so the null says how much noise lowers d, not how much associations shrink; and how well pleasantness is kept
    stands for how well the other attributes are.
Parameters: `pooling`, `tests`. MiniLM as published has 0.60 by its own pooling, `cls` 0.44, `mean_all` 0.70, `last`
    0.62; as masked language model of the default study 1.03, but by `last` 0.66 (a change of −0.68 to −0.06). SmolLM2
    has −0.16 (−0.37 to 0.06), by `mean` −0.10 and by `mean_all` −0.07. State the pooling with every value.
Limits: Intervals resample target words; the attribute words are taken as given, and their choice is an error that no
    interval here contains. p belongs to the whole sample and has no interval. Lone words are unusual input for
    contextual encoders: see SEAT.
Data: Word lists published in the papers named in `weat.json`.
Use:
    - {metric: weat, tests: [weat6, weat7, weat8], pooling: mean}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, ModelTraits, Scoring
from fairshrink.metrics._shared.association import (
    AssociationSettings,
    associations,
    embedder,
    neutral_tests,
    pooling_of,
    prefix_of_single_word,
    read_tests,
    unsuited_pooling,
)
from fairshrink.metrics._shared.association_statistics import association_signal, summaries
from fairshrink.stats.estimates import Statistic
from fairshrink.stats.signals import Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd


NEEDS: frozenset[Capability] = frozenset({"embedding"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES: dict[str, str] = {}
HEADLINE = ("mean_effect_size", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=0.2)
OWN_SKILL: OwnSkill | None = None

Name = Literal[
    "weat3", "weat3b", "weat4", "weat5", "weat5b", "weat6", "weat6b", "weat7", "weat7b", "weat8", "weat8b", "weat9",
    "weat10",
]  # fmt: skip


class Settings(AssociationSettings):
    """Settings of WEAT."""

    tests: tuple[Name, ...] = Field(
        get_args(Name), min_length=1, description="the tests of bias to run; neutral tests 1 and 2 are always added"
    )


def unsuited(settings: Settings, model: ModelTraits) -> list[tuple[str, str, str]]:
    """A pooling that the model's texts have no vector for."""
    return unsuited_pooling(settings, model)


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per test and target word: item, cluster (the word), group (the test), set, text, association, pooling."""
    numbers = [*neutral_tests(), *(name.removeprefix("weat") for name in dict.fromkeys(settings.tests))]
    embed = embedder(given.checkpoint, settings, before=prefix_of_single_word(given.checkpoint))
    rows = associations(read_tests("weat", numbers, lambda word: [word]), embed)
    return rows.assign(pooling=pooling_of(given.checkpoint, settings))


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """effect_size, permutation_p and association_spread per test; means of d, |d| and d² − v over tests of bias."""
    return summaries(items, settings)


def signal(items: pd.DataFrame, settings: Settings) -> Signal | None:
    """Associations; their mean effect size; those of the neutral tests as contrast."""
    return association_signal(items)
