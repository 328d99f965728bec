"""The loss of models with one vector of logits per text or pair of texts."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.batching import collate, encode
from fairshrink.training.fit import Loss
from fairshrink.training.settings import TrainingSettings

if TYPE_CHECKING:
    from pandas import DataFrame

ROWS_AT_ONCE = 4096


def sequence_loss(
    cp: Checkpoint,
    frame: DataFrame,
    settings: TrainingSettings,
    labels: torch.Tensor,
    criterion: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> Loss:
    """``criterion(logits [n, outputs], labels [n])`` over the rows of ``frame``, in float32."""
    sequences, types = _tokens(cp, frame, settings.max_length)

    def mean(rows: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        segments = [types[i].tolist() for i in rows] if types else None
        logits = cp.model(**collate(cp, [sequences[i].tolist() for i in rows], segments)).logits
        return criterion(logits.float(), labels[list(rows)].to(logits.device))

    return Loss([len(ids) for ids in sequences], mean)


def _tokens(cp: Checkpoint, frame: DataFrame, max_length: int) -> tuple[list[array[int]], list[array[int]]]:
    """Token ids of each row, and token types where there are any.

    A tokenizer's own answer takes many times the memory (6 kB for 32 tokens), so it is asked for some rows at a time.
    """
    sequences: list[array[int]] = []
    types: list[array[int]] = []
    for start in range(0, len(frame), ROWS_AT_ONCE):
        part = frame.iloc[start : start + ROWS_AT_ONCE]
        pairs = list(part["text_pair"]) if "text_pair" in part else None
        encoded = encode(cp, list(part["text"]), pairs, max_length=max_length)
        sequences += [array("i", ids) for ids in encoded["input_ids"]]
        types += [array("b", ids) for ids in encoded.get("token_type_ids") or ()]
    return sequences, types
