"""Log-probability of a person in a sentence about an occupation, less that in the same sentence with no occupation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairshrink.metrics._shared.outcomes import Skipped
from fairshrink.metrics._shared.word_scores import Marked, Span, word_scores

if TYPE_CHECKING:
    from fairshrink.models.checkpoint import Checkpoint


@dataclass(frozen=True)
class Mention:
    """A sentence with a person and an occupation, by the characters of both."""

    text: str
    person: Span
    occupation: Span


@dataclass(frozen=True)
class Association:
    """log p of the person, given the occupation and with it masked."""

    given: float
    prior: float


def associations(cp: Checkpoint, mentions: Sequence[Mention]) -> list[Association | Skipped]:
    """For each sentence both log-probabilities, or why there are none."""
    given = word_scores(cp, [Marked(each.text, (each.person,)) for each in mentions])
    prior = word_scores(cp, [Marked(each.text, (each.person,), (each.occupation,)) for each in mentions])
    found: list[Association | Skipped] = []
    for one, other in zip(given, prior, strict=True):
        if isinstance(one, Skipped) or isinstance(other, Skipped):
            found.append(one if isinstance(one, Skipped) else other if isinstance(other, Skipped) else Skipped(""))
        else:
            found.append(Association(one, other))
    return found
