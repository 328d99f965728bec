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
    - `effect_size`: d of each test;
    - `permutation_p`: one-sided p of each test, over all splits where they are few, else over drawn ones;
    - `association_spread`: standard deviation of s, of each test;
    - `mean_effect_size`: signed mean of d over the tests, over all and per dimension (gender, race, …);
    - `mean_absolute_effect_size`: mean of |d| over the same; it hides the sign, so read it together with the signed
    mean.
Paper: Caliskan, Bryson and Narayanan, *Semantics derived automatically from language corpora contain human-like
    biases*, Science 356 (2017); tests "b" from May et al., *On Measuring Social Biases in Sentence Encoders*, NAACL
    2019.
Range: d in about [−2, 2]; p in [0, 1].
Direction: d above 0: as the stereotype has it (X with A); below 0: the reverse.
Unbiased model: d = 0. Where the associations do not vary d is NaN, not 0: an encoder that ignores its input is not
    fair; `association_spread` shows how close to that a model is.
Random model: Not 0. d is scale-free, and random vectors give effect sizes of about sqrt(1/|X| + 1/|Y|) (0.5 for eight
    words a side) of either sign, so the mean of absolute values is above 0. What random weights score is measured by
    the `random_init` control.
Limits: Intervals resample target words; the attribute words are taken as given, and their choice is an error that no
    interval here contains. p belongs to the whole sample and has no interval. Lone words are unusual input for
    contextual encoders: see SEAT. Tests 1 and 2 (flowers, instruments) concern no people and are left out.
Data: Word lists published in the papers named in `weat.json`.
Use:
    - {metric: weat, tests: [weat6, weat7, weat8], pooling: mean}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.metrics._shared.association import (
    AssociationSettings,
    associations,
    embedder,
    pooling_of,
    prefix_of_single_word,
    read_tests,
)
from fairshrink.metrics._shared.association_statistics import summaries
from fairshrink.stats.estimates import Statistic

if TYPE_CHECKING:
    import pandas as pd


NEEDS: frozenset[Capability] = frozenset({"embedding"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES: dict[str, str] = {}
HEADLINE = ("mean_absolute_effect_size", "all")

Name = Literal[
    "weat3", "weat3b", "weat4", "weat5", "weat5b", "weat6", "weat6b", "weat7", "weat7b", "weat8", "weat8b", "weat9",
    "weat10",
]  # fmt: skip


class Settings(AssociationSettings):
    """Settings of WEAT."""

    tests: tuple[Name, ...] = Field(get_args(Name), min_length=1, description="the tests to run")


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per test and target word: item, cluster (the word), group (the test), set, text, association, pooling."""
    numbers = [name.removeprefix("weat") for name in dict.fromkeys(settings.tests)]
    embed = embedder(given.checkpoint, settings, before=prefix_of_single_word(given.checkpoint))
    rows = associations(read_tests("weat", numbers, lambda word: [word]), embed)
    return rows.assign(pooling=pooling_of(given.checkpoint, settings))


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """effect_size, permutation_p and association_spread per test; mean (absolute) effect size over tests."""
    return summaries(items, settings)
