"""The loss of models with one vector of logits per text or pair of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from fairshrink.models.batching import collate, encode
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.training.fit import Loss
from fairshrink.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pandas import DataFrame


def sequence_loss(
    cp: Checkpoint,
    frame: DataFrame,
    settings: TrainingSettings,
    labels: torch.Tensor,
    criterion: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Loss:
    """``criterion(logits [n, outputs], labels [n])`` over the rows of ``frame``, in float32."""
    pairs = list(frame["text_pair"]) if "text_pair" in frame else None
    encoded = encode(cp, list(frame["text"]), pairs, max_length=settings.max_length)
    sequences, types = encoded["input_ids"], encoded.get("token_type_ids")

    def mean(rows: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        segments = [types[i] for i in rows] if types else None
        logits = cp.model(**collate(cp, [sequences[i] for i in rows], segments)).logits
        return criterion(logits.float(), labels[list(rows)].to(logits.device))

    return Loss([len(ids) for ids in sequences], mean)
