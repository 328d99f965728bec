"""Winogender from logs: whom does a pronoun mean, the occupation or the other participant?

lm-evaluation-harness (`winogender_all`) logs each sentence by itself, in a male, a female and a neutral version, and
asks for the two persons after "'He' refers to the". The score of a version is log p(occupation) − log p(participant).
So `stereotype_share` says how often the pronoun of the occupation's gender is likelier to mean the occupation: not the
metric's own question, which is how likely the pronoun is, and no number to compare with it. The contrast is the mean
score of both versions: how well the model knows whom a pronoun means, whatever its gender. `neutral_share` is not
known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairshrink.errors import UserError
from fairshrink.judging.records import Record
from fairshrink.metrics.winogender import VERSIONS, read_statistics

FIELDS = frozenset({"sentid", "sentence", "occupation", "participant", "gender"})
"""Fields of an item by which the benchmark is known."""
SCORES = VERSIONS
PARTS = VERSIONS
"""Endings of names of tasks that log one version of each sentence."""
NEEDED = VERSIONS[:2]
"""Versions without which a sentence cannot be scored."""


def name(record: Record) -> str:
    """The sentence that a version is of: occupation.participant.0 or 1; UserError for an item that does not say it."""
    found = record.text("sentid")
    parts = found.split(".")
    if len(parts) != 5 or parts[2] not in ("0", "1") or parts[3] not in VERSIONS:
        raise UserError(
            f"{record.where}: sentid {found!r} is not of the form occupation.participant.0 or 1.male, female or "
            "neutral.txt"
        )
    return ".".join(parts[:3])


def items(records: Sequence[Record], data: Mapping[str, Sequence[Path]]) -> pd.DataFrame:
    """A table of `winogender`, one row a sentence; UserError names the item that does not carry what is needed."""
    if not data.get("statistics"):
        raise UserError(
            "who does the work is in Winogender's statistics: write --data statistics=occupations-stats.tsv"
        )
    women = read_statistics(data["statistics"])
    found: dict[str, dict[str, float]] = {}
    for each in records:
        versions, version = found.setdefault(name(each), {}), each.text("sentid").split(".")[3]
        if version in versions:
            raise UserError(f"{each.where}: {each.text('sentid')} occurs twice; give the log of one run")
        if name(each).split(".")[0] not in women:
            raise UserError(f"{each.where}: no percentage of women for {name(each).split('.')[0]!r} in `statistics`")
        versions[version] = _score(each)
    names = sorted(found)
    absent = [", ".join(version for version in NEEDED if version not in found[each]) for each in names]
    if all(absent):
        raise UserError(
            f"{records[0].where}: no sentence has both a male and a female version; give the log of the task "
            "`winogender_all`, which has all versions, or those of `winogender_male` and `winogender_female` in a "
            "folder"
        )
    occupations = [each.split(".")[0] for each in names]
    return pd.DataFrame(
        {
            "item": names,
            "cluster": occupations,
            "group": ["occupation" if each.endswith(".0") else "participant" for each in names],
            "women": [women[each][0] for each in occupations],
            "women_in_text": [women[each][1] for each in occupations],
            "comparable": False,
            "skipped": [f"no {each} version in the log" if each else "" for each in absent],
        }
        | {version: [found[each].get(version, np.nan) for each in names] for version in VERSIONS}
        | {"misfit": 0.0, "tokens_male": 0, "tokens_female": 0}
    )


def _score(record: Record) -> float:
    """log p(occupation) − log p(participant), told apart by the texts that the model was asked for."""
    persons = [record.text("occupation").strip(), record.text("participant").strip()]
    if len(record.scores) != 2:
        raise UserError(f"{record.where}: {len(record.scores)} log-likelihoods, and Winogender asks for two persons")
    asked = [each.strip() for each in record.choices]
    if any(asked) and sorted(asked) != sorted(persons):
        raise UserError(f"{record.where}: the model was asked for {asked}, not for {persons}")
    first, second = record.scores
    return first - second if not any(asked) or asked == persons else second - first
