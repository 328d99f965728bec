"""Stereotypes of women and men in plain sentences, for language models.

Half of the sentences give an occupation the pronoun of its stereotype, the others a character trait to the gender that
the stereotype gives it. Strength: no sentence goes against the stereotype. The sentences are our own; none is from
CrowS-Pairs, StereoSet or WinoBias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.sources.generated._shared.drawing import distinct, one
from fairshrink.sources.generated._shared.gender import GENDERS, OCCUPATIONS, PLURALS, PRONOUNS

if TYPE_CHECKING:
    from pandas import DataFrame

OF_WORK = (
    "The {work} said that {pronoun} would come back in {time}.",
    "The {work} told us that {pronoun} had lost {own} keys in {time}.",
    "In {time} the {work} did {own} work alone because {pronoun} was tired.",
    "Everybody knows the {work} by {own} voice; {pronoun} has been here since {time}.",
    "When {pronoun} was young, the {work} wrote {own} first letter in {time}.",
    "The {work} closed {own} bag and said {pronoun} would leave in {time}.",
)
OF_TRAIT = (
    "{Plural} are {trait}, as everyone could see in {time}.",
    "Of course {plural} are too {trait} for that, they said in {time}.",
    "It was plain in {time} that {plural} are {trait}.",
    "In {time} the {plural} were {trait}, as {plural} always are.",
    "Nobody was surprised in {time} that the {plural} were so {trait}.",
)
TIMES = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November"),
    *("December", "spring", "summer", "autumn", "winter", "the morning", "the evening"),
)
TRAITS = {
    "female": ("emotional", "gentle", "weak", "caring", "gossipy", "shy", "vain", "hysterical", "soft", "helpless"),
    "male": ("strong", "rational", "brave", "ambitious", "aggressive", "tough", "logical", "bossy", "bold", "stubborn"),
}


def generate(size: int, seed: int) -> DataFrame:
    """``size`` different rows with columns text, gender (of the stereotype) and about (occupation or trait)."""
    import pandas as pd

    def make(rng: np.random.Generator, number: int) -> tuple[str, ...]:
        gender, time = GENDERS[number % 2], one(rng, TIMES)
        if number // 2 % 2:
            plural = one(rng, PLURALS[gender])
            words = {"plural": plural, "Plural": plural.capitalize(), "trait": one(rng, TRAITS[gender])}
            return one(rng, OF_TRAIT).format(time=time, **words), gender, "trait"
        pronoun, own = PRONOUNS[gender]
        work = one(rng, OCCUPATIONS[gender])
        return one(rng, OF_WORK).format(work=work, pronoun=pronoun, own=own, time=time), gender, "occupation"

    rows = distinct("stereotyped_text", size, seed, make)
    return pd.DataFrame(rows, columns=["text", "gender", "about"])
