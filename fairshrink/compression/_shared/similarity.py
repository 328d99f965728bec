"""How much the blocks of a model change the hidden states that pass through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from fairshrink.compression._shared.calibration import Text, in_batches
from fairshrink.models.architecture.blocks import blocks
from fairshrink.models.checkpoint import Checkpoint
from fairshrink.models.inference.forward import hidden_states


@torch.no_grad()
def block_similarities(cp: Checkpoint, texts: Sequence[Text]) -> list[float]:
    """For each block the mean over all tokens of the cosine of its input and its output."""
    cp.model.eval()
    modules = [cp.model.get_submodule(block.name) for block in blocks(cp.model)]
    totals, tokens, mask = [0.0] * len(modules), 0, torch.empty(0)

    def hook(number: int) -> Callable[..., None]:
        def add(_: torch.nn.Module, args: tuple[Any, ...], kw: dict[str, Any], answer: Any) -> None:
            before = (args[0] if args else kw["hidden_states"])[mask].double()
            after = (answer[0] if isinstance(answer, tuple) else answer)[mask].double()
            totals[number] += float(torch.nn.functional.cosine_similarity(before, after, dim=-1).sum())

        return add

    handles = [module.register_forward_hook(hook(number), with_kwargs=True) for number, module in enumerate(modules)]
    try:
        for inputs in in_batches(cp, texts):
            mask = inputs["attention_mask"].bool()
            tokens += int(mask.sum())
            hidden_states(cp.model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return [total / tokens for total in totals]
