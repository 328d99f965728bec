"""Texts that begin alike in one row of a causal model's batch: their common beginning is computed once.

A row is a tree of tokens: each has a parent, the token before it. Under an attention mask ``[length, length]`` by which
a token reads itself and those before it in its own texts, and with its distance from the first one as its position, a
token has the hidden state that it has in each of these texts alone, up to rounding. This is exact where a model knows
what is before a token from the mask and from positions alone, see `can_share`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fairshrink.models.checkpoint import Checkpoint, max_tokens

EXACT = {
    *("cohere", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neox", "granite", "llama", "mistral", "olmo", "olmo2"),
    *("opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm"),
}
"""Architectures that take a mask for each pair of tokens and a position for each token.

Not BLOOM, whose biases count tokens in the row, nor GPT-Neo, whose local layers have a mask of their own.
"""
TOKEN_WORTH = 1.0
"""The cost of a token in the linear layers of a block of width d, in pairs of tokens that attention compares: d.

By counting operations it is 6 d, but attention runs at a part of the rate of large matrix products.
"""


@dataclass(frozen=True)
class Row:
    """A tree of tokens: ``ids``, the number of each one's parent in the row (-1 for the first), and its depth.

    ``paths``: for each text of the row the places of its tokens, by the text's number.
    """

    ids: list[int]
    parents: list[int]
    depths: list[int]
    paths: dict[int, list[int]]

    @property
    def branches(self) -> bool:
        """Whether it is more than one text."""
        return len(self.ids) > max(self.depths, default=-1) + 1


def can_share(cp: Checkpoint) -> bool:
    """Whether rows with branches are computed as each text alone, by the architecture.

    A stored form that is more than other weights in the same layers changes nothing here: every one of them treats
    each token alone.
    """
    return cp.model.config.model_type in EXACT


def rows(cp: Checkpoint, sequences: Mapping[int, Sequence[int]], most: int | None = None) -> list[Row]:
    """The sequences in as many rows as is cheapest, or each in a row of its own; equal ones are computed once.

    ``most``: the tokens of a row, if attention is computed by text and so costs nothing more in a long row.
    The rows depend on which sequences there are, and not on their order.
    """
    numbers: dict[tuple[int, ...], list[int]] = {}
    for number, ids in sequences.items():
        numbers.setdefault(tuple(ids), []).append(number)
    texts = sorted(numbers)
    if most is not None:
        groups = _groups(texts, math.inf, most)
    elif can_share(cp):
        groups = _groups(texts, TOKEN_WORTH * cp.model.config.hidden_size, longest_row(cp))
    else:
        groups = [[text] for text in texts]
    return [_row(group, numbers) for group in groups]


def longest_row(cp: Checkpoint) -> int:
    """The longest row with branches: a window of attention counts tokens in the row, so it has to hold all of it."""
    window = getattr(cp.model.config, "sliding_window", None)
    return min(max_tokens(cp), window) if window else max_tokens(cp)


def _groups(texts: Sequence[tuple[int, ...]], worth: float, limit: int) -> list[list[tuple[int, ...]]]:
    """Sorted texts, divided so that each joins those before it where the tokens saved are more than attention costs."""
    groups: list[list[tuple[int, ...]]] = []
    length = 0
    for text in texts:
        shared = _common(groups[-1][-1], text) if groups else 0
        new = len(text) - shared
        pairs = (length + new) ** 2 - length**2 - len(text) ** 2
        if groups and shared and worth * shared > pairs and length + new <= limit:
            groups[-1].append(text)
            length += new
        else:
            groups.append([text])
            length = len(text)
    return groups


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens are the same at the beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _row(group: Sequence[tuple[int, ...]], numbers: dict[tuple[int, ...], list[int]]) -> Row:
    row = Row([], [], [], {})
    path: list[int] = []
    last: tuple[int, ...] = ()
    for text in group:
        shared = _common(last, text)
        path = path[:shared]
        for depth in range(shared, len(text)):
            row.parents.append(path[-1] if path else -1)
            row.ids.append(text[depth])
            row.depths.append(depth)
            path.append(len(row.ids) - 1)
        last = text
        row.paths.update(dict.fromkeys(numbers[text], path[:]))
    return row


def paths(chosen: Sequence[Row]) -> dict[int, list[int]]:
    """For each text of rows the places of its tokens in these rows end to end, by the text's number."""
    starts = accumulate((len(row.ids) for row in chosen), initial=0)
    return {
        number: [start + place for place in path]
        for start, row in zip(starts, chosen, strict=False)
        for number, path in row.paths.items()
    }


def inputs(model: torch.nn.Module, chosen: Sequence[Row]) -> dict[str, torch.Tensor]:
    """Model inputs of rows with branches, on the CPU: ids and positions [n, longest], mask [n, 1, longest, longest].

    Padding on the right reads only itself, so that no softmax is over nothing, and nothing reads it.
    """
    config: Any = model.config
    longest = max(len(row.ids) for row in chosen)
    ids = np.full((len(chosen), longest), config.pad_token_id or 0)
    positions = np.zeros_like(ids)
    mask = np.tile(np.eye(longest, dtype=bool), (len(chosen), 1, 1, 1))
    for at, row in enumerate(chosen):
        n = len(row.ids)
        ids[at, :n], positions[at, :n], mask[at, 0, :n, :n] = row.ids, row.depths, before(row)
    seen = torch.from_numpy(mask)
    if config._attn_implementation != "sdpa":  # it adds the mask to the logits of attention
        seen = torch.zeros(mask.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    return {"input_ids": torch.from_numpy(ids), "position_ids": torch.from_numpy(positions), "attention_mask": seen}


def before(row: Row) -> NDArray[np.bool_]:
    """``[length, length]``: whether the first token reads the second, which is itself or before it in a text."""
    seen = np.eye(len(row.ids), dtype=bool)
    for at, parent in enumerate(row.parents):
        if parent >= 0:
            seen[at] |= seen[parent]
    return seen
