"""Similarity of two texts as the cosine of their sentence vectors, from an encoder taken as it is.

With a test table of pairs labeled with similarities, the score is the rank correlation of cosine and label, as is
usual for sentence encoders (Reimers and Gurevych 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from fairshrink.settings import Settings as _Settings

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.models.checkpoint import Checkpoint

HEAD = "encoder"
TRAINED = False


class Settings(_Settings):
    """Settings of similarity."""

    pooling: Literal["mean", "cls", "mean_all"] = Field(
        "mean_all",
        description="sentence vector: mean over all tokens (as sentence-transformers), over real tokens, or the first",
    )


def provides(settings: Settings, columns: set[str], labels: list[str] | None) -> frozenset[str]:
    """Embeddings and similarity; a score where pairs with labels are given."""
    scored = {"text", "text_pair", "label"} <= columns
    return frozenset({"embedding", "similarity"} | ({"scored"} if scored else set()))


def score(cp: Checkpoint, frame: DataFrame, settings: Settings) -> DataFrame:
    """``prediction``, the cosine, and ``label`` of each pair."""
    import numpy as np
    import pandas as pd

    from fairshrink.models.inference import sentence_embeddings

    first = sentence_embeddings(cp, list(frame["text"]), settings.pooling)
    second = sentence_embeddings(cp, list(frame["text_pair"]), settings.pooling)
    cosine = (first * second).sum(1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    return pd.DataFrame({"prediction": cosine, "label": frame["label"].to_numpy("float64")})
