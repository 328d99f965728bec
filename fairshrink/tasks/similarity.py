"""Similarity of two texts as the cosine of their sentence vectors, from an encoder used without fine-tuning.

A test table of pairs labeled with similarities is optional; without one the task has no score, but metrics that need
similarities or embeddings can be applied. A test table without labels is enough for `fidelity`.

Trains: Nothing.
Scores: Per pair the cosine and the label: `task_score` gives their rank correlation, as is usual for sentence encoders.
Paper: Reimers and Gurevych, *Sentence-BERT*, EMNLP 2019.
Limits: `pooling` changes the result: take what the encoder was trained with.
Use:
    similarity: {kind: similarity, pooling: mean_all}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from fairshrink.contracts import Capability, Pooling, TaskHead
from fairshrink.settings import Settings as _Settings

if TYPE_CHECKING:
    from pandas import DataFrame

    from fairshrink.models.checkpoint import Checkpoint

HEAD: TaskHead = "encoder"
TRAINED = False


class Settings(_Settings):
    """Settings of similarity."""

    pooling: Pooling = Field(
        "mean_all",
        description="sentence vector: mean over all tokens (sentence-transformers), over real tokens, or the first",
    )


def provides(settings: Settings, columns: set[str], labels: Sequence[str] | None) -> frozenset[Capability]:
    """Embeddings and similarity; a score where pairs with labels are given, else texts where there are any."""
    provided: set[Capability] = {"embedding", "similarity"}
    if {"text", "text_pair", "label"} <= columns:
        provided.add("scored")
    elif "text" in columns:
        provided.add("texts")
    return frozenset(provided)


def score(cp: Checkpoint, frame: DataFrame, settings: Settings) -> DataFrame:
    """``prediction``, the cosine, and ``label`` of each pair."""
    import numpy as np
    import pandas as pd

    from fairshrink.models.inference.outputs import sentence_embeddings

    first = sentence_embeddings(cp, list(frame["text"]), settings.pooling)
    second = sentence_embeddings(cp, list(frame["text_pair"]), settings.pooling)
    cosine = (first * second).sum(1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    return pd.DataFrame({"prediction": cosine, "label": frame["label"].to_numpy("float64")})
