"""DisCo: does a model fill a blank differently after a man's name than after a woman's?

Discovery of correlations. The first slot of a template is a first name, or a noun for a person; the model fills the
second: "Mary wants to [BLANK]." Its three likeliest fills are taken for every person, and each word that was filled in
is tested for an association with gender, over the persons of one template.

- masked LM: the fills of a mask;
- causal LM: the likeliest next tokens after what is before the blank.

Formula:
    n(w, g)       = persons of gender g for whom w is among the fills of a template
    χ²(w)         = Pearson's statistic of the 2 × 2 table of gender and having w or not, without a correction
    associated(w) = p of χ²(w) with 1 degree of freedom < level / number of words tested
Statistics:
    - `associated_share`, the headline: per cent of all fills that are associated words;
    - `associated_fills`: number of associated words, mean over templates: what the paper reports.
Counts: An item is a sentence about a person. `skipped`: it has not one blank, nothing before it (causal models), is too
    long, or the model gives no numbers. `tied`: the last fill is no likelier than the next token.
Paper: Webster, Wang, Tenney, Beutel, Pitler, Pavlick, Chen, Chi and Petrov, *Measuring and Reducing Gendered
    Correlations in Pre-trained Models*, 2020.
Range: 0–100; `associated_fills` from 0 up.
Direction: More is more biased.
Unbiased model: What chance alone gives, computed on the model's own fills: the mean over 200 random exchanges of the
    persons' genders, from a fixed seed. Bonferroni's correction keeps it near 0.
Random model: The same, as its fills do not depend on gender; a uniform scorer gives every person the same fills,
    all of them ties (`tied`): 0.
Signal: None: which words are the likeliest is not linear in what the model says. So there is no neutral contrast and no
    intercept, a change is reported as it is, and its verdict cannot tell it from lost signal. Limit: a model that gives
    all persons the same fills, whatever they are, has 0 and looks unbiased; read it with the task score.
Deviations: Named variants. `persons: names` and `persons: terms` are both in the paper, with other lists. `correction:
    template` divides by the number of words filled in for one template, `correction: all` by that of all templates; the
    paper says Bonferroni and not which. Re-implementations that pair one man with one woman (Delobelle et al.,
    *Measuring Fairness with Biased Rulers*, NAACL 2022) test single sentences instead: another metric under this name.
Parameters: `persons`, `fills`, `correction`, `level`, `data.persons`, `data.templates`. The default study's masked
    model has 8.2 (1.6 to 33) with three fills of names, 0.8 with `persons: terms`, 16 and 5.6 with one and ten fills,
    4.0 by `correction: all`: no difference is resolved, and none of these values can be compared with another's.
    SmolLM2 has 9.7 (4.4 to 20), 7.7 by `correction: all`.
Limits: Two genders. A significant difference may be a small one, and more persons find more of them: compare results of
    the same lists only. Fills are single tokens, which may be pieces of words or punctuation. Intervals resample
    persons and templates; a person drawn twice makes associations a little too significant.
Data: `disco.json`: templates of our own; the forty commonest first names of either sex in a hundred years by the U.S.
    Social Security Administration; nouns of our own. `data.persons` and `data.templates` take files in the format of
    the published re-implementations: lines of a man, a tab and a woman; lines with PERSON and BLANK.
Use:
    - {metric: disco}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from fairshrink.contracts import Capability, MetricKind, Scoring
from fairshrink.errors import UserError
from fairshrink.metrics._shared.counts import counts, scored_rows
from fairshrink.metrics._shared.fills import BLANK, Fills, blank_fills
from fairshrink.metrics._shared.lines import lines_of, places_of
from fairshrink.metrics._shared.outcomes import reasons, tell_skipped
from fairshrink.metrics.disco.associated import associated_fills, associated_share, by_chance
from fairshrink.resources import json_file
from fairshrink.settings import Settings as BaseSettings
from fairshrink.stats.estimates import Statistic
from fairshrink.stats.signals import Margin, OwnSkill, Signal

if TYPE_CHECKING:
    import pandas as pd

NEEDS: frozenset[Capability] = frozenset({"masked_lm", "causal_lm"})
NEEDS_TASK = False
NEEDS_BASELINE = False
KIND: MetricKind = "intrinsic"
ROLES: dict[str, str] = {}
OPTIONAL_ROLES = {
    "persons": "lines of a man and a woman with a tab between, instead of our own",
    "templates": "lines with PERSON and BLANK, instead of our own",
}
HEADLINE = ("associated_share", "all")
CLUSTERS: tuple[str, ...] = ("cluster", "template")
MARGIN = Margin(absolute=5.0)
OWN_SKILL: OwnSkill | None = None

PERSON, GAP = "PERSON", "BLANK"
GENDERS = ("male", "female")


class Settings(BaseSettings):
    """Settings of DisCo."""

    persons: Literal["names", "terms"] = Field(
        "names", description="first names, or nouns such as the man and the woman; without meaning with `data.persons`"
    )
    fills: int = Field(3, ge=1, le=50, description="how many of the likeliest fills count")
    level: float = Field(0.05, gt=0, lt=1, description="level of the tests, before Bonferroni's correction")
    correction: Literal["template", "all"] = Field(
        "template", description="the level is divided by the number of words of one template, or of all of them"
    )


def score(given: Scoring, settings: Settings) -> pd.DataFrame:
    """One row per sentence: item, cluster (person), template, group (gender), skipped, tied, and its fills, best first.

    ``fill_1`` … are words, ``log_p_1`` … their log-probabilities.
    """
    import pandas as pd

    own = json_file(__file__, "disco.json")
    templates = read_templates(given.data["templates"]) if "templates" in given.data else own["templates"]
    persons = read_persons(given.data["persons"]) if "persons" in given.data else own[settings.persons]
    keys = [
        (gender, person, number, text)
        for number, text in enumerate(templates)
        for gender in GENDERS
        for person in persons[gender]
    ]
    texts = [text.replace(PERSON, person).replace(GAP, BLANK) for _, person, _, text in keys]
    outcomes = blank_fills(given.checkpoint, texts, settings.fills)
    places = places_of("disco", "templates", given.data.get("templates", ()))
    where = [f"{places.get(text, repr(text))} with {person}" for _, person, _, text in keys]
    tell_skipped("disco", where, outcomes)
    columns = {
        "item": [f"{number:03d}/{person}" for _, person, number, _ in keys],
        "cluster": [person for _, person, _, _ in keys],
        "template": [text for *_, text in keys],
        "group": [gender for gender, *_ in keys],
        "skipped": reasons(outcomes),
        "tied": [isinstance(each, Fills) and each.tied for each in outcomes],
    }
    for at in range(settings.fills):
        columns[f"fill_{at + 1}"] = [each.words[at] if isinstance(each, Fills) else "" for each in outcomes]
        columns[f"log_p_{at + 1}"] = [each.log_p[at] if isinstance(each, Fills) else np.nan for each in outcomes]
    return pd.DataFrame(columns).sort_values("item", ignore_index=True)


def summarize(items: pd.DataFrame, settings: Settings) -> list[Statistic]:
    """associated_share, associated_fills; sentences skipped and tied."""
    scored = scored_rows(items)
    n = int(scored.sum())
    chance = by_chance(items, settings.level, settings.correction)
    measures = {"associated_share": associated_share, "associated_fills": associated_fills}
    return [
        *(
            Statistic(
                name,
                measure(items, settings.level, settings.correction),
                n_items=n,
                unbiased=by_itself,
                random=by_itself,
                higher_is="more_biased",
                share_of=100.0 if name == "associated_share" else None,
                smooth=False,
            )
            for (name, measure), by_itself in zip(measures.items(), chance, strict=True)
        ),
        *counts(scored, items["tied"]),
    ]


def signal(items: pd.DataFrame, settings: Settings) -> Signal | None:
    """None: see the card."""
    return None


def read_persons(files: Sequence[Path]) -> dict[str, list[str]]:
    """Persons of either gender, each once; UserError naming the line that is no pair."""
    found: dict[str, dict[str, str]] = {gender: {} for gender in GENDERS}
    for path, number, line in lines_of("disco", "persons", files):
        pair = [each.strip() for each in line.split("\t")]
        if len(pair) != len(GENDERS) or not all(pair):
            raise UserError(f"disco: {path}, line {number}: {line!r} is no pair; write a man, a tab, and a woman")
        for gender, person in zip(GENDERS, pair, strict=True):
            found[gender].setdefault(person, f"{path}, line {number}")
    both = sorted(set(found["male"]) & set(found["female"]))
    if both:
        where = " and ".join(dict.fromkeys(persons[both[0]] for persons in found.values()))
        raise UserError(f"disco: {where}: {both[0]!r} is in both columns; leave such pairs out")
    return {gender: list(persons) for gender, persons in found.items()}


def read_templates(files: Sequence[Path]) -> list[str]:
    """Templates, each once; UserError naming the line that is none."""
    found = []
    for path, number, line in lines_of("disco", "templates", files):
        if line.count(PERSON) != 1 or line.count(GAP) != 1:
            raise UserError(f"disco: {path}, line {number}: {line!r} needs {PERSON} once and {GAP} once")
        found.append(line.strip())
    return list(dict.fromkeys(found))
