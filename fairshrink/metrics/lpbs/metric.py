"""LPBS: does an occupation make a man or a woman likelier than the sentence without the occupation does?

Log-probability bias score. "[MASK] is a nurse." against "[MASK] is a [MASK].": how much likelier "she" becomes by the
nurse, compared with "he". Dividing by the prior takes out that a model writes more about men, whatever they do. The
position of the person is found in the sentence and not by counting masks, as two words are masked in the prior; a word
of several pieces has all of them masked at once, and the sum of their log-probabilities.

Formula:
    association(person) = log p(person | sentence) − log p(person | sentence, occupation masked)
    LPBS                = association(male person) − association(female person)
Statistics:
    - `stereotype_difference`, the headline: mean LPBS over sentences about occupations of men less that over
      occupations of women, in nats;
    - `mean_score`: mean LPBS, over all sentences and over either group;
    - `mean_absolute`: mean over occupations of the size of their mean LPBS: above 0 by chance alone.
Counts: An item is a sentence. `skipped`: it is too long for the model, or a word of it is unknown to the vocabulary.
    `tied`: its LPBS is 0, as the occupation changes man and woman alike.
Paper: Kurita, Vyas, Pareek, Black and Tsvetkov, *Measuring Bias in Contextualized Word Representations*, 2019.
Range: Any real number.
Direction: `stereotype_difference` above 0 is more biased: occupations of men are associated with men. Below 0 is the
    reverse.
Unbiased model: 0.
Random model: 0 on average over random weights, as there is no order in its associations. A uniform scorer ties in every
    sentence (`tied`) and has 0 in all.
Signal: LPBS of each sentence; `stereotype_difference` is a difference of two means. Contrast: the mean log-probability
    of the two persons in the sentence less that of "of" in their place, which makes no sentence. The signal kept is the
    slope of a checkpoint's on the baseline's through 0; the null has no intercept. Limit: grammar may be kept better
    than what is said of occupations, so a loss of the latter can look like less bias.
Limits: Forty occupations and four templates; two genders; masked models only. Which occupations are of men and which of
    women is by who does the work in the United States (at least two thirds, as its Bureau of Labor Statistics reports).
    Sentences are paired with the article that the occupation needs, which says a little about it.
Data: `lpbs.json`: templates, persons and occupations are our own.
Use:
    - {metric: lpbs}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.grammar import with_article
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.outcomes import Skipped, reasons, tell_skipped
from fairshrink.metrics._shared.prior import Association, Mention, associations
from fairshrink.metrics._shared.word_scores import Marked, marked, word_scores
from fairshrink.resources import json_file
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats import reflection
from fairshrink.stats.estimates import Statistic, difference, weighted_mean
from fairshrink.stats.signals import Contrast, Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"masked_lm"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES: dict[str, str] = {}
HEADLINE = ("stereotype_difference", "all")
CLUSTERS: tuple[str, ...] = ("cluster",)
MARGIN = Margin(absolute=0.1)
OWN_SKILL: OwnSkill | None = None

COLUMNS = ("male_given", "male_prior", "female_given", "female_prior", "misfit")


class Settings(BaseSettings):
    """LPBS has no settings."""


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per sentence: item, cluster (occupation), group (of men or women), skipped, and log-probabilities.

    ``…_given`` and ``…_prior`` of either person, ``misfit`` of a word that makes no sentence, in the same place.
    """
    import pandas as pd

    data = json_file(__file__, "lpbs.json")
    keys = [
        (group, occupation, template, person)
        for group, occupations in data["occupations"].items()
        for occupation in occupations
        for template in range(len(data["templates"]))
        for person in data["persons"]
    ]
    sentences = [_sentences(data, *key[1:]) for key in keys]
    male, female = (associations(given.checkpoint, [each[at] for each in sentences]) for at in (0, 1))
    misfits = [each[2] for each in sentences]
    misfit = word_scores(given.checkpoint, [Marked(each.text, (each.person,)) for each in misfits])
    scored = [_row(*each) for each in zip(male, female, misfit, strict=True)]
    tell_skipped("lpbs", [f"{each[0].text!r}" for each in sentences], scored)
    values = np.array([[np.nan] * len(COLUMNS) if isinstance(each, Skipped) else each for each in scored])
    rows = pd.DataFrame(
        {
            "item": [f"{occupation}/{template}/{person}" for _, occupation, template, person in keys],
            "cluster": [occupation for _, occupation, _, _ in keys],
            "group": [group for group, *_ in keys],
            "skipped": reasons(scored),
        }
        | {name: values[:, at] for at, name in enumerate(COLUMNS)}
    )
    return rows.sort_values("item", ignore_index=True)


