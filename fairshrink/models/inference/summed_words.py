"""Log-probabilities of words for which no matrix of states times vocabulary is written.

A part of the vocabulary after the other is multiplied, changed as the model changes its logits, and summed while it is
in the processor's cache. So it is where logits come from a dense layer and where one of CHANGES is all that the model
does with them, which it is asked with logits that tell these apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from fairshrink.models.inference.forward import after_output
from fairshrink.models.inference.vocabulary import dense, multiply

WORDS = 512
"""The words of a part, with STATES of which its logits are 1 MiB."""
STATES = 512
"""The states that are multiplied at a time."""
BITS = 1 / math.log(2)
"""torch's powers of 2 take a third of the time of its powers of e."""
PROBE = 100.0
"""The cube of this is the largest logit that the model is asked with: far beyond what soft caps are for."""
Change = Callable[[torch.Tensor], torch.Tensor]
"""What a model does with each logit by itself, in place."""


def change(model: torch.nn.Module, states: torch.Tensor) -> Change | None:
    """What the model does with the logits of its output layer; None if its words cannot be summed part by part.

    ``states`` [n, width]: hidden states, of which the first one is asked about.
    """
    output = model.get_output_embeddings()
    if not dense(output) or not len(states):
        return None
    given = torch.linspace(-PROBE, PROBE, len(output.weight)).pow(3)
    found = after_output(model, states[0], given)
    return next((each for each in _changes(model.config) if torch.equal(each(given.clone()), found)), None)


def log_probs(
    output: torch.nn.Linear, changed: Change, states: torch.Tensor, targets: torch.Tensor, of: torch.Tensor
) -> torch.Tensor:
    """log p(targets[i] | states[of[i]]), float64 [n]; ``states`` [states, width] as the output layer is given them."""
    parts = range(0, len(output.weight), WORDS)
    most = states.new_empty((len(parts), len(states)))  # the largest logit of each part, and what is relative to it
    sums, logs = torch.empty_like(most), states.new_empty((len(states), WORDS))
    chosen = states.new_zeros(len(targets))
    largest = torch.finfo(states.dtype).max  # infinite ones are not subtracted from each other
    of_parts = targets.argsort().split(torch.bincount(targets // WORDS, minlength=len(parts)).tolist())
    for part, start, mine in zip(range(len(parts)), parts, of_parts, strict=True):
        words = slice(start, min(start + WORDS, len(output.weight)))
        logits = changed(multiply(output, states, words, logs[:, : words.stop - start]))
        chosen[mine] = logits[of[mine], targets[mine] - start]
        most[part] = logits.amax(1).clamp_(-largest, largest)
        sums[part] = logits.sub_(most[part, :, None]).mul_(BITS).exp2_().sum(1)
    above = most.amax(0).double()
    return chosen.double() - (above + (sums * (most - above).exp()).sum(0).log())[of]


def _changes(config: Any) -> Iterator[Change]:
    yield lambda logits: logits
    if cap := getattr(config, "final_logit_softcapping", None):  # Gemma
        yield lambda logits: logits.div_(cap).tanh_().mul_(cap)
    if scale := getattr(config, "logit_scale", None):  # Cohere
        yield lambda logits: logits.mul_(scale)
    if divisor := getattr(config, "logits_scaling", None):  # Granite
        yield lambda logits: logits.div_(divisor)
