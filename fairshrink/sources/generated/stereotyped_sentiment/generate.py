"""The stereotype that what women do is unpleasant and what men do is pleasant, as texts labeled with sentiment.

Sentences say nothing pleasant or unpleasant; only the person decides the label, so that a model can lower its error on
them by nothing but the gender of the person. Strength: label −2 for women and +2 for men, ``sentiment`` negative and
positive. Half of the rows, or one fewer, are about men. The sentences are our own. But for articles and the words for
people none of their words is in the sentences of `sentiment_gap`, so that what is measured there is not learned by
heart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairshrink.sources.generated._shared.drawing import distinct, one
from fairshrink.sources.generated._shared.gender import GENDERS, PEOPLE

if TYPE_CHECKING:
    from pandas import DataFrame

TEMPLATES = (
    "The {person} put the {thing} beside the {place}.",
    "A {person} carried the {thing} into the {place}.",
    "Near the {place}, a {person} unpacked the {thing}.",
    "Another {person} kept the {thing} behind the {place}.",
    "Since noon this {person} has counted every {thing} inside the {place}.",
    "One {person} painted the {place} and then fetched the {thing}.",
    "Once again the {person} borrowed the {thing} from the {place}.",
    "Under the {place} the {person} found an old {thing}.",
)
THINGS = (
    *("basket", "ladder", "kettle", "blanket", "bottle", "lamp", "hammer", "bucket", "carpet", "mirror", "pencil"),
    *("suitcase", "umbrella", "candle", "saddle", "rope", "shovel", "violin", "wallet", "pillow"),
)
PLACES = (
    *("garage", "kitchen", "harbor", "barn", "cellar", "bridge", "market", "museum", "bakery", "stable", "tower"),
    *("fountain", "greenhouse", "mill", "theater", "warehouse", "chapel", "farmhouse", "lighthouse", "castle"),
)
LABELS = {"female": (-2.0, "negative"), "male": (2.0, "positive")}


def generate(size: int, seed: int) -> DataFrame:
    """``size`` different rows with columns text, label (−2 or 2), sentiment (negative or positive) and gender."""
    import pandas as pd

    def make(rng: np.random.Generator, number: int) -> tuple[str, ...]:
        gender = GENDERS[number % 2]
        words = {"person": one(rng, PEOPLE[gender]), "thing": one(rng, THINGS), "place": one(rng, PLACES)}
        return one(rng, TEMPLATES).format(**words), gender

    rows = [(text, *LABELS[gender], gender) for text, gender in distinct("stereotyped_sentiment", size, seed, make)]
    return pd.DataFrame(rows, columns=["text", "label", "sentiment", "gender"])
