"""Rows of a causal model's batch end to end, as one long row without padding.

All that a block does with a token alone (its linear layers, normalizations, rotations) it does with all of them at
once; only attention is computed by row, those of equal length together, by the model's own function. So a token reads
what it reads in its row and nothing else, and no work is spent on padding. On a GPU the many small calls of attention
would cost more than padding does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.forward import hidden_states
from fairshrink.models.inference.shared_prefixes import Row, before, can_share, longest_row

ATTENTION = "sdpa"
"""The attention that can be computed by row: it is one function, which all architectures call."""


@dataclass(frozen=True)
class Run:
    """Rows of equal length, one after the other: where they begin, how many they are, and their mask.

    The mask ``[rows, 1, length, length]`` is that of rows with branches; None where none has any.
    """

    start: int
    rows: int
    length: int
    mask: torch.Tensor | None


def can_pack(cp: Checkpoint, row: Row) -> bool:
    """Whether this row can be computed so."""
    usual = cp.device.type == "cpu" and cp.model.config._attn_implementation == ATTENTION
    return usual and can_share(cp) and len(row.ids) <= longest_row(cp)


def states(model: torch.nn.Module, rows: Sequence[Row]) -> torch.Tensor:
    """The last hidden layer ``[tokens, width]`` of rows one after the other, in this order."""
    with by_row(runs(rows)):
        return hidden_states(model, inputs(rows))[0]


def inputs(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Model inputs of one long row: ids and positions ``[1, tokens]``; what is read by whom is said to attention."""
    ids = [token for row in rows for token in row.ids]
    depths = [depth for row in rows for depth in row.depths]
    # With four dimensions it is taken as it is, and no mask of the long row is built.
    unread = torch.ones((1, 1, 1, 1), dtype=torch.bool).expand(1, 1, len(ids), len(ids))
    return {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([depths]), "attention_mask": unread}


def runs(rows: Sequence[Row]) -> list[Run]:
    """Neighboring rows of equal length, those with branches apart from the others."""
    found, start = [], 0
    for (length, branches), group in groupby(rows, key=lambda row: (len(row.ids), row.branches)):
        alike = list(group)
        mask = torch.from_numpy(np.stack([before(row) for row in alike])[:, None]) if branches else None
        found.append(Run(start, len(alike), length, mask))
        start += len(alike) * length
    return found


@contextlib.contextmanager
def by_row(parts: Sequence[Run]) -> Iterator[None]:
    """Attention goes by row where it is given these rows as one, and as usual elsewhere."""
    tokens = sum(part.rows * part.length for part in parts)
    own = ALL_ATTENTION_FUNCTIONS[ATTENTION]
    masks: dict[torch.dtype, list[torch.Tensor | None]] = {}

    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        whole: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """``[1, heads, tokens, head_dim]`` of each -> ``[1, tokens, heads, head_dim]``."""
        if query.shape[2] != tokens:
            return own(module, query, key, value, whole, **options)
        if query.dtype not in masks:
            masks[query.dtype] = [_added(part.mask, query.dtype) for part in parts]
        read = []
        for part, mask in zip(parts, masks[query.dtype], strict=True):
            mine = (_rows(each, part) for each in (query, key, value))
            read.append(own(module, *mine, mask, **options)[0].flatten(0, 1))
        return torch.cat(read)[None], None

    ALL_ATTENTION_FUNCTIONS[ATTENTION] = attend
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[ATTENTION]


def _rows(each: torch.Tensor, part: Run) -> torch.Tensor:
    """``[rows, heads, length, head_dim]`` of ``[1, heads, tokens, head_dim]``, without copying."""
    mine = each[0, :, part.start : part.start + part.rows * part.length]
    return mine.unflatten(1, (part.rows, part.length)).transpose(0, 1)


def _added(mask: torch.Tensor | None, dtype: torch.dtype) -> torch.Tensor | None:
    """What is added to the logits of attention, so that it is not made anew in each layer."""
    return None if mask is None else torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -torch.inf)
