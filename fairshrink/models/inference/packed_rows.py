"""Rows of a causal model's batch end to end, as one long row without padding.

All that a block does with a token alone (its linear layers, normalizations, rotations) it does once for each token of
a row, and only attention goes by text, those of equal length together, by the model's own function: the queries, keys
and values of what texts have in common are copied to each of them. So a token reads what it reads in its text alone,
no mask is needed, and no work is spent on padding. On a GPU the many small calls of attention would cost more than
padding does.
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
from fairshrink.models.inference.shared_prefixes import Row, can_share, longest_row, paths

ATTENTION = "sdpa"
"""The attention that can be computed by text: it is one function, which all architectures call."""


@dataclass(frozen=True)
class Run:
    """Texts of equal length, one after the other: where they begin and how many they are."""

    start: int
    rows: int
    length: int


def can_pack(cp: Checkpoint, text: Sequence[int]) -> bool:
    """Whether this text can be computed so."""
    usual = cp.device.type == "cpu" and cp.model.config._attn_implementation == ATTENTION
    return usual and can_share(cp) and len(text) <= longest_row(cp)


def states(model: torch.nn.Module, rows: Sequence[Row]) -> torch.Tensor:
    """The last hidden layer ``[tokens, width]`` of rows one after the other, in this order."""
    texts = different_texts(rows)
    places = torch.tensor([place for text in texts for place in text])
    one_of_each = torch.from_numpy(np.unique(places, return_index=True)[1])
    with by_row(runs(texts), (places, one_of_each)):
        return hidden_states(model, inputs(rows))[0]


def inputs(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Model inputs of one long row: ids and positions ``[1, tokens]``; what is read by whom is said to attention."""
    ids = [token for row in rows for token in row.ids]
    depths = [depth for row in rows for depth in row.depths]
    # With four dimensions it is taken as it is, and no mask of the long row is built.
    unread = torch.ones((1, 1, 1, 1), dtype=torch.bool).expand(1, 1, len(ids), len(ids))
    return {"input_ids": torch.tensor([ids]), "position_ids": torch.tensor([depths]), "attention_mask": unread}


def different_texts(rows: Sequence[Row]) -> list[list[int]]:
    """The different texts by length, each as the places of its tokens in the long row."""
    return sorted(map(list, set(map(tuple, paths(rows).values()))), key=lambda text: (len(text), text))


def runs(texts: Sequence[Sequence[int]]) -> list[Run]:
    """Neighboring texts of equal length."""
    found, start = [], 0
    for length, group in groupby(map(len, texts)):
        count = len(list(group))
        found.append(Run(start, count, length))
        start += count * length
    return found


@contextlib.contextmanager
def by_row(parts: Sequence[Run], copied: tuple[torch.Tensor, torch.Tensor] | None = None) -> Iterator[None]:
    """Attention goes by text where it is given these texts as one row, and as usual elsewhere.

    ``copied``, if texts have tokens of the row in common: the place in the row of each token of the texts one after the
    other, and the place among these of each token of the row.
    """
    tokens = sum(part.rows * part.length for part in parts) if copied is None else len(copied[1])
    own = ALL_ATTENTION_FUNCTIONS[ATTENTION]

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
        given = (query, key, value)
        if copied:
            # Memory holds the heads of a token side by side.
            given = tuple(each.transpose(1, 2).index_select(1, copied[0]).transpose(1, 2) for each in given)
        read = [own(module, *(_rows(each, part) for each in given), None, **options)[0].flatten(0, 1) for part in parts]
        found = torch.cat(read)
        return (found.index_select(0, copied[1]) if copied else found)[None], None

    ALL_ATTENTION_FUNCTIONS[ATTENTION] = attend
    try:
        yield
    finally:
        del ALL_ATTENTION_FUNCTIONS[ATTENTION]


def _rows(each: torch.Tensor, part: Run) -> torch.Tensor:
    """``[rows, heads, length, head_dim]`` of ``[1, heads, tokens, head_dim]``, without copying."""
    mine = each[0, :, part.start : part.start + part.rows * part.length]
    return mine.unflatten(1, (part.rows, part.length)).transpose(0, 1)
