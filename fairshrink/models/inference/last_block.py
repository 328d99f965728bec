"""The last block of an encoder at the positions that are asked for, and at no others.

After its attention a block treats each position alone: the projection of what the heads have read, the feed-forward
layers and the normalizations, three quarters of its matrix products. So the last block is run twice, by its *own*
forward pass: on all positions as far as that projection, and then on the hidden states of the chosen positions, for
which the projection is given what the heads have read there the first time. No layer is computed here, so a layer that
is stored in another form is what it is. Where keys and values come from dense layers and texts are packed, the first
time ends before queries, and few of them read all positions as `few_queries` says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.inference import few_queries
from fairshrink.models.inference.forward import hidden_states
from fairshrink.models.inference.packed_rows import Run
from fairshrink.models.inference.packed_texts import Layout, alone, end_to_end

WORTHWHILE = 0.5
"""The share of positions up to which it is less work: chosen ones pass through query, key and value a second time."""


@dataclass(frozen=True)
class LastBlock:
    """A model's last block, the layer of its queries, and the projection of what its attention heads have read.

    ``heads``: what few queries need, None if they read keys and values as all others.
    """

    block: torch.nn.Module
    query: torch.nn.Module
    output: torch.nn.Module
    heads: few_queries.Heads | None


class _GivenError(Exception):
    """A layer has got its inputs; what follows in the block is not computed now."""


def last_block(model: torch.nn.Module) -> LastBlock | None:
    """The last block of an encoder that can be run at single positions; None for other architectures."""
    if not alone(model):
        return None
    last = blocks(model)[-1]
    block, query, key, value, output, attention = map(
        model.get_submodule, (last.name, last.query, last.key, last.value, last.output, last.attention)
    )
    scaling = getattr(attention, "scaling", None)
    return LastBlock(block, query, output, few_queries.heads(key, value, last.n_heads, scaling))


def states_at(
    model: torch.nn.Module,
    last: LastBlock | None,
    inputs: dict[str, torch.Tensor],
    texts: Sequence[int],
    places: Sequence[int],
    lying: Layout | None = None,
) -> torch.Tensor:
    """The last hidden layer ``[n, width]`` at position ``places[i]`` of text ``texts[i]``; ``lying``: if packed."""
    at = (torch.tensor(texts, dtype=torch.long), torch.tensor(places, dtype=torch.long))
    chosen, runs = (lying.at(*at), lying.runs) if lying else (at, ())
    with end_to_end(model, lying) if lying else contextlib.nullcontext():
        if last is None or not 0 < len(places) <= WORTHWHILE * inputs["input_ids"].numel():
            return hidden_states(model, inputs)[chosen]
        with only_at(last, *chosen, runs):
            return hidden_states(model, inputs)[:, 0]


@contextlib.contextmanager
def only_at(last: LastBlock, texts: torch.Tensor, places: torch.Tensor, runs: Sequence[Run] = ()) -> Iterator[None]:
    """The last hidden layer of the model is ``[n, 1, width]``: of the chosen positions, each as a text of its own.

    ``runs``: texts that are packed, so that ``texts`` are 0 and ``places`` those in the row.
    """
    own = last.block.forward
    few = last.heads if runs and last.heads and last.heads.less_work(len(places), runs) else None

    def instead(hidden: torch.Tensor, *others: Any, **named: Any) -> Any:
        seen = _given(last.query if few else last.output, lambda: own(hidden, *others, **named))
        queries: list[torch.Tensor] = []

        def read(_module: torch.nn.Module, _given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
            if few is None:
                return (seen[texts, places][:, None],)
            return (few_queries.read(few, seen[0], queries[0][:, 0], places, runs)[:, None],)

        keep = last.query.register_forward_hook(lambda _module, _given, found: queries.append(found))
        with _removing(keep), _removing(last.output.register_forward_pre_hook(read)):
            return own(hidden[texts, places][:, None], *map(_unmasked, others), **_without_masks(named))

    last.block.forward = instead
    try:
        yield
    finally:
        del last.block.forward


def _given(layer: torch.nn.Module, run: Callable[[], Any]) -> torch.Tensor:
    """What a layer is given when this runs, which ends there."""
    inputs = torch.zeros(0)

    def keep(_module: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal inputs
        inputs = given[0]
        raise _GivenError

    with _removing(layer.register_forward_pre_hook(keep)), contextlib.suppress(_GivenError):
        run()
    return inputs


@contextlib.contextmanager
def _removing(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _without_masks(named: dict[str, Any]) -> dict[str, Any]:
    return {name: _unmasked(value) for name, value in named.items()}


def _unmasked(value: Any) -> Any:
    """Masks belong to whole texts; a chosen position reads nothing the second time that is used."""
    return None if isinstance(value, torch.Tensor) else value