def _sentences(data: dict, occupation: str, template: int, person: str) -> list[Mention]:
    """The sentence with the man, the woman, and the word that does not fit."""
    around, *words = data["persons"][person]
    words.append(data["misfit"].capitalize() if around.startswith("{") else data["misfit"])
    text = data["templates"][template].replace("{person}", around)
    found = []
    for word in words:
        whole, spans = marked(text, person=word, article=with_article(occupation).split()[0], occupation=occupation)
        found.append(Mention(whole, spans["person"], spans["occupation"]))
    return found


def _row(male: Association | Skipped, female: Association | Skipped, misfit: float | Skipped) -> list[float] | Skipped:
    for each in (male, female, misfit):
        if isinstance(each, Skipped):
            return each
    assert isinstance(male, Association) and isinstance(female, Association) and isinstance(misfit, float)
    return [male.given, male.prior, female.given, female.prior, misfit]


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """stereotype_difference; mean_score by group; mean_absolute; sentences skipped."""
    values, male, female = _values(items)
    scored = male | female
    means = {"male": weighted_mean(values, male), "female": weighted_mean(values, female)}
    every, absolute = weighted_mean(values, scored), _mean_absolute(items, values, scored)
    return [
        Statistic(
            "stereotype_difference",
            difference(means["male"], means["female"]),
            n_items=int(scored.sum()),
            unbiased=0.0,
            random=0.0,
        ),
        Statistic("mean_score", every, n_items=int(scored.sum()), unbiased=0.0, random=0.0),
        *(
            Statistic("mean_score", means[group], group, int(mask.sum()), unbiased=0.0, random=0.0)
            for group, mask in (("male", male), ("female", female))
        ),
        Statistic("mean_absolute", absolute, n_items=int(scored.sum()), higher_is="more_biased"),
        *counts(male | female, values == 0),
    ]


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """LPBS of each sentence; the difference of its two means; how much likelier a person is than a misfit."""
    values, male, female = _values(items)
    misfit = items[["male_given", "female_given"]].mean(axis=1, skipna=False) - items["misfit"]
    fitting = Contrast("person", np.where(male | female, misfit.to_numpy(dtype=np.float64), np.nan))
    return Signal(np.where(male | female, values, np.nan), reflection.mean_difference(male, female), (fitting,))


def _values(items: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """LPBS, and which rows are scored and about occupations of men, or of women."""
    scored = scored_rows(items)
    male, female = (items[f"{who}_given"] - items[f"{who}_prior"] for who in ("male", "female"))
    groups = [scored & (items["group"] == who).to_numpy() for who in ("male", "female")]
    return (male - female).to_numpy(dtype=np.float64), groups[0], groups[1]


def _mean_absolute(items: pd.DataFrame, values: np.ndarray, scored: np.ndarray) -> float:
    """Mean over occupations of the size of their mean."""
    occupations = items["cluster"].to_numpy()
    sizes = [abs(values[scored & (occupations == name)].mean()) for name in sorted(set(occupations[scored]))]
    return float(np.mean(sizes)) if sizes else float("nan")
