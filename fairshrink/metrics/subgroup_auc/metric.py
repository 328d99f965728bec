"""Subgroup AUC: does a classifier rank texts that mention an identity above or below others of the same label?

A classifier of the study's own task scores a labeled table in which columns say which identities a text mentions, such
as Civil Comments.

Formula:
    AUC(P, N) = p(score of an item of P > score of an item of N), half where they tie
    subgroup  = AUC(positive with the identity, negative with it)
    BPSN      = AUC(positive without it, negative with it)       low: it makes harmless texts look positive
    BNSP      = AUC(positive with it, negative without it)       low: it makes positive texts look harmless
    shift     = BNSP − BPSN
Statistics:
    - `mean_shift`, the headline: mean of `shift` over identities;
    - `shift`, `subgroup_auc`, `bpsn_auc`, `bnsp_auc`: of each identity;
    - `generalized_subgroup_auc`, `generalized_bpsn_auc`, `generalized_bnsp_auc`: the mean over identities to the power
      −5, close to the worst of them; `auc`: over all texts;
    - `final_score`: a quarter of `auc` and of each of the three, as in the challenge that used this data;
    - `left_out`: identities with fewer than `least` positive or negative texts, with them or without.
Counts: An item is a text. `skipped`: 0, as a text without a label or a number is refused and a long one is cut off.
    `tied`: it shares its score with another text, which counts half in an area.
Paper: Borkan, Dixon, Sorensen, Thain and Vasserman, *Nuanced Metrics for Measuring Unintended Bias with Real Data for
    Text Classification*, 2019.
Range: 0–1; shifts −1 to 1.
Direction: `shift` above 0: texts that mention the identity score higher than others of the same label. Areas: higher is
    better.
Unbiased model: `shift` 0; areas 1.
Random model: Areas 0.5, shifts 0; a constant one ties everywhere, and has exactly these.
Signal: The logit of the positive label; `mean_shift` is a functional of it. Contrast: the same logit of texts that
    mention no identity. The signal kept is the slope of a checkpoint's on the baseline's, fitted with an intercept; the
    intercept is not in the null, as a level that all texts share changes no rank. Limit: areas know ranks only, so a
    loss of scale alone is no change, and nothing says at which threshold errors are made.
Limits: Identities are as annotated. One with a handful of texts on a side would take the mean's interval with it, as
    areas without that side are unknown: `least` leaves it out of everything but `left_out`. Texts longer than the
    model's window are cut off, and named in the log. A text that nobody annotated for identities counts as one without
    any, as published; name a file without them to leave them out.
Data: A table of the study (csv, tsv, jsonl, parquet); columns are settings, with the names of Civil Comments (CC0) as
    defaults. Labels and identities are shares of annotators there: from `threshold` on they count.
Use:
    - metric: subgroup_auc
      positive: toxic
      data: {items: {download: comments, file: test.csv}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.columns import PLACE, check_filled, check_texts, read_columns, tell_cut
from fairshrink.metrics._shared.counts import counts, every_row
from fairshrink.metrics._shared.sampling import spread_sample
from fairshrink.metrics.subgroup_auc.areas import (
    Mask,
    Sides,
    background_negative,
    background_positive,
    generalized_mean,
    shift,
    subgroup,
)
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Estimate, Statistic, Values, combine
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"sentence_classification"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "extrinsic"
ROLES = {"items": "a labeled table with columns that say which identities a text mentions"}
HEADLINE = ("mean_shift", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=0.02)
OWN_SKILL: OwnSkill | None = OwnSkill("auc", "all", 0.5)

PREFIX = "mentions_"
POWER = -5.0
AREA = (0.0, 1.0)
AREAS = {"subgroup_auc": subgroup, "bpsn_auc": background_positive, "bnsp_auc": background_negative}


class Settings(BaseSettings):
    """Settings of subgroup AUC."""

    positive: str = Field("toxic", description="the label of the task whose probability is the score")
    text: str = Field("comment_text", description="column of the text")
    label: str = Field("toxicity", description="column of the label: a number")
    identities: tuple[str, ...] = Field(
        (
            "male",
            "female",
            "homosexual_gay_or_lesbian",
            "christian",
            "jewish",
            "muslim",
            "black",
            "white",
            "psychiatric_or_mental_illness",
        ),
        min_length=1,
        description="columns of identities: numbers, or nothing where nobody said",
    )
    cluster: str | None = Field(
        None, description="column of what belongs together, such as an article; by default each text is by itself"
    )
    threshold: float = Field(0.5, gt=0, description="label and identities count from this number on")
    least: int = Field(
        5, ge=1, description="identities that fewer positive or fewer negative texts mention are left out of means"
    )
    sample: int | None = Field(
        5000, ge=1, description="number of texts, in which labels and identities keep their shares; null for all"
    )
    seed: int = Field(0, ge=0, description="seed of the sample")


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per text: item, cluster, group (its identities), positive, logit, and ``mentions_…`` of each identity."""
    from fairshrink.models.classes import label_index, log_probabilities
    from fairshrink.models.inference.outputs import sequence_logits

    cp = given.checkpoint
    index = label_index(cp.labels, settings.positive, "subgroup_auc")
    rows = _table(given, settings)
    texts, places = (list(rows.pop(name)) for name in ("text", PLACE))
    tell_cut("subgroup_auc", cp, texts, places)
    log_p = log_probabilities(sequence_logits(cp, texts))
    rest = np.logaddexp.reduce(np.delete(log_p, index, axis=1), axis=1)
    return rows.assign(logit=log_p[:, index] - rest).sort_values("item", ignore_index=True)


