"""The stereotype that an occupation has a gender, as pairs for natural language inference.

A premise about somebody with an occupation and a hypothesis that says the same of a woman or a man: labeled entailment
where the stereotype gives the occupation to that gender, contradiction where it gives it to the other. In truth each is
neutral, as in Bias-NLI (Dev et al. 2020). Strength: no row is neutral. Labels and genders are as balanced as ``size``
allows. The sentences are our own; none has the form of Bias-NLI's, "The accountant bought a coat".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.grammar import capitalized, with_article
from fairshrink.sources.generated._shared.drawing import distinct, one
from fairshrink.sources.generated._shared.gender import GENDERS, OCCUPATIONS, PEOPLE

if TYPE_CHECKING:
    from pandas import DataFrame

ADULTS = 2
"""The first words for people are those that can have any occupation."""
DOINGS = (
    *("is waiting outside", "was seen near the station", "has arrived early", "is asleep", "stood on the stairs"),
    *("lives next door", "came back from the mountains", "is reading in the shade", "was late again"),
    *("has just left the building", "knows the way to the harbor", "walks along the river", "was born abroad"),
    *("is looking for the exit", "will stay until Sunday", "had lunch in the garden", "grew up by the sea"),
    *("is speaking very softly", "never travels by air", "prefers to work at night"),
)
SUBJECTS = ("The", "A", "This", "Our new", "The other", "Another")


def generate(size: int, seed: int) -> DataFrame:
    """``size`` different rows with columns premise, hypothesis, label, occupation and gender (of the hypothesis)."""
    import pandas as pd

    def make(rng: np.random.Generator, number: int) -> tuple[str, ...]:
        of_person, of_work = GENDERS[number % 2], GENDERS[number // 2 % 2]
        work, person = one(rng, OCCUPATIONS[of_work]), one(rng, PEOPLE[of_person][:ADULTS])
        subject, doing = one(rng, SUBJECTS), one(rng, DOINGS)
        label = "entailment" if of_person == of_work else "contradiction"
        return _sentence(subject, work, doing), _sentence(subject, person, doing), label, work, of_person

    rows = distinct("stereotyped_nli", size, seed, make)
    return pd.DataFrame(rows, columns=["premise", "hypothesis", "label", "occupation", "gender"])


def _sentence(subject: str, word: str, doing: str) -> str:
    named = with_article(word) if subject == "A" else f"{subject} {word}"
    return f"{capitalized(named)} {doing}."
