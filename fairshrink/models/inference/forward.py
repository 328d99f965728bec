"""A model's forward pass in two halves: the hidden states of its last layer, and the logits of chosen positions.

The second half is the model's *own* forward pass, in which the transformer's answer is replaced by states that were
computed before. So whatever an architecture does on the way to its logits (a transform, a soft cap, a scale) is done
here too, on the positions that are needed and on no others, without a list of architectures and their parts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from fairshrink.errors import UserError
from fairshrink.models.inference.vocabulary import in_parts


def hidden_states(model: torch.nn.Module, inputs: dict[str, torch.Tensor], **options: Any) -> torch.Tensor:
    """The last hidden layer ``[n, length, width]``, before any task head; ``options`` go to the forward pass."""
    if "use_cache" in model.config:
        options["use_cache"] = False
    return model.base_model(**inputs, **options).last_hidden_state


def token_logits(model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
    """Logits ``[n, vocabulary]`` that a language model gives for hidden states ``[n, width]`` of single positions.

    Each position is treated alone, as all language-model heads do; gradients flow. UserError for a model whose forward
    pass does not run its transformer exactly once.
    """
    with in_parts(model.get_output_embeddings()):
        return _logits(model, states)


def output_inputs(model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
    """What the output layer of a language model is given ``[n, width]`` for hidden states of single positions."""
    seen: list[torch.Tensor] = []

    def keep(given: torch.Tensor) -> torch.Tensor:
        seen.append(given[0])
        raise _GivenError

    with _instead(model.get_output_embeddings(), keep), contextlib.suppress(_GivenError):
        _logits(model, states)
    return seen[0]


def after_output(model: torch.nn.Module, state: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """What a language model makes of ``logits`` [vocabulary] of its output layer at a position with this state."""
    with _instead(model.get_output_embeddings(), lambda _: logits.clone()[None, None]):
        return _logits(model, state[None])[0]


def _logits(model: torch.nn.Module, states: torch.Tensor) -> torch.Tensor:
    with _answering(model, states[None]) as asked:
        shape = torch.zeros((1, len(states)), dtype=torch.long, device=states.device)
        logits = model(input_ids=shape).logits
    if len(asked) != 1 or logits.shape[:2] != shape.shape:
        raise UserError(f"{type(model).__name__}: fairshrink cannot compute the logits of single positions of it")
    return logits[0]


class _GivenError(Exception):
    """The output layer has got its inputs; nothing is computed after it."""


@contextlib.contextmanager
def _instead(layer: torch.nn.Module, forward: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """The layer computes this; what is hooked to it is as before."""
    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward


@contextlib.contextmanager
def _answering(model: torch.nn.Module, states: torch.Tensor) -> Iterator[list[None]]:
    """The transformer inside ``model`` answers with these states; the list gets an entry each time it is asked."""
    asked: list[None] = []

    def answer(*_: Any, **__: Any) -> BaseModelOutputWithPoolingAndCrossAttentions:
        asked.append(None)
        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=states)

    base = model.base_model
    # OPT's head asks the decoder inside its transformer.
    modules = {id(each): each for each in (base, base.get_decoder())}.values()
    before = [module.__dict__.get("forward") for module in modules]  # another than its class's, of `own_runtime`
    for module in modules:
        module.forward = answer
    try:
        yield asked
    finally:
        for module, own in zip(modules, before, strict=True):
            del module.forward
            if own is not None:
                module.forward = own