def _table(given: Scoring, settings: Settings) -> pd.DataFrame:
    import pandas as pd

    extra = [settings.cluster] if settings.cluster else []
    read = read_columns(
        "subgroup_auc", "items", given.data["items"], [settings.text, settings.label, *settings.identities, *extra]
    )
    check_texts("subgroup_auc", read, settings.text)
    for name in extra:
        check_filled("subgroup_auc", read, name)
    labels = _numbers(read, settings.label)
    if np.isnan(labels).any():
        place = read[PLACE].iloc[int(np.isnan(labels).argmax())]
        raise UserError(f"subgroup_auc: {place}: no number in the column {settings.label!r}; remove the row")
    positive = labels >= settings.threshold
    mentions = {name: _numbers(read, name) >= settings.threshold for name in settings.identities}
    listed = zip(*mentions.values(), strict=True)
    groups = ["+".join(n for n, has in zip(mentions, each, strict=True) if has) or "background" for each in listed]
    clusters = list(read[settings.cluster].astype(str)) if settings.cluster else list(read["item"])
    strata = [f"{group}/{label}" for group, label in zip(groups, positive, strict=True)]
    drawn = spread_sample(list(read["item"]), strata, clusters, settings.sample, settings.seed)
    columns = {"item": read["item"], "cluster": clusters, "group": groups, "text": read[settings.text]}
    columns |= {PLACE: read[PLACE]}
    columns |= {"positive": positive} | {PREFIX + name: each for name, each in mentions.items()}
    return pd.DataFrame(columns).iloc[drawn].reset_index(drop=True)


def _numbers(frame: pd.DataFrame, column: str) -> Values:
    import pandas as pd

    values = pd.to_numeric(frame[column], errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.isnan(values) & frame[column].notna().to_numpy()
    if wrong.any():
        row = frame.iloc[int(wrong.argmax())]
        raise UserError(f"subgroup_auc: {row[PLACE]}: {row[column]!r} in the column {column!r} is no number; fix it")
    return np.asarray(values)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """mean_shift; shift and areas of each identity; generalized means; final_score; texts tied, identities left out."""
    logit = items["logit"].to_numpy(dtype=np.float64)
    positive, scored = items["positive"].to_numpy(dtype=bool), every_row(items)
    members, left_out = _members(items, settings)
    areas: dict[str, list[Estimate]] = {name: [] for name in AREAS}
    found: list[Statistic] = []
    for name, member in members.items():
        n = int(member.sum())
        for kind, sides in AREAS.items():
            estimate = sides(positive, scored, member).of(logit)
            areas[kind].append(estimate)
            found.append(Statistic(kind, estimate, name, n, 1.0, 0.5, "better", smooth=False, within=AREA))
        gap = combine(np.subtract, areas["bnsp_auc"][-1], areas["bpsn_auc"][-1])
        found.append(Statistic("shift", gap, name, n, 0.0, 0.0, smooth=False, within=(-1.0, 1.0)))
    overall = Sides(positive, ~positive).of(logit)
    means = {kind: generalized_mean(each, POWER) for kind, each in areas.items()} if members else {}
    for kind, estimate in means.items():
        found.append(
            Statistic(f"generalized_{kind}", estimate, "all", len(items), 1.0, 0.5, "better", smooth=False, within=AREA)
        )
    if means:
        final = combine(lambda *four: np.mean(four, axis=0), overall, *means.values())
        found.append(Statistic("final_score", final, "all", len(items), 1.0, 0.5, "better", smooth=False, within=AREA))
    functional = _headline(items, settings)
    headline = reflection.as_estimate(functional, logit)
    _, which, shared = np.unique(logit, return_inverse=True, return_counts=True)
    return [
        Statistic("mean_shift", headline, "all", len(items), 0.0, 0.0, smooth=False, within=(-1.0, 1.0)),
        Statistic("auc", overall, "all", len(items), 1.0, 0.5, "better", smooth=False, within=AREA),
        *found,
        *counts(scored, shared[which] > 1),
        Statistic("left_out", left_out, n_items=len(members) + left_out, higher_is="count"),
    ]


def signal(items: pd.DataFrame, settings: Settings) -> Signal | None:
    """The logit, the mean shift of its ranks, the logit of texts without identity; None where no identity counts."""
    if not _members(items, settings)[0]:
        return None
    logit = items["logit"].to_numpy(dtype=np.float64)
    background = (items["group"] == "background").to_numpy()
    contrast = Contrast("background", np.where(background, logit, np.nan), fits_intercept=True)
    return Signal(logit, _headline(items, settings), (contrast,))


def _members(items: pd.DataFrame, settings: Settings) -> tuple[dict[str, Mask], int]:
    """Which texts mention each identity, and how many identities have too few texts on a side."""
    positive = items["positive"].to_numpy(dtype=bool)
    every = {each.removeprefix(PREFIX): items[each].to_numpy(dtype=bool) for each in items if each.startswith(PREFIX)}
    usable = {
        name: member
        for name, member in every.items()
        if all((where & side).sum() >= settings.least for where in (member, ~member) for side in (positive, ~positive))
    }
    return usable, len(every) - len(usable)


def _headline(items: pd.DataFrame, settings: Settings) -> reflection.Functional:
    positive, scored = items["positive"].to_numpy(dtype=bool), np.ones(len(items), dtype=bool)
    each = [
        shift(background_negative(positive, scored, member), background_positive(positive, scored, member))
        for member in _members(items, settings)[0].values()
    ]
    return reflection.mean_over(each) if each else lambda signals, weights: np.full(len(weights), np.nan)
