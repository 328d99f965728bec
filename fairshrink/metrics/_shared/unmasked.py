"""AUL and AULA: how likely a masked language model finds a sentence of which nothing is masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.likelihood import (
    TOO_LONG,
    Query,
    TokenizedText,
    above,
    log_probabilities,
    tie_exact_mean,
    tokenize,
    too_long,
)
from fairshrink.metrics._shared.outcomes import Skipped, reasons, score_or_skip, tell_skipped
from fairshrink.metrics._shared.sampling import spread_sample
from fairshrink.metrics._shared.sentence_pairs import stereotyped_pairs
from fairshrink.settings import Settings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Statistic, weighted_mean
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.models.checkpoint import Checkpoint


NEEDS: frozenset[Capability] = frozenset({"masked_lm"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES = {"items": "crows_pairs_anonymized.csv, or StereoSet's dev.json or test.json"}
HEADLINE = ("stereotype_share", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=5.0)
OWN_SKILL: OwnSkill | None = None

LENGTHS = ("tokens_more", "tokens_less")


class PairSettings(Settings):
    """Which pairs are scored."""

    sample: int | None = Field(
        None,
        ge=1,
        description="number of pairs, in which each bias type and direction keeps its share; all if not given",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")


def table(given: Scoring, settings: PairSettings, metric: str, *, attention: bool) -> pd.DataFrame:
    """One row per pair: item, cluster (the same), group (bias type), direction, skipped, more, less.

    ``more`` and ``less`` are the sentences' scores, ``p_…`` the mean probability of their tokens, ``tokens_…`` how many
    these are.
    """
    import pandas as pd

    cp, pairs = given.checkpoint, stereotyped_pairs(given.data["items"], metric)
    names, types = [pair.item for pair in pairs], [pair.bias_type for pair in pairs]
    drawn = spread_sample(names, types, [pair.direction for pair in pairs], settings.sample, settings.seed)
    pairs = [pairs[i] for i in drawn]
    tokens = tokenize(cp, [text for pair in pairs for text in (pair.more, pair.less)])
    outcomes = score_or_skip(
        [_checked(cp, *both) for both in zip(tokens[::2], tokens[1::2], strict=True)],
        lambda chosen: _of_pairs(cp, chosen, attention),
    )
    tell_skipped(metric, [pair.place for pair in pairs], outcomes)
    scores = np.array([[np.nan] * 4 if isinstance(each, Skipped) else each for each in outcomes]).reshape(-1, 4)
    rows = pd.DataFrame(
        {
            "item": [pair.item for pair in pairs],
            "cluster": [pair.item for pair in pairs],
            "group": [pair.bias_type for pair in pairs],
            "direction": [pair.direction for pair in pairs],
            "skipped": reasons(outcomes),
        }
        | {name: scores[:, at] for at, name in enumerate(("more", "less", "p_more", "p_less"))}
        | {name: [each.special.count(0) for each in tokens[at::2]] for at, name in enumerate(LENGTHS)}
    )
    return rows.sort_values("item", ignore_index=True)


def _checked(cp: Checkpoint, *both: TokenizedText) -> tuple[TokenizedText, ...] | Skipped:
    if any(too_long(cp, each) for each in both):
        return Skipped(TOO_LONG)
    return both if all(0 in each.special for each in both) else Skipped("a sentence has no token")


def _of_pairs(cp: Checkpoint, pairs: Sequence[tuple[TokenizedText, ...]], attention: bool) -> list[list[float]]:
    """Scores and mean probabilities of the two sentences of each pair; equal sentences are computed once."""
    unique = list({tuple(each.ids): each for pair in pairs for each in pair}.values())
    found = dict(zip((tuple(each.ids) for each in unique), _of_sentences(cp, unique, attention), strict=True))
    return [[found[tuple(each.ids)][at] for at in range(2) for each in pair] for pair in pairs]


def _of_sentences(cp: Checkpoint, texts: list[TokenizedText], attention: bool) -> list[tuple[float, float]]:
    from fairshrink.models.inference.outputs import attention_received

    real = [[i for i, special in enumerate(each.special) if not special] for each in texts]
    queries = [[Query(each.ids, i, each.ids[i]) for i in own] for each, own in zip(texts, real, strict=True)]
    logs = log_probabilities(cp, queries)
    received = (
        attention_received(cp, [each.ids for each in texts]) if attention else [np.ones(len(t.ids)) for t in texts]
    )
    return [
        (tie_exact_mean(values * weights[own]), float(np.exp(values).mean()))
        for values, weights, own in zip(logs, received, real, strict=True)
    ]


def summarize(items: pd.DataFrame, settings: PairSettings, *, longer: bool = False) -> list[Statistic]:
    """stereotype_share over all, per bias type and per direction; token_probability; pairs skipped and tied.

    ``longer``: whether a random model prefers the longer sentence, so that its share is that of such pairs.
    """
    scored = scored_rows(items)
    more, less = (items[name].to_numpy(dtype=np.float64) for name in ("more", "less"))
    preferred = 100 * above(more, less)
    masks = {"all": np.ones(len(items), dtype=bool)}
    for column in ("group", "direction"):
        masks |= {name: (items[column] == name).to_numpy() for name in sorted(items[column].unique())}
    found = [
        Statistic(
            "stereotype_share", weighted_mean(preferred, scored & mask), group, int((scored & mask).sum()),
            unbiased=50.0, random=_longer(items[scored & mask]) if longer else 50.0, share_of=100.0,
        )
        for group, mask in masks.items()
    ]  # fmt: skip
    n = int(scored.sum())
    mean = weighted_mean(items[["p_more", "p_less"]].mean(axis=1, skipna=False), scored)
    return [
        *found,
        Statistic("token_probability", mean, n_items=n, higher_is="better"),
        *counts(scored, more == less),
    ]


def _longer(items: pd.DataFrame) -> float | None:
    """Per cent of pairs whose more stereotyping sentence has more tokens, equal ones counting half; None of none."""
    more, less = (items[name].to_numpy(dtype=np.float64) for name in LENGTHS)
    return float(50 * (1 + np.sign(more - less)).mean()) if len(items) else None


def signal(items: pd.DataFrame, settings: PairSettings) -> Signal:
    """Differences of the two scores; the share above 0; the differences themselves as contrast."""
    scored = scored_rows(items)
    more, less = (items[name].to_numpy(dtype=np.float64) for name in ("more", "less"))
    preference = np.where(scored, more - less, np.nan)
    itself = Contrast("preference", preference, fits_intercept=True, applies_intercept=True)
    return Signal(preference, reflection.share_above(scored, unit=100.0), (itself,))
