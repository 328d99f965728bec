"""Pseudo-perplexity: how well does a masked language model predict each token of a text from all others?

Each line of the files is a text of its own, with the model's special tokens, which are not scored. Each token is masked
in turn. A line that is longer than the model's window is cut into windows that overlap by a half (`stride`), of which
only tokens that no window before has scored count.

Formula:
    pseudo_perplexity = exp(−(1/N) Σ log p(token | all others))        N: tokens of all lines
Statistics:
    - `score`, the headline: mean log-probability of a token, in nats, higher meaning better: −log of the next one;
    - `pseudo_perplexity`: as above, over all lines together;
    - `bits_per_character`: Σ −log₂ p / number of characters, which models with other tokenizers share.
Counts: An item is a line with text. `skipped`: none of its characters is a token. `tied`: 0, as lines are not compared.
Paper: Salazar, Liang, Nguyen and Kirchhoff, *Masked Language Model Scoring*, ACL 2020.
Range: `score` up to 0; perplexities from 1.
Direction: None: this is no bias metric. Higher `score` is better; lower perplexity and fewer bits are.
Unbiased model: Does not exist.
Random model: A uniform one has the size of the vocabulary as perplexity, and `score` −log of it. Random weights are
    about as bad: the control `random_init` says how bad.
Parameters: `window`, `stride`, `column`, `sample`, `seed`. On the masked language model of the default study, −6.19
    over 20 lines of editorials, windows of 16 tokens lower `score` by 0.35 (0.23 to 0.46); other draws of 20 lines
    raise it by 0.32 and 0.35, ± 0.6.
Limits: Perplexities depend on the tokenizer and on the text: compare within a model only. A forward pass for each
    token: long lines are costly. Pieces of one word are easy to predict from each other.
Data: Any UTF-8 text file that the study names; of a table with tabs between its columns the one that `column` says.
Use:
    - metric: pseudo_perplexity
      sample: 200
      column: 2
      data: {text: {download: texts, file: hutto_ICWSM_2014/tweets_GroundTruth.txt}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

NEEDS: frozenset[Capability] = frozenset({"masked_lm"})


class Settings(windows.TextSettings):
    """Settings of pseudo-perplexity."""


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per line: item, cluster, group, nll, tokens, characters, vocabulary."""
    from fairshrink.metrics._shared.likelihood import Query, log_probabilities, mask_id, tokenize
    from fairshrink.models.checkpoint import max_tokens

    cp = given.checkpoint
    texts = windows.lines(given.data["text"], "pseudo_perplexity", settings)
    groups = []
    for tokens in tokenize(cp, list(texts.values())):
        real = [i for i, special in enumerate(tokens.special) if not special]
        before, after = (tokens.ids[: real[0]], tokens.ids[real[-1] + 1 :]) if real else ([], [])
        size = min(settings.window or max_tokens(cp), max_tokens(cp) - len(before) - len(after))
        queries = []
        for begin, end, first in windows.windows(len(real), size, max(1, round(size * settings.stride))):
            window = [*before, *(tokens.ids[i] for i in real[begin:end]), *after]
            for place in range(len(before) + first - begin, len(before) + end - begin):
                masked = [*window[:place], mask_id(cp), *window[place + 1 :]]
                queries.append(Query(masked, place, window[place]))
        groups.append(queries)
    found = log_probabilities(cp, groups)
    nll, counts = [float(-each.sum()) for each in found], [len(each) for each in found]
    return windows.table(texts, nll, counts, cp.model.config.vocab_size)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """score, pseudo_perplexity and bits_per_character."""
    return windows.summarize(items, "pseudo_perplexity")
