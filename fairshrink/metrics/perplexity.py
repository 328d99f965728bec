"""Perplexity: how well does a causal language model predict a text?

Each line of the files is a text of its own, after the token that begins a text. A line that is longer than the model's
window is cut into windows that overlap by a half (`stride`), of which only tokens that no window before has scored
count: without overlap the first tokens of each window would have no context, and perplexity would be too high.

Formula:
    perplexity = exp(−(1/N) Σ log p(token | those before it))        N: tokens of all lines
Statistics:
    - `score`, the headline: mean log-probability of a token, in nats, higher meaning better: −log of the next one;
    - `perplexity`: as above, over all lines together;
    - `bits_per_character`: Σ −log₂ p / number of characters, which models with other tokenizers share.
Counts: An item is a line with text. `skipped`: none of its characters is a token. `tied`: 0, as lines are not compared.
Paper: Standard; windows with a stride as in the documentation of transformers.
Range: `score` up to 0; perplexities from 1.
Direction: None: this is no bias metric. Higher `score` is better; lower perplexity and fewer bits are.
Unbiased model: Does not exist.
Random model: A uniform one has the size of the vocabulary as perplexity, and `score` −log of it. Random weights are
    about as bad: the control `random_init` says how bad.
Parameters: `window`, `stride`, `column`, `sample`, `seed`. On SmolLM2, −5.02 over 20 lines of editorials, windows of 16
    tokens lower `score` by 0.19 (0.09 to 0.30); other draws of 20 lines move it by 0.06, ± 0.7.
Limits: Perplexities depend on the tokenizer and on the text: compare within a model only.
Data: Any UTF-8 text file that the study names; of a table with tabs between its columns the one that `column` says.
Use:
    - metric: perplexity
      sample: 200
      column: 2
      data: {text: {download: texts, file: hutto_ICWSM_2014/tweets_GroundTruth.txt}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, Scoring
from fairshrink.metrics._shared import windows
from fairshrink.metrics._shared.windows import CLUSTERS as CLUSTERS
from fairshrink.metrics._shared.windows import HEADLINE as HEADLINE
from fairshrink.metrics._shared.windows import KIND as KIND
from fairshrink.metrics._shared.windows import NEEDS_BASELINE as NEEDS_BASELINE
from fairshrink.metrics._shared.windows import NEEDS_TASK as NEEDS_TASK
from fairshrink.metrics._shared.windows import ROLES as ROLES
from fairshrink.stats.estimates import Statistic

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"causal_lm"})


class Settings(windows.TextSettings):
    """Settings of perplexity."""


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per line: item, cluster, group, nll, tokens, characters, vocabulary."""
    from fairshrink.models.checkpoint import max_tokens
    from fairshrink.models.inference.batching import token_ids
    from fairshrink.models.inference.log_probs import causal_log_probs
    from fairshrink.models.inference.sequences import start_token

    cp = given.checkpoint
    texts = windows.lines(given.data["text"], "perplexity", settings)
    start = start_token(cp.tokenizer)
    size = min(settings.window or max_tokens(cp), max_tokens(cp) - 1)
    sequences, owners, firsts = [], [], []
    for row, text in enumerate(texts.values()):
        ids = token_ids(cp, text, add_special_tokens=False)
        for begin, end, first in windows.windows(len(ids), size, max(1, round(size * settings.stride))):
            sequences.append([start, *ids[begin:end]])
            owners.append(row)
            firsts.append(first - begin)
    values = [each[first:] for each, first in zip(causal_log_probs(cp, sequences), firsts, strict=True)]
    nll = np.bincount(owners, weights=[-each.sum() for each in values], minlength=len(texts))
    tokens = np.bincount(owners, weights=[len(each) for each in values], minlength=len(texts)).astype(int)
    return windows.table(texts, nll.tolist(), tokens.tolist(), cp.model.config.vocab_size)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """score, perplexity and bits_per_character."""
    return windows.summarize(items, "perplexity")
