"""Texts of an encoder's batch end to end, as one long row without padding, as `packed_rows` has those of causal models.

The embeddings are the model's own, of padded texts, so that positions are counted as it counts them; before the first
block padding is left out. There the query, key and value of a token depend on its id, position and type alone: they are
computed once for tokens that are equal in these, as most are in texts that differ by a mask or a word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.packed_rows import ATTENTION, Run, by_row

ALONE = {"bert", "camembert", "distilbert", "electra", "ernie", "roberta", "roberta-prelayernorm", "xlm-roberta"}
"""Encoders whose blocks take hidden states and masks, and nothing else that counts positions."""
WORTHWHILE = 0.5
"""The share of distinct tokens up to which it is less work to compute each once: all are copied to their places."""


@dataclass(frozen=True)
class Layout:
    """How texts of a padded batch lie in a long row.

    ``runs``: those of equal length that are neighbors. ``tokens``: the places of the row in the flattened batch.
    ``starts``: where in the row each text begins. ``distinct``: for tokens that are equal as the first block sees them
    one place in the row, and for each place in the row the number of its token there; None where most are different.
    """

    runs: list[Run]
    tokens: torch.Tensor
    starts: torch.Tensor
    distinct: tuple[torch.Tensor, torch.Tensor] | None

    def at(self, texts: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices, in the one row that there is, of position ``places[i]`` of text ``texts[i]``."""
        return torch.zeros_like(texts), self.starts[texts] + places


def alone(model: torch.nn.Module) -> bool:
    """Whether the blocks of a model treat each token alone but for attention, which knows positions from masks only."""
    if hasattr(model, "own_runtime"):  # what computes it runs no blocks
        return False
    return model.config.model_type in ALONE and not getattr(model.config, "is_decoder", False)


def can_pack(cp: Checkpoint) -> bool:
    """Whether texts can be computed so."""
    return alone(cp.model) and cp.device.type == "cpu" and cp.model.config._attn_implementation == ATTENTION


def layout(inputs: dict[str, torch.Tensor], pad: int | None) -> Layout:
    """Of right-padded inputs ``[texts, longest]``; ``pad`` is the id that the model may not count as a position."""
    real = inputs["attention_mask"].numpy() > 0
    lengths = real.sum(1)
    starts = np.cumsum([0, *lengths])
    runs = [
        Run(int(starts[group[0]]), len(group), int(length))
        for length, numbers in groupby(range(len(lengths)), key=lambda text: lengths[text])
        if (group := list(numbers))
    ]
    tokens, first = torch.from_numpy(real.ravel().nonzero()[0]), torch.from_numpy(starts[:-1])
    return Layout(runs, tokens, first, _distinct(inputs, real, pad))


def _distinct(
    inputs: dict[str, torch.Tensor], real: np.ndarray, pad: int | None
) -> tuple[torch.Tensor, torch.Tensor] | None:
    ids, positions = inputs["input_ids"].numpy()[real], np.nonzero(real)[1]
    if (ids == pad).any():
        return None
    types = inputs["token_type_ids"].numpy()[real] if "token_type_ids" in inputs else np.zeros_like(ids)
    seen = (ids * real.shape[1] + positions) * (types.max() + 1) + types
    _, places, numbers = np.unique(seen, return_index=True, return_inverse=True)
    few = len(places) <= WORTHWHILE * len(ids)
    return (torch.from_numpy(places), torch.from_numpy(numbers)) if few else None


@contextlib.contextmanager
def end_to_end(model: torch.nn.Module, lying: Layout) -> Iterator[None]:
    """The blocks, and all that follows them, get ``[1, tokens, width]``: the texts in a row."""
    first, *others = blocks(model)
    block = model.get_submodule(first.name)
    handles = [block.register_forward_pre_hook(lambda _, given: (_row(given[0], lying), *given[1:]))]
    if lying.distinct and others:  # the last block may run twice, see `last_block`
        places, numbers = lying.distinct
        for name in first.attention_inputs:
            layer = model.get_submodule(name)
            handles.append(layer.register_forward_pre_hook(lambda _, given: (given[0][:, places],)))
            handles.append(layer.register_forward_hook(lambda _, __, found: found[:, numbers]))
    try:
        with by_row(lying.runs):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _row(hidden: torch.Tensor, lying: Layout) -> torch.Tensor:
    return hidden.flatten(0, 1)[lying.tokens][None]
