"""The last block of an encoder at the positions that are asked for, and at no others.

After its attention a block treats each position alone: the projection of what the heads have read, the feed-forward
layers and the normalizations, three quarters of its matrix products. So the last block is run twice, by its *own*
forward pass: on all positions as far as that projection, and then on the hidden states of the chosen positions, for
which the projection is given what the heads have read there the first time. No layer is computed here, so a layer that
is stored in another form is what it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.inference.forward import hidden_states

ALONE = {"bert", "camembert", "distilbert", "electra", "ernie", "roberta", "roberta-prelayernorm", "xlm-roberta"}
"""Encoders whose blocks take hidden states and masks, and nothing else that counts positions."""
WORTHWHILE = 0.5
"""The share of positions up to which it is less work: chosen ones pass through query, key and value a second time."""


@dataclass(frozen=True)
class LastBlock:
    """A model's last block, and the projection of what its attention heads have read."""

    block: torch.nn.Module
    output: torch.nn.Module


class _ReadError(Exception):
    """The heads have read; what follows in the block is not computed now."""


def last_block(model: torch.nn.Module) -> LastBlock | None:
    """The last block of an encoder that can be run at single positions; None for other architectures."""
    config: Any = model.config
    if config.model_type not in ALONE or getattr(config, "is_decoder", False):
        return None
    last = blocks(model)[-1]
    return LastBlock(model.get_submodule(last.name), model.get_submodule(last.output))


def states_at(
    model: torch.nn.Module,
    last: LastBlock | None,
    inputs: dict[str, torch.Tensor],
    texts: Sequence[int],
    places: Sequence[int],
) -> torch.Tensor:
    """The last hidden layer ``[n, width]`` at position ``places[i]`` of text ``texts[i]``."""
    chosen = (torch.tensor(texts, dtype=torch.long), torch.tensor(places, dtype=torch.long))
    if last is None or not 0 < len(places) <= WORTHWHILE * inputs["input_ids"].numel():
        return hidden_states(model, inputs)[chosen]
    with only_at(last, *chosen):
        return hidden_states(model, inputs)[:, 0]


@contextlib.contextmanager
def only_at(last: LastBlock, texts: torch.Tensor, places: torch.Tensor) -> Iterator[None]:
    """The last hidden layer of the model is ``[n, 1, width]``: of the chosen positions, each as a text of its own."""
    own, read = last.block.forward, torch.zeros(0)

    def keep(_module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal read
        read = given[0][texts, places][:, None]
        raise _ReadError

    def instead(hidden: torch.Tensor, *others: Any, **named: Any) -> Any:
        with _before(last.output, keep), contextlib.suppress(_ReadError):
            own(hidden, *others, **named)
        with _before(last.output, lambda _module, _given: (read,)):
            return own(hidden[texts, places][:, None], *map(_unmasked, others), **_without_masks(named))

    last.block.forward = instead
    try:
        yield
    finally:
        del last.block.forward


@contextlib.contextmanager
def _before(module: torch.nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _without_masks(named: dict[str, Any]) -> dict[str, Any]:
    return {name: _unmasked(value) for name, value in named.items()}


def _unmasked(value: Any) -> Any:
    """Masks belong to whole texts; a chosen position reads nothing the second time that is used."""
    return None if isinstance(value, torch.Tensor) else value
